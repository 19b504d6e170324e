"""The end of ingestion: the rows of some chunks, each assigned to a split or refused, become a shard of Examples, labels, items and rejects."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import IO, Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from components.catalogue_gen.chunks import Chunk, Row, StagedPhoto, atomic_file, read_photos, read_rows
from components.catalogue_gen.labels import LabelError, encode
from components.catalogue_gen.rows import SPLITS, Record, Reject
from components.catalogue_gen.shuffle import rows_within
from components.catalogue_gen.span_counts import shown
from components.catalogue_gen.splits import ASSIGNMENT, GROUP_CLASH, role, split_code, split_name
from components.catalogue_gen.tfrecord import example, framed
from models.taxonomy import Taxonomy

PLACED = np.dtype([("place", "<i8"), ("split", "u1")])  # what became of a row: a `split_code`, 0 = rejected
NEAR = "near"  # the output that says so of near-duplicates
SPANS = "spans"  # the output with the counts of spans
ITEM_COLUMNS = pa.schema([(name, pa.string()) for name in ("id", "image", "split", "role")])
REPEATED = np.dtype([("place", "<i8"), ("row", "<i8")])  # a row whose id the row numbered `row` has taken


class Folders(NamedTuple):
    """Where ingestion writes, in `shards` files a split.

    examples: gets Split-*/, taxonomy.json, items/, rejects/, near_duplicates/ and counts.json.
    labels: gets Split-*/ with the labels alone, for statistics.
    staging: what is under way, on the same filesystem; a later run that gets the same folder takes over what is finished.
    """

    examples: str
    labels: str
    staging: str
    shards: int

    def prepare(self) -> None:
        """Makes the folders: a file is renamed into one that is there."""
        for kind in (*SPLITS, *(f"labels-{split}" for split in SPLITS), "items", "rejects"):
            folder = self.path(kind, 0).rpartition("/")[0]
            if not FileSystems.exists(folder):
                FileSystems.mkdirs(folder)

    def path(self, kind: str, number: int, ending: str = "") -> str:
        """Of the `number`-th file of "train", "labels-train", "items" or "rejects"."""
        of = f"-{number:05}-of-{self.shards:05}{ending}"
        if kind in ("items", "rejects"):
            return f"{self.examples}/{kind}/{kind}{of}"
        folder, split = (self.labels, kind.removeprefix("labels-")) if kind.startswith("labels-") else (self.examples, kind)
        return f"{folder}/Split-{split}/data_tfrecord{of}"


class WriteShard(beam.DoFn):
    """(number, its chunks and assignments) to the files of a shard. Photos are read chunk by chunk."""

    def __init__(self, taxonomy: Taxonomy | None, folders: Folders, labels_only: bool) -> None:
        self.taxonomy, self.folders, self.labels_only = taxonomy, folders, labels_only

    def process(self, shard: tuple[int, dict[str, Any]], repeated: np.ndarray, paired: np.ndarray) -> Iterator[Any]:
        """Yields the counts by split and "rejected"; the `PLACED`s of rows in `paired` as the output `NEAR`, and the shard's
        counts of spans as the output `SPANS`."""
        number, found = shard
        counts: Counter[str] = Counter()
        spans: Counter[tuple[str, int, str, str]] = Counter()
        with self._files(number) as files:
            assignments = _by_chunk(found["assignments"])
            for chunk in sorted(found["chunks"]):
                firsts = dict(rows_within(repeated, chunk.start, chunk.rows).tolist())
                placed = np.array(list(self._write(chunk, assignments.get(chunk.number, []), firsts, files, spans)), PLACED)
                counts.update(split_name(code) for code in placed["split"].tolist())
                near = rows_within(paired, chunk.start, chunk.rows)["place"] - chunk.start
                yield beam.pvalue.TaggedOutput(NEAR, placed[near])
        yield beam.pvalue.TaggedOutput(SPANS, dict(spans))
        yield dict(counts)

    @contextlib.contextmanager
    def _files(self, number: int) -> Iterator[dict[str, Any]]:
        with contextlib.ExitStack() as stack:

            def opened(kind: str, ending: str = "") -> IO[bytes]:
                return stack.enter_context(atomic_file(self.folders.path(kind, number, ending), self.folders.staging))

            files: dict[str, Any] = {kind: opened(kind) for split in SPLITS for kind in (split, f"labels-{split}")}
            files["rejects"] = opened("rejects", ".jsonl")
            files["items"] = stack.enter_context(pq.ParquetWriter(opened("items", ".parquet"), ITEM_COLUMNS))
            yield files

    def _write(
        self, chunk: Chunk, packed: list[bytes], firsts: dict[int, int], files: dict[str, Any], spans: Counter[Any]
    ) -> Iterator[tuple[int, int]]:
        """Yields a `PLACED` of every row, in order: none is passed over. Counts what is written in `spans`."""
        rows = read_rows(chunk)
        assigned = {place: (split, *clash) for place, split, *clash in np.frombuffer(b"".join(packed), ASSIGNMENT).tolist()}
        photos = [StagedPhoto(None, None, None)] * len(rows) if self.labels_only else read_photos(chunk)
        items = []
        for place, (row, staged) in enumerate(zip(rows, photos, strict=True), chunk.start):
            done = self._row(row, staged, assigned.get(place), firsts.get(place), files)
            if isinstance(done, Reject):
                files["rejects"].write(f"{json.dumps(done._asdict(), ensure_ascii=False)}\n".encode())
                yield place, 0
            else:
                items.append(done)
                spans.update(self._shown(row, done["split"]))
                yield place, split_code(done["split"])
        files["items"].write_table(pa.Table.from_pylist(items, ITEM_COLUMNS))

    def _shown(self, row: Row, split: str) -> Iterator[tuple[str, int, str, str]]:
        if isinstance(row, Record) and self.taxonomy:
            yield from shown(row, split, self.taxonomy.names)

    def _row(
        self, row: Row, staged: StagedPhoto, assigned: tuple[int, int, int] | None, first: int | None, files: dict[str, Any]
    ) -> dict[str, str] | Reject:
        """The item of a row whose Examples are written, or its Reject."""
        if isinstance(row, Reject):
            return row
        if first is not None:
            return _reject(row, f'id "{row.id}" stands in row {first} already; give every photo an id of its own')
        if assigned is None:
            raise RuntimeError(f"{row.file} row {row.row} was lost on its way to a split; nothing is published, run again")
        split, clash, leader = SPLITS[assigned[0] - 1], *assigned[1:]
        if clash:
            what = f'group "{row.group}" is in {split} by row {leader}' if clash == GROUP_CLASH else _near(split, leader)
            return _reject(row, f"{what}, here in {row.split}" if row.split else what)
        try:
            labels = encode(row, self.taxonomy)
        except LabelError as error:
            return _reject(row, str(error))
        if staged.reason:
            return _reject(row, f'image "{row.location}": {staged.reason}')
        item = {"id": row.id, "image": row.location, "split": split, "role": role(row, split)}
        files[f"labels-{split}"].write(framed(_names(row, labels)))
        files[split].write(framed(_example(row, labels, item, staged.photo)))
        return item


def _near(split: str, leader: int) -> str:
    return f"near-duplicate of photos that are in {split} by row {leader}"


def _reject(record: Record, reason: str) -> Reject:
    return Reject(record.file, record.row, reason)


def _names(record: Record, labels: dict[str, list[int]]) -> bytes:
    """By name, so that statistics are those of categories and an anomaly reads as the catalogue does. Unlabelled = absent:

    TFDV counts an empty list as a value.
    """
    return example({name: [one.encode() for one in record.labels[name]] for name in labels if record.labels.get(name)})


def _example(record: Record, labels: dict[str, list[int]], item: dict[str, str], photo: bytes | None) -> bytes:
    texts = {"image/id": record.id, "image/group": record.group or record.id, "role": item["role"]}
    features = {f"label/{name}": classes for name, classes in labels.items()}
    return example({**features, **{k: [v.encode()] for k, v in texts.items()}, "image/encoded": [photo] if photo else []})


def _by_chunk(found: Iterable[tuple[int, bytes]]) -> dict[int, list[bytes]]:
    """Still packed: as Python's numbers, the assignments of a large shard would weigh more than its photos."""
    packed: dict[int, list[bytes]] = {}
    for chunk, assignments in found:
        packed.setdefault(chunk, []).append(assignments)
    return packed
