"""One run at a time in an output folder: two would write into one metadata database and one another's artifacts."""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from components.errors import InputError


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Holds `folder` for this process; the kernel lets go of it however the process ends.

    Raises: InputError that names the process which holds it, or says that nothing can be written there.
    """
    with _opened(folder) as file:
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


def _opened(folder: Path) -> TextIO:
    """Also for a folder whose lock is there from a time when it could be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        return (folder / ".lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written ({error.strerror}); give another --output, or mend who may write"
        ) from None
