"""The state of a catalogue and its photos in one short word, so that a run with nothing changed is all cache."""

import hashlib
from importlib import metadata
from pathlib import Path

from components.catalogue_gen.readers.reader import reader_of
from components.catalogue_gen.rows import Record


def fingerprint(catalogue: str, data_format: str = "catalogue") -> str:
    """A hash over what the rows say, the classes, and size and modification time of every photo that lies on this machine.

    Photos behind a URL are known by their row alone: give the catalogue a new id or row when one changes.
    Raises: InputError for what cannot be read.
    """
    # The program's version too: what an older one made is not mixed with what a newer one makes.
    digest = hashlib.blake2b(metadata.version("m3net").encode(), digest_size=8)
    reader = reader_of(data_format, catalogue)
    digest.update(f"{data_format}{reader.columns(catalogue)}{reader.taxonomy(catalogue)}".encode())
    for row in reader.rows(catalogue):
        digest.update(repr(row).encode())
        if isinstance(row, Record):
            digest.update(_state(row.location).encode())
    return digest.hexdigest()


def _state(location: str) -> str:
    try:
        state = Path(location).stat()
    except (OSError, ValueError):  # ValueError: no path of this machine at all
        return "-"
    return f"{state.st_size}/{state.st_mtime_ns}\n"
