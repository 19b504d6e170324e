"""Who stands nearest to whom, and each query's average precision: from the Embeddings alone, one batch of rows at a time.

Same rules as `models.metrics`: relevant = shares a class; ties by hashed id. Only scores are held, never the gallery's
vectors; where even those would be too many, a part of the queries is looked at, drawn by the hash of their id.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

NEAREST = 10  # neighbours kept of every query
_SCORES = 100_000_000  # held at once over all attributes: 400 MB in float32

Labels = tuple[int, ...]  # class indices within an attribute


def by_hash(photo_id: str) -> bytes:
    """The sort key of every draw here, and of ties: known before anything is measured, and so never chosen."""
    return hashlib.blake2b(photo_id.encode(), digest_size=8).digest()


@dataclass(frozen=True)
class Ranked:
    """One attribute's queries against its gallery; a query is an image and the classes that count as relevant.

    `nearest` int64 (q, k): indices of candidates, nearest first; `scores` float32 (q, k) beside them;
    `average_precision` float64 (q,); `relevant` int64 (q,), how many candidates are. `of_queries`: how many queries
    the split holds, q or more. Candidates and queries stand in the order of their hashed ids.
    """

    queries: tuple[tuple[str, Labels], ...]
    candidates: tuple[tuple[str, Labels], ...]
    nearest: np.ndarray
    scores: np.ndarray
    average_precision: np.ndarray
    relevant: np.ndarray
    of_queries: int

    def right(self, query: int) -> list[bool]:
        """Whether each of the query's `nearest` shares a class with it."""
        wanted = set(self.queries[query][1])
        return [bool(wanted & set(self.candidates[i][1])) for i in self.nearest[query].tolist()]


class _Gallery:
    """An attribute while it is filled: rows are queries, columns candidates."""

    def __init__(self, rows: list[dict[str, Any]], protocol: str, limit: int) -> None:
        rows = sorted(rows, key=lambda row: by_hash(row["id"]))
        asked = [(r["id"], tuple(r["labels"])) for r in rows if r["role"] == "query"]
        if protocol == "pair":
            asked = [(photo, (label,)) for photo, labels in asked for label in labels]
        self.of_queries, self.queries = len(asked), asked[:limit]
        self.candidates = [(r["id"], tuple(r["labels"])) for r in rows if r["role"] == "candidate"]
        self.column = {photo: i for i, (photo, _) in enumerate(self.candidates)}
        self.vector_of: dict[str, np.ndarray] = {photo: np.empty(0) for photo, _ in self.queries}
        self.scores = np.empty((len(self.queries), len(self.candidates)), np.float32)

    def add_queries(self, ids: list[str], vectors: np.ndarray) -> None:
        """Vectors float32 (n, L) of some queries."""
        self.vector_of.update((i, vector) for i, vector in zip(ids, vectors, strict=True) if i in self.vector_of)

    def add_candidates(self, ids: list[str], vectors: np.ndarray) -> None:
        """Scores some candidates; summed in float64, compared as float32, as the metrics do."""
        queries = np.stack([self.vector_of[photo] for photo, _ in self.queries]).astype(np.float64)
        self.scores[:, [self.column[i] for i in ids]] = queries @ vectors.astype(np.float64).T

    def _labels(self) -> Iterator[int]:
        return (label for _, labels in (*self.queries, *self.candidates) for label in labels)

    def ranked(self) -> Ranked:
        """The order of the gallery for every query."""
        hot = np.zeros((1 + max(self._labels()), len(self.candidates)), bool)
        for i, (_, labels) in enumerate(self.candidates):
            hot[list(labels), i] = True
        nearest, precision, relevant = [], [], []
        for (_, labels), scores in zip(self.queries, self.scores, strict=True):
            order = np.argsort(-scores, kind="stable")
            ranks = 1 + np.flatnonzero(np.logical_or.reduce(hot[list(labels)])[order])
            nearest.append(order[:NEAREST])
            precision.append(float((np.arange(1, len(ranks) + 1) / ranks).mean()) if len(ranks) else 0.0)
            relevant.append(len(ranks))
        first = np.stack(nearest)
        scores = np.take_along_axis(self.scores, first, axis=1)
        return Ranked(
            tuple(self.queries), tuple(self.candidates), first, scores, np.array(precision), np.array(relevant), self.of_queries
        )


def labelled_rows(embeddings: Path, split: str) -> pa.Table:
    """Columns id, role, attribute and labels of the labelled rows of `split`."""
    return _data(embeddings).to_table(columns=["id", "role", "attribute", "labels"], filter=_labelled(split))


def rank(embeddings: Path, split: str = "test", protocol: str = "attribute") -> dict[str, Ranked]:
    """Every attribute with a query and a candidate. `protocol` "pair" makes one query of each (image, class)."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in labelled_rows(embeddings, split).to_pylist():
        rows.setdefault(row["attribute"], []).append(row)
    widest = max((sum(r["role"] == "candidate" for r in own) for own in rows.values()), default=0)
    limit = max(1, _SCORES // max(1, widest * len(rows)))
    galleries = {name: _Gallery(own, protocol, limit) for name, own in rows.items()}
    galleries = {name: g for name, g in galleries.items() if g.queries and g.candidates}
    for name, ids, vectors in _vectors(embeddings, split, "query"):
        if name in galleries:
            galleries[name].add_queries(ids, vectors)
    for name, ids, vectors in _vectors(embeddings, split, "candidate"):
        if name in galleries:
            galleries[name].add_candidates(ids, vectors)
    return {name: gallery.ranked() for name, gallery in galleries.items()}


def _vectors(embeddings: Path, split: str, role: str) -> Iterator[tuple[str, list[str], np.ndarray]]:
    """(attribute, ids, float32 (n, L)) of the labelled rows in `role`, as they lie in the files."""
    chosen = _labelled(split) & (ds.field("role") == role)
    for batch in _data(embeddings).to_batches(columns=["id", "attribute", "vector"], filter=chosen):
        for name in pc.unique(batch["attribute"]).to_pylist():
            own = batch.filter(pc.equal(batch["attribute"], name))
            flat = own["vector"].flatten().to_numpy(zero_copy_only=False).astype(np.float32)
            yield name, own["id"].to_pylist(), flat.reshape(len(own), -1)


def _data(embeddings: Path) -> ds.Dataset:
    return ds.dataset(embeddings, format="parquet")


def _labelled(split: str) -> ds.Expression:
    return (ds.field("split") == split) & (pc.list_value_length(ds.field("labels")) > 0)
