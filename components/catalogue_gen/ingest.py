"""The Beam half of ingestion: a catalogue to Examples, items, rejects and near-duplicates. Rows in = rows out + rejects.

The rows are cut into chunks that wait in a staging folder, and the photos with them: each is read once. Through Beam go the
names of chunks, and some packed bytes a row where rows from all over the catalogue must meet: by id, by the group or the
near-duplicates that share a split, and by what photos look like.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import NamedTuple, TypeVar

import apache_beam as beam
import numpy as np
from apache_beam.io.filesystems import FileSystems

from components.catalogue_gen.chunks import CHUNK_ROWS, Chunk, StagedCatalogue, read_rows, stage
from components.catalogue_gen.decode import DecodeChunk
from components.catalogue_gen.labels import infer
from components.catalogue_gen.near_duplicates import PAIR, component_of, connected_components
from components.catalogue_gen.near_search import NearDuplicates, both_places, write_report
from components.catalogue_gen.readers.reader import reader_of
from components.catalogue_gen.rows import REJECTED, SPLITS, Record
from components.catalogue_gen.shards import NEAR, PLACED, REPEATED, SPANS, Folders, WriteShard
from components.catalogue_gen.shuffle import HASHED, GroupRows, SortedArray, hashed, partitioned, repeats, rows_within
from components.catalogue_gen.span_counts import write_spans
from components.catalogue_gen.splits import ASSIGNMENT, MEMBER, assign, group_key, split_code
from models.taxonomy import FILE_NAME, Taxonomy

Key = TypeVar("Key")


class NearPolicy(NamedTuple):
    """What is done about near-duplicates, "report", "reject" or "off", and in how many bits they may differ."""

    mode: str = "report"
    bits: int = 6


class Photos(NamedTuple):
    """What is kept of a photo: its longer side in pixels, or nothing with `labels_only`; and the state that they are in.

    `version` tells photos apart whose rows are the same; what a killed run has stored is found again by it.
    """

    long_side: int = 256
    labels_only: bool = False
    version: str = ""


def ingest(
    pipeline: beam.Pipeline,
    catalogue: str,
    folders: Folders,
    given: Taxonomy | None = None,
    data_format: str = "catalogue",
    photos: Photos = Photos(),  # noqa: B008  (immutable)
    near: NearPolicy = NearPolicy(),  # noqa: B008
    chunk_rows: int = CHUNK_ROWS,
) -> StagedCatalogue:
    """Stages the catalogue's rows, and adds all that follows to `pipeline`.

    Args:
        catalogue: path of catalogue.csv, or of what `data_format` reads.
        folders: what they get, see `Folders`; the caller deletes the staging folder when the pipeline has succeeded.
        given: the taxonomy to keep to; None infers it.
        data_format: one of `readers.reader.FORMATS`.
        chunk_rows: rows that are stored together; nothing that is written depends on it.
    Raises: InputError for a catalogue that cannot be read.
    """
    reader = reader_of(data_format, catalogue)
    staged = stage(reader.rows(catalogue), folders.staging, f"{photos.version} {photos.long_side}", chunk_rows)
    taxonomy = given or reader.taxonomy(catalogue) or infer(staged.shown, reader.columns(catalogue))
    folders.prepare()
    if taxonomy:
        _write(f"{folders.examples}/{FILE_NAME}", taxonomy.to_json())
    chunks = pipeline | beam.Create(staged.chunks) | "Spread" >> beam.Reshuffle()
    if not photos.labels_only:
        chunks = chunks | "Decode" >> beam.ParDo(DecodeChunk(photos.long_side))
    repeated = beam.pvalue.AsSingleton(
        chunks | "Ids" >> GroupRows(_ids, HASHED) | beam.MapTuple(_repeated) | "Repeated" >> SortedArray(REPEATED)
    )
    search = near.mode != "off" and not photos.labels_only
    pairs = chunks | NearDuplicates(near.bits, repeated) if search else pipeline | "NoPairs" >> beam.Create([])
    pairs = pairs | "Pairs" >> SortedArray(PAIR)
    components = beam.pvalue.AsSingleton(pairs | beam.Map(connected_components))
    paired = beam.pvalue.AsSingleton(pairs | beam.Map(both_places))
    assignments = (
        chunks
        | "Members" >> GroupRows(_members, MEMBER, repeated, components)
        | "Assign" >> beam.FlatMap(_assignments, staged.chunk_rows, near.mode == "reject")
    )
    written = _by_shard(pipeline, chunks, assignments, folders.shards) | beam.ParDo(
        WriteShard(taxonomy, folders, photos.labels_only), repeated, paired
    ).with_outputs(NEAR, SPANS, main="counts")
    if search:
        placed = beam.pvalue.AsSingleton(written[NEAR] | "Placed" >> SortedArray(PLACED))
        _ = pairs | "Report" >> beam.Map(write_report, placed, staged.chunks, f"{folders.examples}/near_duplicates")
    _ = written["counts"] | beam.CombineGlobally(_sum) | beam.Map(_balance, staged.rows, f"{folders.examples}/counts.json")
    _ = written[SPANS] | "SumSpans" >> beam.CombineGlobally(_sum) | "WriteSpans" >> beam.Map(write_spans, folders.labels)
    return staged


def _by_shard(
    pipeline: beam.Pipeline, chunks: beam.PCollection, assignments: beam.PCollection, shards: int
) -> beam.PCollection:
    return {
        "chunks": chunks | "ByShard" >> beam.Map(lambda chunk: (chunk.number % shards, chunk)),
        "assignments": assignments | "ToShard" >> beam.Map(lambda found: (found[0] % shards, found)),
        "shards": pipeline | "Shards" >> beam.Create([(number, None) for number in range(shards)]),  # empty ones too
    } | beam.CoGroupByKey()


def _records(chunk: Chunk) -> Iterator[tuple[int, Record]]:
    for place, row in enumerate(read_rows(chunk), chunk.start):
        if isinstance(row, Record):
            yield place, row


def _ids(chunk: Chunk) -> Iterator[tuple[int, np.ndarray]]:
    rows = [hashed(blake2b(row.id.encode(), digest_size=16).digest(), place, row.row) for place, row in _records(chunk)]
    yield from partitioned(np.array(rows, HASHED), "low")


def _repeated(_: int, rows: np.ndarray) -> np.ndarray:
    """`REPEATED`: of equal ids, the first stays."""
    first, again = repeats(rows)
    found = np.zeros(len(again), REPEATED)
    found["place"], found["row"] = again["place"], first["note"]
    return found


def _members(chunk: Chunk, repeated: np.ndarray, components: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    gone = set(rows_within(repeated, chunk.start, chunk.rows)["place"].tolist())
    rows = [(0, group_key(row), place, row.row, split_code(row.split)) for place, row in _records(chunk) if place not in gone]
    members = np.array(rows, MEMBER)
    members["component"] = component_of(members["key"], components)
    yield from partitioned(members, "component")


def _assignments(grouped: tuple[int, np.ndarray], chunk_rows: int, reject_near: bool) -> Iterator[tuple[int, bytes]]:
    """(number of the chunk, packed `ASSIGNMENT`s)."""
    found = np.array(list(assign(grouped[1], reject_near)), ASSIGNMENT)
    number = found["place"] // chunk_rows
    for one in np.unique(number):
        yield int(one), found[number == one].tobytes()


def _sum(counts: Iterable[dict[Key, int]]) -> dict[Key, int]:
    return dict(sum(map(Counter, counts), Counter[Key]()))


def _balance(counts: dict[str, int], rows: int, path: str) -> None:
    """Writes counts.json, in the order of the splits whatever came first. Raises: RuntimeError unless every row came out, on one side or the other."""
    if (out := sum(counts.values())) != rows:
        raise RuntimeError(f"{rows:,} rows went in, {out:,} came out; nothing is published, run again")
    _write(path, json.dumps({kind: counts[kind] for kind in (*SPLITS, REJECTED) if kind in counts}))


def _write(path: str, text: str) -> None:
    with FileSystems.create(path) as file:
        file.write(text.encode())
