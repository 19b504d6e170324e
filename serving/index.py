"""Indexes of retrieval vectors: exact, or ScaNN above a size. Inner product; row i is row i of the release's items."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

INFO = "index.json"
VECTORS = "vectors.npy"
_BLOCK = 1 << 16  # vectors scored at once: 256 KB of scores a query
_SAMPLE = 200  # queries that measure an approximate index's recall
_DEPTHS = (10, 100)  # neighbours at which it is measured
_REORDER = 4  # exact scores computed for each neighbour asked for


@dataclass(frozen=True)
class IndexInfo:
    """index.json: `kind` exact or scann; `size` vectors of `length` numbers.

    `recall` against exact search, in [0, 1]: the lower of those at 10 and at 100, over sampled vectors that do not
    count themselves. `leaves_to_search` of `leaves` are what ScaNN needs for it; 0 where the index is exact.
    """

    kind: str
    size: int
    length: int
    recall: float
    leaves: int = 0
    leaves_to_search: int = 0


class Index(Protocol):
    """What every kind answers; safe to ask from several threads."""

    info: IndexInfo

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """float32 (b, L) to rows int32 (b, k) and scores float32 (b, k); k is cut to the index's size.

        The highest inner product comes first, of equal scores the lower row.
        """

    def vectors_of(self, rows: np.ndarray) -> np.ndarray:
        """The vectors, float32 (b, L), of rows int (b,). Raises: LookupError where the index was built without them."""


class ExactIndex:
    """Every vector scored, memory-mapped."""

    def __init__(self, vectors: np.ndarray, info: IndexInfo) -> None:
        self.vectors, self.info = vectors, info

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """See `Index.search`."""
        rows, scores = np.empty((len(queries), 0), np.int32), np.empty((len(queries), 0), np.float32)
        for start in range(0, self.info.size, _BLOCK):
            block = queries @ self.vectors[start : start + _BLOCK].T
            places = np.arange(start, start + block.shape[1], dtype=np.int32)
            rows = np.concatenate([rows, np.broadcast_to(places, block.shape)], axis=1)
            scores = np.concatenate([scores, block], axis=1)
            rows, scores = _best(rows, scores, min(k, scores.shape[1]))
        return rows, scores

    def vectors_of(self, rows: np.ndarray) -> np.ndarray:
        """See `Index.vectors_of`."""
        return np.ascontiguousarray(self.vectors[rows])


def _best(rows: np.ndarray, scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k best of each query, in order; equal scores keep the order of their columns."""
    # A partition finds the k-th score in linear time; only what reaches it is sorted. Not argpartition, whose choice
    # among equal scores at the border is left to chance.
    floor = np.partition(scores, -k, axis=1)[:, -k]
    order = np.empty((len(scores), k), np.intp)
    for query, lowest in enumerate(floor):
        reach = np.flatnonzero(scores[query] >= lowest)
        order[query] = reach[np.argsort(-scores[query, reach], kind="stable")[:k]]
    return np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1)


class ScannIndex:
    """ScaNN: a tree over quantised vectors; the best of some leaves are reordered by their exact scores."""

    def __init__(self, searcher: Any, info: IndexInfo, vectors: np.ndarray | None = None) -> None:
        self.searcher, self.info, self.vectors = searcher, info, vectors

    def vectors_of(self, rows: np.ndarray) -> np.ndarray:
        """See `Index.vectors_of`."""
        if self.vectors is None:
            raise LookupError(f"it holds no {VECTORS}")
        return np.ascontiguousarray(self.vectors[rows])

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """See `Index.search`; as exact as `info.recall` says for k up to 100, beyond that leaves grow with k."""
        k = min(k, self.info.size)
        leaves = min(self.info.leaves, -(-self.info.leaves_to_search * max(k, _DEPTHS[-1]) // _DEPTHS[-1]))
        rows, scores = self._ask(queries, k, leaves)
        # Leaves that hold fewer than k leave NaN behind; these queries are asked again of all leaves.
        if (short := np.isnan(scores).any(axis=1)).any():
            rows[short], scores[short] = self._ask(queries[short], k, self.info.leaves)
        order = np.lexsort((rows, -scores), axis=1)
        return np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1)

    def _ask(self, queries: np.ndarray, k: int, leaves: int) -> tuple[np.ndarray, np.ndarray]:
        reorder = min(self.info.size, max(_DEPTHS[-1], _REORDER * k))
        rows, scores = self.searcher.search_batched(queries, k, reorder, leaves)
        return rows.astype(np.int32), scores


def build(vectors: np.ndarray, folder: Path, *, scann_above: int = 20_000, recall: float = 0.98) -> IndexInfo:
    """Writes an index of `vectors`, float32 (n, L), into the new `folder`.

    Args:
        scann_above: more vectors than this get ScaNN. recall: a fraction that ScaNN's search is widened to reach, or
            else to all leaves; what it reached is in the answer.
    Raises: ValueError where the vectors cannot be searched; FileExistsError where `folder` is there.
    """
    if vectors.ndim != 2 or not vectors.size or not np.isfinite(vectors).all():
        raise ValueError(f"an index needs finite vectors (n, L), at least one; got {vectors.shape}, or NaN among them")
    vectors = np.ascontiguousarray(vectors, np.float32)
    folder.mkdir(parents=True)
    exact = ExactIndex(vectors, IndexInfo("exact", len(vectors), vectors.shape[1], recall=1.0))
    # Also beside ScaNN, which does not give its own back: they are asked for by row, memory-mapped, so it is disk alone.
    np.save(folder / VECTORS, vectors, allow_pickle=False)
    info = exact.info if len(vectors) <= scann_above else _build_scann(exact, folder, recall)
    (folder / INFO).write_text(json.dumps(asdict(info)) + "\n", encoding="utf-8")
    return info


def _build_scann(exact: ExactIndex, folder: Path, recall: float) -> IndexInfo:
    from scann.scann_ops.py import scann_ops_pybind  # here and on opening alone: it brings TensorFlow, 8 seconds

    size, length = exact.vectors.shape
    leaves = round(size**0.5)
    searcher = (
        scann_ops_pybind.builder(exact.vectors, _DEPTHS[0], "dot_product")
        .tree(num_leaves=leaves, num_leaves_to_search=leaves, training_sample_size=min(size, 250_000))
        .score_ah(2, anisotropic_quantization_threshold=0.2)
        .reorder(_REORDER * _DEPTHS[-1])
        .build()
    )
    sample = np.random.default_rng(0).choice(size, min(_SAMPLE, size), replace=False).astype(np.int32)
    best = exact.search(exact.vectors[sample], _DEPTHS[-1])
    to_search = max(1, leaves // 20)
    while True:
        info = IndexInfo("scann", size, length, 0.0, leaves, to_search)
        found = _recall(ScannIndex(searcher, info), exact.vectors[sample], sample, *best)
        if found >= recall or to_search == leaves:
            break
        to_search = min(leaves, to_search + max(1, to_search // 2))
    searcher.serialize(str(folder), relative_path=True)  # relative: the folder is renamed after it is written
    return IndexInfo("scann", size, length, found, leaves, to_search)


def _recall(index: Index, queries: np.ndarray, own: np.ndarray, rows: np.ndarray, scores: np.ndarray) -> float:
    """The lowest over `_DEPTHS`; `rows` and `scores` are the exact answer, `own` the queries' rows."""
    shares = []
    for depth in (min(depth, rows.shape[1]) for depth in _DEPTHS):
        found_rows, found_scores = index.search(queries, depth)
        # By score, not by row: among equal scores either neighbour is right. The tolerance is float32's rounding.
        lowest = scores[:, depth - 1 : depth]
        right = found_scores >= lowest - 1e-5 * np.abs(lowest)
        # Its own row is found too easily to count.
        others = (rows[:, :depth] != own[:, None]).sum()
        shares.append(min(1.0, float((right & (found_rows != own[:, None])).sum() / max(1, others))))
    return min(shares)


def read_info(folder: Path) -> IndexInfo:
    """What `build` said of the index in `folder`. Raises: OSError, ValueError or TypeError where it is no index."""
    return IndexInfo(**json.loads((folder / INFO).read_text(encoding="utf-8")))


def open_index(folder: Path) -> Index:
    """The index that `build` wrote into `folder`. Raises: as `read_info`; ValueError for files that do not fit it."""
    info = read_info(folder)
    vectors = None
    if info.kind == "exact" or (folder / VECTORS).exists():
        vectors = np.load(folder / VECTORS, mmap_mode="r", allow_pickle=False)
        if vectors.shape != (info.size, info.length) or vectors.dtype != np.float32:
            raise ValueError(f"{folder}: {VECTORS} is {vectors.dtype} {vectors.shape}, not what {INFO} says")
    if info.kind == "exact":
        assert vectors is not None
        return ExactIndex(vectors, info)
    # ScaNN would unpickle this file, which `build` never writes: whoever wrote it could run anything here.
    if list(folder.glob("*.pkl")):
        raise ValueError(f"{folder}: holds a pickle; build the index again")
    from scann.scann_ops.py import scann_ops_pybind

    return ScannIndex(scann_ops_pybind.load_searcher(str(folder)), info, vectors)
