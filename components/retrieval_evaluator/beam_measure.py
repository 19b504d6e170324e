"""Exact metrics over a gallery that no one process holds, in Beam: two passes over its shards.

Pass 1 finds, shard by shard, the keys (score, tie) of each query's relevant candidates. Pass 2 counts for each of them how
many candidates of every shard rank above it; the sum over shards, plus one, is its rank in the whole gallery, and ranks are
all that the metrics need. These are sums of whole numbers: shards, their order and the runner change nothing. Labels choose
whose ranks are asked for and never enter a key.

Queries travel as a side input, in blocks; of the gallery a process holds one block at a time.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from components.errors import InputError
from components.retrieval_evaluator.measure import COLUMNS, Measured, attribute_rows, refuse_twice, to_rows
from models.metrics import QueryMetrics, Rows, from_ranks, one_query_a_class, shares
from models.ranking import descending, similarity, tie_keys

QUERY, CANDIDATE = "query", "candidate"
METRICS = tuple(field.name for field in fields(QueryMetrics))
_QUERIES = 64  # a block; with a block of candidates it makes 4 million scores, 32 MB in float64
# A block's candidates: every block reads the keys of all queries, so a few large ones read less than many small ones.
_CANDIDATES, _NUMBERS = 65_536, 16_000_000  # rows, or as many as make 64 MB of vectors


class Block(NamedTuple):
    """Rows of one attribute. `ties` uint64 (n,), ascending for candidates; `name`: of a block of queries, by its content."""

    rows: Rows
    ties: np.ndarray
    name: str


class Keys(NamedTuple):
    """The keys of the relevant candidates of a block of q queries, query by query, r in all.

    `counts` int64 (q,): how many each query has. `scores` float32 (r,), `ties` uint64 (r,). `candidates`: among how many.
    """

    counts: np.ndarray
    scores: np.ndarray
    ties: np.ndarray
    candidates: int


class ToBlocks(beam.DoFn):
    """A table of Embeddings to (attribute, `Block`): of candidates, and under the tag `query` of queries."""

    def __init__(self, split: str, protocol: str) -> None:
        self.split, self.protocol = split, protocol

    def start_bundle(self) -> None:
        """Candidates wait for others of their attribute: a file's row groups are smaller than a good block."""
        self.waiting: dict[str, list[Rows]] = {}

    def process(self, table: pa.Table) -> Iterator[Any]:
        """Rows of other splits or without a label of the attribute are left out."""
        for attribute, found in attribute_rows(table.filter(pc.field("split") == self.split)).items():
            queries = to_rows(found, QUERY)
            for rows in _cut(one_query_a_class(queries) if self.protocol == "pair" else queries, _QUERIES):
                yield beam.pvalue.TaggedOutput(QUERY, (attribute, Block(rows, tie_keys(rows.ids), _name(rows))))
            waiting = self.waiting.setdefault(attribute, [])
            candidates = to_rows(found, CANDIDATE)
            most = max(1, min(_CANDIDATES, _NUMBERS // max(1, candidates.vectors.shape[1])))
            for rows in _cut(candidates, most):
                if sum(len(part.ids) for part in waiting) + len(rows.ids) > most:
                    yield attribute, _gallery(waiting)
                    waiting.clear()
                waiting.append(rows)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """What is still waiting."""
        for attribute, waiting in self.waiting.items():
            if waiting:
                yield GlobalWindows.windowed_value((attribute, _gallery(waiting)))


def spread_ids(table: pa.Table, split: str) -> Iterator[tuple[tuple[str, int], list[str]]]:
    """The ids of a table, by attribute and the first byte of their hash: no worker sees all of them."""
    slim = table.select(["split", "attribute", "id"])  # before rows are sorted: vectors are not needed here
    for attribute, found in attribute_rows(slim.filter(pc.field("split") == split)).items():
        ids = np.array(found["id"].to_pylist(), object)
        parts = tie_keys(ids.tolist()) >> np.uint64(56)
        for part in np.unique(parts):
            yield (attribute, int(part)), ids[parts == part].tolist()


class FindRelevant(beam.DoFn):
    """Pass 1: a block of candidates to ((attribute, name of a block of queries), `Keys`) for every such block."""

    def process(self, keyed: tuple[str, Block], queries: Mapping[str, Iterable[Block]]) -> Iterator[Any]:
        """`queries`: by attribute."""
        attribute, gallery = keyed
        for block in queries[attribute]:
            relevant = shares(block.rows.labels, gallery.rows.labels)
            place = np.nonzero(relevant)[1]
            scores = similarity(block.rows.vectors, gallery.rows.vectors)[relevant]
            yield (attribute, block.name), Keys(relevant.sum(axis=1), scores, gallery.ties[place], len(gallery.ties))


class Merge(beam.DoFn):
    """A block of queries and its `Keys` of every shard to (attribute, (block, `Keys` of the whole gallery, best first))."""

    def process(self, joined: tuple[tuple[str, str], dict[str, Iterable[Any]]]) -> Iterator[Any]:
        """Nothing for queries of an attribute without a candidate. Raises: ValueError for queries that stand there twice."""
        (attribute, _), groups = joined
        parts: list[Keys] = list(groups["keys"])
        blocks: list[Block] = list(groups["queries"])
        if len(blocks) > 1:
            raise ValueError(f'{attribute}: the query "{blocks[0].rows.ids[0]}" stands twice in the Embeddings')
        if parts:
            row = np.concatenate([np.repeat(np.arange(len(part.counts)), part.counts) for part in parts])
            scores, ties = (np.concatenate([getattr(part, key) for part in parts]) for key in ("scores", "ties"))
            order = np.lexsort((ties, -scores, row))
            counts = np.sum([part.counts for part in parts], axis=0)
            candidates = sum(part.candidates for part in parts)
            yield attribute, (blocks[0], Keys(counts, scores[order], ties[order], candidates))


class CountAbove(beam.DoFn):
    """Pass 2: a block of candidates to ((attribute, name), int64 (r,)): how many of it rank above each relevant one."""

    def process(self, keyed: tuple[str, Block], asked: Mapping[str, Iterable[tuple[Block, Keys]]]) -> Iterator[Any]:
        """`asked`: by attribute, the blocks of queries with their keys."""
        attribute, gallery = keyed
        for block, keys in asked[attribute]:
            yield (attribute, block.name), _above(block, keys, gallery)


class Rank(beam.DoFn):
    """Keys and counts of a block of queries to one row a query: its metrics, from the ranks of its relevant candidates."""

    def process(self, joined: tuple[tuple[str, str], dict[str, Iterable[Any]]]) -> Iterator[dict[str, Any]]:
        """Yields a dictionary a query: attribute, id, labels, candidates and `METRICS`."""
        (attribute, _), groups = joined
        [(block, keys)], above = groups["asked"], groups["above"]
        ranks = 1 + sum(above)  # `Keys` stand best first, so that a query's ranks ascend
        found = from_ranks(ranks, keys.counts, keys.candidates)
        for i, one in enumerate(block.rows.ids):
            classes = np.flatnonzero(block.rows.labels[i]).tolist()
            yield {"attribute": attribute, "id": one, "labels": classes, "candidates": keys.candidates} | {
                key: float(getattr(found, key)[i]) for key in METRICS
            }


class RankGallery(beam.PTransform):
    """Tables of Embeddings to one row a query, the dictionaries of `Rank`.

    Args:
        split, protocol: as `measure.evaluate` has them.
    """

    def __init__(self, split: str = "test", protocol: str = "attribute") -> None:
        super().__init__()
        self.split, self.protocol = split, protocol

    def expand(self, tables: beam.PCollection) -> beam.PCollection:
        """See the class."""
        blocks = tables | beam.ParDo(ToBlocks(self.split, self.protocol)).with_outputs(QUERY, main=CANDIDATE)
        gallery = blocks[CANDIDATE] | "Spread" >> beam.Reshuffle()  # a file of one row group is not one worker's
        ids = tables | "Ids" >> beam.FlatMap(spread_ids, self.split) | beam.GroupByKey()
        _ = ids | "Once" >> beam.MapTuple(lambda key, groups: refuse_twice(key[0], chain.from_iterable(groups)))
        queries = blocks[QUERY]
        keys = gallery | "Pass1" >> beam.ParDo(FindRelevant(), beam.pvalue.AsMultiMap(queries))
        named = queries | "ByName" >> beam.MapTuple(lambda attribute, block: ((attribute, block.name), block))
        asked = {"queries": named, "keys": keys} | "JoinKeys" >> beam.CoGroupByKey() | "Merge" >> beam.ParDo(Merge())
        above = gallery | "Pass2" >> beam.ParDo(CountAbove(), beam.pvalue.AsMultiMap(asked)) | "Sum" >> beam.CombinePerKey(sum)
        again = asked | "ByNameAgain" >> beam.MapTuple(lambda attribute, pair: ((attribute, pair[0].name), pair))
        return {"asked": again, "above": above} | "JoinRanks" >> beam.CoGroupByKey() | "Rank" >> beam.ParDo(Rank())


def measure_in_beam(pipeline: beam.Pipeline, embeddings: str, split: str, protocol: str, output: str) -> None:
    """Adds to `pipeline`: the files `embeddings`, a pattern, ranked, as Parquet `output`-*.parquet, a row a query."""
    columns = [(name, pa.string()) for name in ("attribute", "id")]
    columns += [("labels", pa.list_(pa.int32())), ("candidates", pa.int64()), *((name, pa.float64()) for name in METRICS)]
    tables = pipeline | beam.io.ReadFromParquetBatched(embeddings, columns=list(COLUMNS))
    rows = tables | RankGallery(split, protocol)
    _ = rows | beam.io.WriteToParquet(output, pa.schema(columns), file_name_suffix=".parquet")


def read_measured(folder: Path) -> dict[str, Measured]:
    """What `measure_in_beam` wrote, in the form and order of `measure.measure_all`. Raises: InputError for no query at all."""
    table = ds.dataset(folder, format="parquet").to_table()
    if not len(table):
        raise InputError("no attribute has both a labelled query and a labelled candidate in the split evaluated")
    found = {}
    for name in sorted(pc.unique(table["attribute"]).to_pylist()):
        rows = table.filter(pc.field("attribute") == name).to_pylist()
        rows.sort(key=lambda row: (row["id"], row["labels"]))
        classes = np.zeros((len(rows), 1 + max(max(row["labels"]) for row in rows)), bool)
        for i, row in enumerate(rows):
            classes[i, row["labels"]] = True
        metrics = QueryMetrics(*(np.array([row[key] for row in rows]) for key in METRICS))
        found[name] = Measured([row["id"] for row in rows], classes, metrics, rows[0]["candidates"])
    return found


def _above(block: Block, keys: Keys, gallery: Block) -> np.ndarray:
    """One whole number holds score and tie: the tie as its place among the gallery block's, which are sorted.

    A candidate's own key has its own place and so is not above itself; any other's lies between two candidates.
    """
    scores = similarity(block.rows.vectors, gallery.rows.vectors)
    shard = np.sort(descending(scores) | np.arange(len(gallery.ties), dtype=np.uint64), axis=1)
    wanted = descending(keys.scores) | np.searchsorted(gallery.ties, keys.ties).astype(np.uint64)
    ends = np.concatenate([[0], np.cumsum(keys.counts)])
    places = [np.searchsorted(row, wanted[start:end]) for row, (start, end) in zip(shard, pairwise(ends), strict=True)]
    return np.concatenate(places)


def _gallery(parts: list[Rows]) -> Block:
    """One block of several; a part's labels are as wide as the classes it shows."""
    classes = max(part.labels.shape[1] for part in parts)
    labels = [np.pad(part.labels, ((0, 0), (0, classes - part.labels.shape[1]))) for part in parts]
    ids = [one for part in parts for one in part.ids]
    ties = tie_keys(ids)
    order = np.argsort(ties, kind="stable")
    rows = Rows(ids, np.concatenate([part.vectors for part in parts]), np.concatenate(labels))
    return Block(rows.take(order), ties[order], "")


def _cut(rows: Rows, size: int) -> Iterator[Rows]:
    for start in range(0, len(rows.ids), size):
        yield rows.take(np.arange(start, min(start + size, len(rows.ids))))


def _name(rows: Rows) -> str:
    """Follows from what the block holds: a runner that makes a block a second time must find the same name."""
    text = "\n".join(rows.ids).encode() + np.packbits(rows.labels).tobytes()
    return hashlib.blake2b(text, digest_size=16).hexdigest()
