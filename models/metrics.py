"""Exact retrieval metrics of one attribute: average precision over the whole gallery, and AP and recall at k.

NumPy only, so that anyone can measure any vectors. Tie rule: scores are summed in float64 and compared as float32;
of equal scores the candidate whose hashed id is smaller ranks first. The order of rows, the size of a block and the
BLAS in use change no number, and an id that happens to tell the class (a folder's name) helps no ranking.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

K = 100  # the depth of MAP@100 and Recall@100
_BLOCK_SCORES = 4_000_000  # scores held at once: 32 MB in float64, whatever the gallery's size


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
    """One value a query, each float64 (q,) in [0, 1]."""

    average_precision: np.ndarray
    average_precision_at_k: np.ndarray
    recall_at_k: np.ndarray
    random_average_precision: np.ndarray


def labelled(rows: Rows) -> Rows:
    """The rows that carry a label of the attribute; the others are neither queries nor candidates of it."""
    return rows.take(np.asarray(rows.labels.any(axis=1)))


def one_query_a_class(queries: Rows) -> Rows:
    """The "pair" protocol: a query with several classes becomes one query for each, with that class alone."""
    row, column = np.nonzero(queries.labels)
    single = np.zeros((len(row), queries.labels.shape[1]), bool)
    single[np.arange(len(row)), column] = True
    return Rows([queries.ids[i] for i in row.tolist()], queries.vectors[row], single)


def average_precision(relevant: np.ndarray) -> np.ndarray:
    """AP = sum over relevant ranks r of precision at r, divided by the number of relevant candidates.

    Args:
        relevant: bool (q, c), candidates in ranked order.
    Returns: float64 (q,); 0 for a query without a relevant candidate.
    Source: the ASEN family's protocol (Ma et al., AAAI 2020).
    """
    hits = np.cumsum(relevant, axis=1)
    precision = hits / np.arange(1, relevant.shape[1] + 1)
    return (precision * relevant).sum(axis=1) / np.maximum(relevant.sum(axis=1), 1)


def recall(relevant: np.ndarray, k: int) -> np.ndarray:
    """Relevant candidates among the first k, divided by all relevant; 0 without any. `relevant` bool (q, c) ranked."""
    return relevant[:, :k].sum(axis=1) / np.maximum(relevant.sum(axis=1), 1)


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


def measure(queries: Rows, candidates: Rows, k: int = K) -> QueryMetrics:
    """Ranks the whole gallery for every query and measures it; relevant = shares a class with the query.

    AP at k divides by the hits within the first k (the form behind the published MAP@100), 0 without a hit.
    Labels decide what is relevant after the ranking stands; they never enter it.
    """
    columns = [np.empty(len(queries.ids)) for _ in range(4)]
    for block, relevant in _ranked(queries, candidates):
        columns[0][block] = average_precision(relevant)
        columns[1][block] = average_precision(relevant[:, :k])
        columns[2][block] = recall(relevant, k)
        columns[3][block] = random_average_precision(relevant.sum(axis=1), relevant.shape[1])
    return QueryMetrics(*columns)


def _ranked(queries: Rows, candidates: Rows) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of queries, each with bool (block, c): is the candidate at this rank relevant?"""
    order = np.argsort(np.array([hashlib.blake2b(i.encode()).digest() for i in candidates.ids], dtype="S64"), kind="stable")
    gallery = candidates.vectors[order].astype(np.float64).T
    classes = candidates.labels[order].astype(np.float32).T
    rows = max(1, _BLOCK_SCORES // max(1, len(order)))
    for start in range(0, len(queries.ids), rows):
        block = slice(start, start + rows)
        scores = (queries.vectors[block].astype(np.float64) @ gallery).astype(np.float32)
        shares = queries.labels[block].astype(np.float32) @ classes > 0
        yield block, np.take_along_axis(shares, np.argsort(-scores, axis=1, kind="stable"), axis=1)
