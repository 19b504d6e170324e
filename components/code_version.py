"""Which code is running: the packages' versions and, where the code lies in a git work tree, its commit."""

import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

_PACKAGES = ("m3net", "tfx", "tensorflow", "keras")


@cache
def code_version() -> dict[str, str]:
    """`python`, a version each of the packages that decide a result, and `commit`: 40 digits, "-dirty" behind them where
    tracked files differ from it, "" outside a work tree."""
    found = {"commit": _commit(), "python": ".".join(map(str, sys.version_info[:3]))}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # a source tree that was never installed
            found[name] = ""
    return found


def _commit() -> str:
    here = Path(__file__)
    # Tracked, or it is somebody else's work tree, in whose .venv this package lies.
    if not _git("ls-files", "--error-unmatch", here.name, cwd=here.parent):
        return ""
    return _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*", cwd=here.parent)


def _git(*command: str, cwd: Path) -> str:
    try:
        done = subprocess.run(["git", *command], cwd=cwd, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):  # no git here: an image rarely has it
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
