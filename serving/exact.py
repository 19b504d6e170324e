"""What an index of retrieval vectors answers, and the exact one. Inner product; row i is row i of the release's items."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

_BLOCK = 1 << 16  # vectors scored at once: 256 KB of scores a query
Found = tuple[np.ndarray, np.ndarray]  # rows int32 (b, k) and their scores float32 (b, k)


@dataclass(frozen=True)
class IndexInfo:
    """index.json: `kind` exact, scann or shards; `size` vectors of `length` numbers.

    `recall` against exact search, in [0, 1]: the lower of those at 10 and at 100, over sampled vectors that do not
    count themselves; of `shards` the lowest. `leaves_to_search` of `leaves` are what ScaNN needs for it, and `reorder`
    exact scores for 100 neighbours; 0 where the index is exact.
    """

    kind: str
    size: int
    length: int
    recall: float
    leaves: int = 0
    leaves_to_search: int = 0
    reorder: int = 0
    shards: int = 0


class Index(Protocol):
    """What every kind answers; safe to ask from several threads."""

    info: IndexInfo

    def search(self, queries: np.ndarray, k: int) -> Found:
        """The best k of each query float32 (b, L); k is cut to the index's size.

        The highest inner product comes first, of equal scores the lower row.
        """

    def take(self, rows: np.ndarray) -> np.ndarray:
        """The vectors of these rows, float32 (r, L), as they were given."""


class ExactIndex:
    """Every vector scored; `vectors` may be memory-mapped."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors = vectors
        self.info = IndexInfo("exact", len(vectors), vectors.shape[1], recall=1.0)

    def search(self, queries: np.ndarray, k: int) -> Found:
        """See `Index.search`."""
        return scored(self, queries, k, np.arange(self.info.size, dtype=np.int32))

    def take(self, rows: np.ndarray) -> np.ndarray:
        """See `Index.take`."""
        # Neighbouring rows are a view: to score all of a mapped file copies nothing.
        whole = len(rows) and rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all()
        return self.vectors[rows[0] : rows[-1] + 1] if whole else self.vectors[rows]


def scored(index: Index, queries: np.ndarray, k: int, among: np.ndarray) -> Found:
    """The best k of the rows `among`, int32 ascending, every one of them scored; k is cut to their number."""
    found = np.empty((len(queries), 0), np.int32), np.empty((len(queries), 0), np.float32)
    for start in range(0, len(among), _BLOCK):
        rows = among[start : start + _BLOCK]
        scores = queries @ index.take(rows).T
        found = merged([found, (np.broadcast_to(rows, scores.shape), scores)], k)
    return found


def merged(parts: Sequence[Found], k: int) -> Found:
    """The k best of several answers to the same queries; of equal scores the earlier part's and place's first."""
    rows, scores = (np.concatenate(side, axis=1) for side in zip(*parts, strict=True))
    return _best(rows, scores, min(k, scores.shape[1]))


def _best(rows: np.ndarray, scores: np.ndarray, k: int) -> Found:
    if not k:
        return rows[:, :0], scores[:, :0]
    # A partition finds the k-th score in linear time; only what reaches it is sorted. Not argpartition, whose choice
    # among equal scores at the border is left to chance.
    floor = np.partition(scores, -k, axis=1)[:, -k]
    order = np.empty((len(scores), k), np.intp)
    for query, lowest in enumerate(floor):
        reach = np.flatnonzero(scores[query] >= lowest)
        order[query] = reach[np.argsort(-scores[query, reach], kind="stable")[:k]]
    return np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1)
