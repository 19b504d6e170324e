"""Photos of a chunk: opened, made ready to be stored, and signed, each once."""

from collections.abc import Iterator

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from components.catalogue_gen.chunks import Chunk, Row, Staged, is_finished, rows_of, store
from components.catalogue_gen.https import HttpError
from components.catalogue_gen.near_duplicates import signature
from components.catalogue_gen.photo import PhotoError, decoded, encoded
from components.catalogue_gen.rows import Reject

MAX_BYTES = 1 << 27  # of a photo's file: more than any within the limit of its pixels


class DecodeChunk(beam.DoFn):
    """Stores the photos of a chunk beside its rows, unless an earlier run has."""

    def __init__(self, long_side: int) -> None:
        self.long_side = long_side

    def process(self, chunk: Chunk) -> Iterator[Chunk]:
        """Yields the chunk, when its photos are stored."""
        if not is_finished(chunk):
            store(chunk, (self._staged(row) for row in rows_of(chunk)))
        yield chunk

    def _staged(self, row: Row) -> Staged:
        if isinstance(row, Reject):
            return Staged(None, None, None)
        try:
            photo = decoded(read(row.location), self.long_side)
            return Staged(encoded(photo), signature(photo), None)
        except PhotoError as error:
            return Staged(None, None, str(error))


def read(location: str) -> bytes:
    """The bytes of a photo, wherever it lies. Raises: PhotoError."""
    try:
        with FileSystems.open(location) as file:
            data: bytes = file.read(MAX_BYTES + 1)
    except HttpError as error:
        raise PhotoError(f"the file is not there or cannot be read: {error}") from None
    except (OSError, ValueError):
        raise PhotoError("the file is not there or cannot be read") from None
    if len(data) > MAX_BYTES:
        raise PhotoError(f"the file is over {MAX_BYTES >> 20} MiB; store a smaller copy")
    return data
