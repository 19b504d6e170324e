"""Exact retrieval metrics of one attribute: average precision over the whole gallery, and AP and recall at k.

NumPy only, so that anyone can measure any vectors. Tie rule: scores are summed in float64 and compared as float32;
of equal scores the candidate whose hashed id is smaller ranks first. The order of rows changes no number, and an id that
happens to tell the class (a folder's name) helps no ranking.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

K = 100  # the depth of MAP@100 and Recall@100
_BLOCK_SCORES = 500_000  # scores held at once: some 15 MB with their keys, whatever the gallery's size


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
    """

    average_precision: np.ndarray
    average_precision_at_k: np.ndarray
    average_precision_at_k_of_relevant: np.ndarray
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


def tie_keys(ids: Sequence[str]) -> np.ndarray:
    """uint64 (n,): of equal scores the smaller ranks first."""
    digests = b"".join(hashlib.blake2b(one.encode(), digest_size=8).digest() for one in ids)
    return np.frombuffer(digests, ">u8").astype(np.uint64)


def similarity(queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Inner products, (q, L) and (c, L) to float32 (q, c).

    Summed in float64, whose rounding lies 29 bits below float32's last: the order of summation, which a BLAS chooses by
    a block's shape, shows only where a sum falls that close to the middle between two float32.
    """
    return (queries.astype(np.float64, copy=False) @ candidates.astype(np.float64, copy=False).T).astype(np.float32)


def descending(scores: np.ndarray) -> np.ndarray:
    """float32 to uint64 whose upper half grows as the score falls; the lower half is 0. Both zeros are one."""
    bits = (scores + np.float32(0)).view(np.uint32)
    # A positive float's bits grow with it and a negative one's against it: turning a positive's around, all but its
    # sign, makes one falling order. The shift copies the sign to all bits.
    bits ^= ~(bits.view(np.int32) >> 31).view(np.uint32) & np.uint32(0x7FFFFFFF)
    return np.left_shift(bits, np.uint64(32), dtype=np.uint64)


def shares(queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Bool (q, c): do they share a class? Labels multi-hot (q, M), (c, M'); a class beyond the shorter is unknown there."""
    known = min(queries.shape[1], candidates.shape[1])
    return queries[:, :known].astype(np.float32) @ candidates[:, :known].astype(np.float32).T > 0


def measure(queries: Rows, candidates: Rows, k: int = K) -> QueryMetrics:
    """Ranks the whole gallery for every query and measures it; relevant = shares a class with the query.

    Labels decide whose ranks are asked for after the ranking stands; they never enter it. Memory: a block of scores.
    """
    gallery = candidates.take(np.argsort(tie_keys(candidates.ids), kind="stable"))
    wide = gallery.vectors.astype(np.float64)
    rows = max(1, _BLOCK_SCORES // max(1, len(gallery.ids)))
    parts = []
    for start in range(0, len(queries.ids), rows):
        block = slice(start, start + rows)
        relevant = shares(queries.labels[block], gallery.labels)
        counts = relevant.sum(axis=1)
        ranks = _ranks(similarity(queries.vectors[block], wide), relevant, counts)
        parts.append(from_ranks(ranks, counts, len(gallery.ids), k))
    return QueryMetrics(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(QueryMetrics)))


def _ranks(scores: np.ndarray, relevant: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Ranks of the relevant, ascending, query by query, in the form of `from_ranks`. (q, c) each, candidates by tie; `counts` (q,).

    Score, place and relevance are packed into one whole number, which NumPy sorts several times faster than it finds
    an order; the relevance is its lowest bit, below the place, and so decides nothing.
    """
    keys = descending(scores)
    keys |= np.arange(scores.shape[1], dtype=np.uint64) << np.uint64(1)
    keys |= relevant
    keys.sort(axis=1)
    # Of a flat array of bools: nonzero of a table of whole numbers takes longer than the sort.
    places = np.flatnonzero((keys.astype(np.uint8) & 1).view(bool))
    return places + 1 - np.repeat(np.arange(len(counts)) * scores.shape[1], counts)
