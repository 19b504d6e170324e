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

ROWS = 128  # of a chunk: what a killed run loses at most a worker, and a Parquet file of some megabytes
Row = Record | Reject
_PHOTOS = pa.schema([("photo", pa.binary()), ("signature", pa.binary()), ("reason", pa.string())])


class Chunk(NamedTuple):
    """Rows `start` to `start + rows` of the catalogue, from 0; `path` is their file without its ending."""

    number: int
    start: int
    rows: int
    path: str


class Staged(NamedTuple):
    """A row's photo, ready to be stored, with its signature; or why there is none."""

    photo: bytes | None
    signature: bytes | None
    reason: str | None


class Catalogue(NamedTuple):
    """All chunks, and every (attribute, class, does it stand beside another class?) that any row shows."""

    chunks: list[Chunk]
    shown: set[tuple[str, str, bool]]
    rows: int
    size: int  # rows of a chunk, all but the last


@contextlib.contextmanager
def aside(path: str, folder: str) -> Iterator[IO[bytes]]:
    """A file to write that becomes `path` when all is written, and stays in `folder` if it fails."""
    # Of its own name: a runner may give one chunk to two workers, and the later must not write into the other's file.
    partial = f"{folder}/{uuid.uuid4().hex}.partial"
    with FileSystems.create(partial) as file:
        yield file
    FileSystems.rename([partial], [path])


def cut(rows: Iterator[Row], staging: str, purpose: str, size: int = ROWS) -> Catalogue:
    """Streams `rows` into files of `size` in the folder `staging`.

    Args:
        purpose: what is done to the photos; with another one, nothing of an earlier run is taken over.
    Raises: InputError for a kind of address that cannot be read here.
    """
    if not FileSystems.exists(staging):
        FileSystems.mkdirs(staging)
    chunks, shown, total = list[Chunk](), set[tuple[str, str, bool]](), 0
    while part := list(islice(rows, size)):
        for row in part:
            if isinstance(row, Record):
                _check(row)
                shown.update(classes_shown(row))
        chunks.append(_stored(part, len(chunks), total, staging, purpose))
        total += len(part)
    return Catalogue(chunks, shown, total, size)


def rows_of(chunk: Chunk) -> list[Row]:
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


def store(chunk: Chunk, photos: Iterable[Staged]) -> None:
    """Writes the photos of a chunk, one a row."""
    columns = [pa.array(column, field.type) for column, field in zip(zip(*photos, strict=True), _PHOTOS, strict=True)]
    with aside(f"{chunk.path}.parquet", _folder(chunk)) as file:
        pq.write_table(pa.table(columns, _PHOTOS), file, compression="none", use_dictionary=False)  # photos do not compress


def photos_of(chunk: Chunk) -> list[Staged]:
    """What `store` wrote."""
    return [Staged(**row) for row in _read(chunk, None).to_pylist()]


def signatures_of(chunk: Chunk) -> list[bytes | None]:
    """The signatures alone; None where there is no photo."""
    found: list[bytes | None] = _read(chunk, ["signature"])["signature"].to_pylist()
    return found


def _read(chunk: Chunk, columns: list[str] | None) -> pa.Table:
    with FileSystems.open(f"{chunk.path}.parquet") as file:
        return pq.read_table(file, columns=columns)


def _stored(part: list[Row], number: int, start: int, staging: str, purpose: str) -> Chunk:
    text = "".join(f"{json.dumps(row)}\n" for row in part).encode()
    digest = hashlib.blake2b(purpose.encode() + b"\n" + text, digest_size=8).hexdigest()
    chunk = Chunk(number, start, len(part), f"{staging}/{number:06}-{digest}")
    if not FileSystems.exists(f"{chunk.path}.jsonl"):
        with aside(f"{chunk.path}.jsonl", staging) as file:
            file.write(text)
    return chunk


def _folder(chunk: Chunk) -> str:
    return chunk.path.rpartition("/")[0]


def _check(record: Record) -> None:
    # Said once and at the start: Beam would say of every photo that "one of client or options" is missing.
    if record.location.startswith("s3://") and find_spec("boto3") is None:
        raise InputError(f'row {record.row}: {record.location[:200]} needs boto3; pip install "apache-beam[aws]"')
