"""Exact retrieval metrics of one attribute: average precision over the whole gallery, and AP and recall at k.

NumPy and threadpoolctl alone, so that anyone can measure any vectors. `models/ranking.py` states the rule by which candidates rank.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import numpy as np
from threadpoolctl import threadpool_limits

from models.ranking import ranks_of, similarity, tie_keys

K = 100  # the depth of MAP@100 and Recall@100
_BLOCK_SCORES = 1 << 18  # scores a core holds at once, with their keys 4 MB, unless those of `_QUERIES` queries are more
_QUERIES = 4  # a gallery of millions is cast to float64 tile by tile once for so many
_TILE = 2_048  # candidates


@dataclass(frozen=True)
class Rows:
    """Images in one role: `ids` n of them, `vectors` float32 (n, L), `labels` bool (n, M_n), multi-hot over one
    attribute's classes. Similarity of two rows = inner product of their vectors.

    Raises: ValueError where the three differ in length or a vector is not finite.
    """

    ids: Sequence[str]
    vectors: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.vectors) == len(self.labels):
            raise ValueError(f"{len(self.ids)} ids, {len(self.vectors)} vectors and {len(self.labels)} label rows differ")
        if not np.isfinite(self.vectors).all():
            where = self.ids[int(np.flatnonzero(~np.isfinite(self.vectors).all(axis=1))[0])]
            raise ValueError(f'the vector of "{where}" is not finite; embed it again before measuring')

    def take(self, index: np.ndarray) -> "Rows":
        """The rows at `index`, int (r,) or bool (n,)."""
        index = np.flatnonzero(index) if index.dtype == bool else index
        return Rows([self.ids[i] for i in index.tolist()], self.vectors[index], self.labels[index])


@dataclass(frozen=True)
class QueryMetrics:
    """One value a query, each float64 (q,) in [0, 1].

    Two normalisations of AP at k are in use: `average_precision_at_k` divides by the hits within the first k, which is
    the form behind the published MAP@100; `average_precision_at_k_of_relevant` by min(relevant, k), the usual one.
    `random_*`: what a random order of the gallery is expected to reach, exactly.
    """

    average_precision: np.ndarray
    average_precision_at_k: np.ndarray
    average_precision_at_k_of_relevant: np.ndarray
    recall_at_k: np.ndarray
    random_average_precision: np.ndarray
    random_average_precision_at_k: np.ndarray
    random_recall_at_k: np.ndarray


def labelled(rows: Rows) -> Rows:
    """The rows that carry a label of the attribute; the others are neither queries nor candidates of it."""
    return rows.take(np.asarray(rows.labels.any(axis=1)))


def one_query_a_class(queries: Rows) -> Rows:
    """The "pair" protocol: a query with several classes becomes one query for each, with that class alone."""
    row, column = np.nonzero(queries.labels)
    single = np.zeros((len(row), queries.labels.shape[1]), bool)
    single[np.arange(len(row)), column] = True
    return Rows([queries.ids[i] for i in row.tolist()], queries.vectors[row], single)


def from_ranks(ranks: np.ndarray, counts: np.ndarray, candidates: int, k: int = K) -> QueryMetrics:
    """The metrics of q queries from the ranks of their relevant candidates, which are all that the metrics need.

    AP = sum over relevant ranks of precision there, divided by the number of relevant candidates; a query without one
    has 0 and still counts. Source: the ASEN family's protocol (Ma et al., AAAI 2020).

    Args:
        ranks: int (r,), from 1, query by query and ascending within each.
        counts: int (q,), R, how many of them each query has; r in all.
        candidates: n, how many were ranked.
    """
    query = np.repeat(np.arange(len(counts)), counts)
    hits = np.arange(1, len(ranks) + 1) - np.repeat(np.cumsum(counts) - counts, counts)
    precision, near = hits / ranks, ranks <= k

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(query, values, minlength=len(counts))

    def share(values: np.ndarray, of: np.ndarray) -> np.ndarray:
        return values / np.maximum(of, 1)

    found, whole, top = total(near), total(precision), total(precision * near)
    return QueryMetrics(
        share(whole, counts),
        share(top, found),
        share(top, np.minimum(counts, k)),
        share(found, counts),
        random_average_precision(counts, candidates),
        random_average_precision_at_k(counts, candidates, k),
        np.where(counts > 0, min(k, candidates) / max(candidates, 1), 0.0),
    )


def random_average_precision(relevant: np.ndarray, candidates: int) -> np.ndarray:
    """The exact expectation of AP over all orders of the gallery: (H_n + (R - 1) / (n - 1) * (n - H_n)) / n.

    P(rank k is relevant) = R / n, and given that, the k - 1 ranks before hold (k - 1)(R - 1)/(n - 1) relevant ones;
    summing their precision over k and dividing by R gives the formula, with H_n the n-th harmonic number.

    Args:
        relevant: int (q,), R, the relevant candidates of each query.
        candidates: n, the gallery's size.
    Returns: float64 (q,); 0 where R is 0.
    """
    harmonic = np.sum(1.0 / np.arange(1, candidates + 1))
    others = (relevant - 1) / max(candidates - 1, 1)
    return np.where(relevant > 0, (harmonic + others * (candidates - harmonic)) / max(candidates, 1), 0.0)


def random_average_precision_at_k(relevant: np.ndarray, candidates: int, k: int = K) -> np.ndarray:
    """The exact expectation of AP at k, divided by the hits within k: (P H_k + (E - P) / (k - 1) * (k - H_k)) / k.

    Of h hits, all orders of the first k being alike, `random_average_precision` of h among k is what is expected; its mean
    over h holds P, the probability of any hit, and E = k R / n, the hits expected.

    Args: as `random_average_precision`; where k is more than n, it is n.
    """
    depth = min(k, candidates)
    steps = np.arange(depth)
    kinds, which = np.unique(relevant, return_inverse=True)  # far fewer than queries
    missed = np.clip((candidates - kinds[:, None] - steps) / (candidates - steps), 0, None).prod(axis=1)[which]
    harmonic = np.sum(1.0 / np.arange(1, depth + 1))
    further = (depth * relevant / max(candidates, 1) - (1 - missed)) / max(depth - 1, 1)
    return ((1 - missed) * harmonic + further * (depth - harmonic)) / max(depth, 1)


def shares(queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Bool (q, c): do they share a class? Labels multi-hot (q, M), (c, M'); a class beyond the shorter is unknown there."""
    known = min(queries.shape[1], candidates.shape[1])
    asked, given = (np.packbits(labels[:, :known], axis=1) for labels in (queries, candidates))
    found = np.zeros((len(asked), len(given)), np.uint8)
    for one, other in zip(asked.T, np.ascontiguousarray(given.T), strict=True):  # eight classes at once
        found |= one[:, None] & other
    return found != 0


def measure(queries: Rows, candidates: Rows, k: int = K) -> QueryMetrics:
    """Ranks the whole gallery for every query and measures it; relevant = shares a class with the query.

    Labels decide whose ranks are asked for after the ranking stands; they never enter it. Memory: a block of scores a
    core, at least `_QUERIES` queries against the gallery.

    Raises: ValueError where two candidates have one id, which would leave their ties open.
    """
    ties = _places(candidates.ids)
    rows = max(_QUERIES, _BLOCK_SCORES // max(1, len(ties)))

    def of_block(start: int) -> QueryMetrics:
        block = slice(start, start + rows)
        relevant = shares(queries.labels[block], candidates.labels)
        scores = _scores(queries.vectors[block], candidates.vectors)
        return from_ranks(ranks_of(scores, relevant, ties), relevant.sum(axis=1), len(ties), k)

    # One BLAS thread in each of ours: its own beside them would wait for one another.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        parts = list(threads.map(of_block, range(0, len(queries.ids), rows)))
    return QueryMetrics(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(QueryMetrics)))


def _places(ids: Sequence[str]) -> np.ndarray:
    """uint64 (n,): each candidate's place in the order of tie keys."""
    keys = tie_keys(ids)
    order = np.argsort(keys)
    if len(again := np.flatnonzero(np.diff(keys[order]) == 0)):
        raise ValueError(f'two candidates have the id "{ids[order[again[0]]]}"; an image is one candidate of an attribute')
    places = np.empty(len(ids), np.uint64)
    places[order] = np.arange(len(ids), dtype=np.uint64)
    return places


def _scores(queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """float32 (q, c); of the candidates a tile at a time is held in float64."""
    found = np.empty((len(queries), len(candidates)), np.float32)
    for start in range(0, len(candidates), _TILE):
        found[:, start : start + _TILE] = similarity(queries, candidates[start : start + _TILE])
    return found
