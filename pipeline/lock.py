"""One run at a time in an output folder: two would write into one metadata database and one another's artifacts."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from components.errors import InputError


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Holds `folder` for this process; the kernel lets go of it however the process ends.

    Raises: InputError that names the process which holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "?"
            raise InputError(
                f"{folder} is in use by another run (process {holder}); wait for its end, or give another --output"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
