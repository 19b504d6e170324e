"""Some packages of a lock, with their versions and hashes: `subset.py LOCK NAMES`. Needs nothing but Python."""

import re
import sys
from pathlib import Path


def subset(lock: str, names: list[str]) -> str:
    """The entries of `names` in `lock`, a file of `pip-compile`'s form. Raises: KeyError for a name it has not."""
    entries = {found[1]: found[0] for found in re.finditer(r"^([\w.-]+)==.*\n(?:[ \t]+.*\n)*", lock, re.MULTILINE)}
    return "".join(entries[name] for name in names)


if __name__ == "__main__":
    lock, names = (Path(one).read_text(encoding="utf-8") for one in sys.argv[1:])
    print(subset(lock, names.split()), end="")
