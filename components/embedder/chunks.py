"""What is embedded in one go: a run of photos in one file of Examples, found again by its place in the file."""

import os
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from apache_beam.io.filesystems import FileSystems

# Beam's reader of records, checksums and all; its public transforms cannot start in the middle of a file.
from apache_beam.io.tfrecordio import _TFRecordUtil

PHOTOS = 1024  # a chunk, and so what a killed run loses at most a worker; a multiple of the batch, so that few are padded
_HEADER, _CHECKSUM = 12, 4  # bytes around a record: its length (8) with a checksum (4), and the data's checksum


class ExamplesFile(NamedTuple):
    """A file of Examples, the `number`-th of its split by name."""

    split: str
    number: int
    path: str


class Chunk(NamedTuple):
    """`photos` records of a file from the byte `offset` on, its `number`-th chunk."""

    file: ExamplesFile
    number: int
    offset: int
    photos: int

    @property
    def name(self) -> str:
        """The name of its Parquet file: the same in every run over the same Examples."""
        return f"{self.file.split}-{self.file.number:05}-{self.number:06}.parquet"


def examples_files(examples: str, splits: Sequence[str]) -> list[ExamplesFile]:
    """The files of Examples under the folder `examples`. Raises: FileNotFoundError for a split without one."""
    found = []
    for split in splits:
        pattern = f"{examples}/Split-{split}/*"
        paths = sorted(file.path for file in FileSystems.match([pattern])[0].metadata_list)
        if not paths:
            raise FileNotFoundError(f"{pattern}: no Examples there; run ingestion again")
        found += [ExamplesFile(split, number, path) for number, path in enumerate(paths)]
    return found


def chunks(file: ExamplesFile, photos: int = PHOTOS) -> Iterator[Chunk]:
    """Cuts a file into chunks by the lengths of its records alone, so that photos are read by whoever embeds them."""
    number = start = count = 0
    with FileSystems.open(file.path) as stream:
        while header := stream.read(_HEADER):
            (length,) = struct.unpack("<Q", header[:8])
            stream.seek(length + _CHECKSUM, os.SEEK_CUR)
            count += 1
            if count == photos:
                yield Chunk(file, number, start, count)
                number, start, count = number + 1, stream.tell(), 0
    if count:
        yield Chunk(file, number, start, count)


def records(chunk: Chunk, batch: int) -> Iterator[list[bytes]]:
    """The serialised Examples of a chunk, `batch` at a time. Raises: ValueError for a file cut short or corrupt."""
    with FileSystems.open(chunk.file.path) as stream:
        stream.seek(chunk.offset)
        for start in range(0, chunk.photos, batch):
            found = [_TFRecordUtil.read_record(stream) for _ in range(min(batch, chunk.photos - start))]
            if None in found:
                raise ValueError(f"{chunk.file.path} ends before record {start + found.index(None)} of {chunk.name}")
            yield found
