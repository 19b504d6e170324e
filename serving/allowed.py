"""Search among some rows only, as exact as the index itself: what filters and removed items ask for."""

import numpy as np

from serving.exact import Found, Index, scored

_FEW = 20_000  # rows that are scored one and all as fast as an index finds them
_MOST_ASKED = 4_096  # neighbours that an index is asked for, to find k that are allowed


def search_allowed(index: Index, queries: np.ndarray, k: int, allowed: np.ndarray) -> Found:
    """The best k rows where `allowed`, bool (n,), is true, for each query (b, L); k is cut to their number.

    The index is asked for as many more as the share of forbidden rows makes likely. A query that still finds fewer
    than k, as where a filter goes against it, and a filter that leaves few rows, score every allowed row.
    """
    count, size = int(np.count_nonzero(allowed)), index.info.size
    k = min(k, count)
    if count == size or not k:
        return index.search(queries, k) if k else _none(len(queries))
    asked = min(size, k + 10 + 5 * k * (size - count) // (4 * count))
    if asked > _MOST_ASKED or (count <= _FEW and 2 * count < size):
        return scored(index, queries, k, _rows(allowed))
    rows, scores = index.search(queries, asked)
    fits = allowed[rows]
    first = np.argsort(~fits, axis=1, kind="stable")[:, :k]  # those that fit, in their order, before those that do not
    found = np.take_along_axis(rows, first, 1), np.take_along_axis(scores, first, 1)
    if (short := fits.sum(axis=1) < k).any():
        found[0][short], found[1][short] = scored(index, queries[short], k, _rows(allowed))
    return found


def _rows(allowed: np.ndarray) -> np.ndarray:
    return np.flatnonzero(allowed).astype(np.int32)


def _none(queries: int) -> Found:
    return np.empty((queries, 0), np.int32), np.empty((queries, 0), np.float32)
