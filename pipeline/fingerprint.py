"""The state of a catalogue and its photos in one short word, so that a run with nothing changed is all cache."""

import hashlib
from importlib import metadata
from pathlib import Path

from components.catalogue_gen.rows import Record, read_rows


def fingerprint(catalogue: str) -> str:
    """A hash over the catalogue's bytes, and size and modification time of every photo that lies on this machine.

    Photos behind a URL are known by their row alone: give the catalogue a new id or row when one changes.
    """
    # The program's version too: what an older one made is not mixed with what a newer one makes.
    digest = hashlib.blake2b(metadata.version("m3net").encode(), digest_size=8)
    if Path(catalogue).is_file():
        digest.update(Path(catalogue).read_bytes())
    for row in read_rows(catalogue):
        if isinstance(row, Record):
            try:
                state = Path(row.location).stat()
            except OSError:
                digest.update(b"-")
            else:
                digest.update(f"{state.st_size}/{state.st_mtime_ns}\n".encode())
    return digest.hexdigest()
