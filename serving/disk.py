"""A folder of versions on disk: each is seen whole or not at all, whenever the machine stops."""

import os
import secrets
import shutil
import socket
from pathlib import Path

_PARTIAL = ".partial-"  # no integer, so that no server takes it for a version


def make_partial(releases: Path) -> Path:
    """An empty folder beside the versions, to be filled."""
    partial = releases / f"{_PARTIAL}{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    partial.mkdir()
    return partial


def sweep(releases: Path) -> None:
    """Removes what dead pushers of this machine left; of another machine's nobody here can tell."""
    mine = f"{_PARTIAL}{socket.gethostname()}-"
    for one in releases.glob(f"{mine}*"):
        pid = one.name.removeprefix(mine).split("-")[0]
        if pid.isdecimal() and not _alive(int(pid)):
            shutil.rmtree(one, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, but there
        return True
    return True


def rename(partial: Path, final: Path) -> bool:
    """Whether it could be had: false where `final` is there already. Raises: OSError."""
    # Written beside and renamed: within one filesystem a rename is seen whole or not at all by a server that polls.
    # Not a copy in place, as the stock Pusher does: cut short, it leaves a numbered folder without its graph.
    # Not a `current` link, though a link changes atomically too: TF Serving looks for integer folder names.
    try:
        partial.rename(final)
    except OSError:
        if not final.exists():
            raise
        return False
    return True


def sync(folder: Path) -> None:
    """fsync of a folder and all below it."""
    for path in (*folder.rglob("*"), folder):
        sync_one(path)


def sync_one(path: Path) -> None:
    """fsync of a file or a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
