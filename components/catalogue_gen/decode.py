"""Photos of a chunk: opened, made ready to be stored, and signed, each once."""

from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

import components.catalogue_gen.http_filesystem  # noqa: F401  (from here on, Beam opens web addresses: in a worker, too)
from components.catalogue_gen.chunks import Chunk, Row, StagedPhoto, is_finished, read_rows, write_photos
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
            write_photos(chunk, (self._staged(row) for row in read_rows(chunk)))
        yield chunk

    def _staged(self, row: Row) -> StagedPhoto:
        if isinstance(row, Reject):
            return StagedPhoto(None, None, None)
        try:
            photo = decoded(read(row.location), self.long_side)
            return StagedPhoto(encoded(photo), signature(photo), None)
        except PhotoError as error:
            return StagedPhoto(None, None, str(error))


def read(location: str) -> bytes:
    """The bytes of a photo, wherever it lies. Raises: PhotoError."""
    try:
        if "://" not in location and _endless(Path(location)):
            raise PhotoError("it is a pipe or a device, not a file")
        with FileSystems.open(location) as file:
            data: bytes = file.read(MAX_BYTES + 1)
    except PhotoError:
        raise
    except FileNotFoundError:
        raise PhotoError("the file is not there") from None
    except Exception as error:  # a cloud's client has errors of its own; one photo that it refuses is one rejected row
        reason = (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]
        raise PhotoError(f"the file cannot be read: {reason[:200]}") from None
    if len(data) > MAX_BYTES:
        raise PhotoError(f"the file is over {MAX_BYTES >> 20} MiB; store a smaller copy")
    if not data:
        raise PhotoError("the file is empty")
    return data


def _endless(path: Path) -> bool:
    """A pipe or a device: to read one may never end, and the whole run with it."""
    return not (path.is_file() or path.is_dir()) and path.exists()
