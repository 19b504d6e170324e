"""The catalogue in chunks: rows and photos wait in files of a staging folder, and Beam passes their names alone.

So no row and no photo waits in a runner's memory, and a run that was killed finds what is finished. A chunk's files are named
by its rows and by what is done to them; each is written aside and renamed, so that it is whole if it is there.
"""

import contextlib
import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from itertools import islice
from typing import IO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from components.catalogue_gen.labels import classes_shown
from components.catalogue_gen.rows import Record, Reject
from components.errors import InputError

CHUNK_ROWS = 128  # what a killed run loses at most a worker, and a Parquet file of some megabytes
Row = Record | Reject
_PHOTOS = pa.schema([("photo", pa.binary()), ("signature", pa.binary()), ("reason", pa.string())])


class Chunk(NamedTuple):
    """Rows `start` to before `start + rows` of the catalogue, from 0; `path` is their file without its ending."""

    number: int
    start: int
    rows: int
    path: str


class StagedPhoto(NamedTuple):
    """A row's photo, ready to be stored, with its signature; or why there is none."""

    photo: bytes | None
    signature: bytes | None
    reason: str | None


class StagedCatalogue(NamedTuple):
    """All chunks, and every (attribute, class, does it stand beside another class?) that any row shows."""

    chunks: list[Chunk]
    shown: set[tuple[str, str, bool]]
    rows: int
    chunk_rows: int  # of every chunk but the last


@contextlib.contextmanager
def atomic_file(path: str, folder: str) -> Iterator[IO[bytes]]:
    """A file to write that becomes `path` when all is written, and stays in `folder` if it fails."""
    # Of its own name: a runner may give one chunk to two workers, and the later must not write into the other's file.
    partial = f"{folder}/{uuid.uuid4().hex}.partial"
    with FileSystems.create(partial) as file:
        yield file
    FileSystems.rename([partial], [path])


def stage(rows: Iterator[Row], folder: str, settings: str, chunk_rows: int = CHUNK_ROWS) -> StagedCatalogue:
    """Streams `rows` into files of `chunk_rows` in `folder`.

    Args:
        settings: how photos are made ready; with others, nothing of an earlier run is taken over.
    Raises: InputError for a kind of address that cannot be read here.
    """
    if not FileSystems.exists(folder):
        FileSystems.mkdirs(folder)
    chunks, shown, total = list[Chunk](), set[tuple[str, str, bool]](), 0
    while part := list(islice(rows, chunk_rows)):
        for row in part:
            if isinstance(row, Record):
                _check_package(row)
                shown.update(classes_shown(row))
        chunks.append(_write_rows(part, len(chunks), total, folder, settings))
        total += len(part)
    return StagedCatalogue(chunks, shown, total, chunk_rows)


def read_rows(chunk: Chunk) -> list[Row]:
    """The rows of a chunk, in order. Raises: RuntimeError where there are not as many as were written."""
    with FileSystems.open(f"{chunk.path}.jsonl") as file:
        rows: list[Row] = [Record(*one) if len(one) > len(Reject._fields) else Reject(*one) for one in map(json.loads, file)]
    if len(rows) != chunk.rows:
        raise RuntimeError(f"{chunk.path}.jsonl has {len(rows)} rows, {chunk.rows} were written; delete its folder, run again")
    return rows


def is_finished(chunk: Chunk) -> bool:
    """Are its photos there? By Parquet's last bytes: a machine that lost power may leave half a file under its name."""
    path = f"{chunk.path}.parquet"
    if not FileSystems.exists(path):
        return False
    try:
        with FileSystems.open(path) as file:
            return bool(pq.read_metadata(file).num_rows == chunk.rows)
    except (OSError, pa.ArrowInvalid):
        return False


def write_photos(chunk: Chunk, photos: Iterable[StagedPhoto]) -> None:
    """Writes the photos of a chunk, one a row."""
    columns = [pa.array(column, field.type) for column, field in zip(zip(*photos, strict=True), _PHOTOS, strict=True)]
    with atomic_file(f"{chunk.path}.parquet", chunk.path.rpartition("/")[0]) as file:
        pq.write_table(pa.table(columns, _PHOTOS), file, compression="none", use_dictionary=False)  # photos do not compress


def read_photos(chunk: Chunk) -> list[StagedPhoto]:
    """What `write_photos` wrote."""
    return [StagedPhoto(**row) for row in _read(chunk, None).to_pylist()]


def read_signatures(chunk: Chunk) -> list[bytes | None]:
    """The signatures alone; None where there is no photo."""
    found: list[bytes | None] = _read(chunk, ["signature"])["signature"].to_pylist()
    return found


def _read(chunk: Chunk, columns: list[str] | None) -> pa.Table:
    with FileSystems.open(f"{chunk.path}.parquet") as file:
        return pq.read_table(file, columns=columns)


def _write_rows(part: list[Row], number: int, start: int, folder: str, settings: str) -> Chunk:
    text = "".join(f"{json.dumps(row)}\n" for row in part).encode()
    digest = hashlib.blake2b(settings.encode() + b"\n" + text, digest_size=8).hexdigest()
    chunk = Chunk(number, start, len(part), f"{folder}/{number:06}-{digest}")
    with atomic_file(f"{chunk.path}.jsonl", folder) as file:
        file.write(text)
    return chunk


def _check_package(record: Record) -> None:
    # Said once and at the start: Beam would say of every photo that "one of client or options" is missing.
    if record.location.startswith("s3://") and find_spec("boto3") is None:
        raise InputError(f'row {record.row}: {record.location[:200]} needs boto3; pip install "apache-beam[aws]"')
