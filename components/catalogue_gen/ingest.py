"""The Beam half of ingestion: a catalogue to Examples, items, rejects and near-duplicates. Rows in = rows out + rejects.

The rows are cut into chunks that wait in a staging folder, and the photos with them: each is read once. Through Beam go the
names of chunks, and some packed bytes a row where rows from all over the catalogue must meet: by id, by the group or the
near-duplicates that share a split, and by what photos look like.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam.io.filesystems import FileSystems

from components.catalogue_gen.chunks import ROWS, Catalogue, Chunk, cut, rows_of
from components.catalogue_gen.decode import DecodeChunk
from components.catalogue_gen.labels import infer
from components.catalogue_gen.meeting import KEYED, Gathered, Meeting, bucketed, keyed, seconds, within
from components.catalogue_gen.near_duplicates import components
from components.catalogue_gen.near_search import PLACE, NearDuplicates, line, places
from components.catalogue_gen.readers.reader import reader_of
from components.catalogue_gen.rows import Record
from components.catalogue_gen.shards import FIRST, SIDES, Folders, WriteShard
from components.catalogue_gen.splits import MEMBER, VERDICT, code, decide, key
from models.taxonomy import FILE_NAME, Taxonomy


class Near(NamedTuple):
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
    near: Near = Near(),  # noqa: B008
    chunk: int = ROWS,
) -> Catalogue:
    """Cuts the catalogue, and adds all that follows to `pipeline`.

    Args:
        catalogue: path of catalogue.csv, or of what `data_format` reads.
        folders: what they get, see `Folders`; the caller deletes the staging folder when the pipeline has succeeded.
        given: the taxonomy to keep to; None infers it.
        data_format: one of `readers.reader.FORMATS`.
        chunk: rows that are stored together; nothing that is written depends on it.
    Raises: InputError for a catalogue that cannot be read.
    """
    reader = reader_of(data_format)
    found = cut(reader.rows(catalogue), folders.staging, f"{photos.version} {photos.long_side}", chunk)
    taxonomy = given or reader.taxonomy(catalogue) or infer(found.shown, reader.columns(catalogue))
    folders.prepare()
    if taxonomy:
        _write(f"{folders.examples}/{FILE_NAME}", taxonomy.to_json())
    chunks = pipeline | beam.Create(found.chunks) | "Spread" >> beam.Reshuffle()
    if not photos.labels_only:
        chunks = chunks | "Decode" >> beam.ParDo(DecodeChunk(photos.long_side))
    taken = beam.pvalue.AsSingleton(
        chunks | "Ids" >> Meeting(_ids, KEYED) | beam.FlatMapTuple(_taken) | "Taken" >> Gathered(FIRST)
    )
    if photos.labels_only or near.mode == "off":
        pairs = pipeline | "NoPairs" >> beam.Create([])
    else:
        pairs = chunks | NearDuplicates(near.bits, taken)
    tied = beam.pvalue.AsSingleton(pairs | beam.combiners.ToList() | "Components" >> beam.Map(components))
    paired = beam.pvalue.AsSingleton(pairs | beam.FlatMap(places) | "Paired" >> Gathered(PLACE))
    verdicts = (
        chunks
        | "Members" >> Meeting(_members, MEMBER, taken, tied)
        | "Decide" >> beam.FlatMap(_verdicts, found.size, near.mode == "reject")
    )
    shards = folders.shards
    written = (
        {
            "chunks": chunks | "ByShard" >> beam.Map(lambda chunk: (chunk.number % shards, chunk)),
            "verdicts": verdicts | "ToShard" >> beam.Map(lambda verdict: (verdict[0] % shards, verdict)),
            "shards": pipeline | "Shards" >> beam.Create([(number, None) for number in range(shards)]),  # empty ones too
        }
        | beam.CoGroupByKey()
        | beam.ParDo(WriteShard(taxonomy, folders, photos.labels_only), taken, paired).with_outputs(SIDES, main="counts")
    )
    lines = pairs | "Lines" >> beam.Map(line, beam.pvalue.AsDict(written[SIDES]))
    _ = lines | beam.io.WriteToText(f"{folders.examples}/near_duplicates/pairs", file_name_suffix=".jsonl", num_shards=1)
    _ = written["counts"] | beam.CombineGlobally(_sum) | beam.Map(_balance, found.rows, f"{folders.examples}/counts.json")
    return found


def _records(chunk: Chunk) -> Iterator[tuple[int, Record]]:
    for place, row in enumerate(rows_of(chunk), chunk.start):
        if isinstance(row, Record):
            yield place, row


def _ids(chunk: Chunk) -> Iterator[tuple[int, np.ndarray]]:
    rows = [keyed(blake2b(row.id.encode(), digest_size=16).digest(), place, row.row) for place, row in _records(chunk)]
    yield from bucketed(np.array(rows, KEYED), "low")


def _taken(_: int, rows: np.ndarray) -> Iterator[tuple[int, int]]:
    """(place, row of the first) of each row whose id an earlier one has: of equal ids, the first stays."""
    return ((place, first) for _, first, place, _ in seconds(rows))


def _members(chunk: Chunk, taken: np.ndarray, tied: dict[int, int]) -> Iterator[tuple[int, np.ndarray]]:
    gone = set(within(taken, chunk.start, chunk.rows)["place"].tolist())
    rows = [(key(row), place, row.row, code(row.split)) for place, row in _records(chunk) if place not in gone]
    yield from bucketed(np.array([(tied.get(row[0], row[0]), *row) for row in rows], MEMBER), "root")


def _verdicts(met: tuple[int, np.ndarray], size: int, reject_near: bool) -> Iterator[tuple[int, bytes]]:
    """(number of the chunk, packed `VERDICT`s). `size`: rows of a chunk."""
    found = np.array(list(decide(met[1], reject_near)), VERDICT)
    number = found["place"] // size
    for one in np.unique(number):
        yield int(one), found[number == one].tobytes()


def _sum(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    return dict(sum(map(Counter, counts), Counter[str]()))


def _balance(counts: dict[str, int], rows: int, path: str) -> None:
    """Writes counts.json. Raises: RuntimeError unless every row came out, on one side or the other."""
    if (out := sum(counts.values())) != rows:
        raise RuntimeError(f"{rows:,} rows went in, {out:,} came out; nothing is published, run again")
    _write(path, json.dumps(counts))


def _write(path: str, text: str) -> None:
    with FileSystems.create(path) as file:
        file.write(text.encode())
