"""ScaNN behind the interface of an index, and its tuning: the cheapest search that reaches a recall asked for."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from serving.exact import ExactIndex, Found, Index, IndexInfo

VECTORS = "dataset.npy"  # the name that ScaNN gives to what it reorders by: the vectors as they were given
_SAMPLE = 400  # queries that it is tuned on, and as many others on which its recall is measured
_SURE = 2  # standard errors by which the measured recall must clear what was asked: photos to come are other queries
_DEPTHS = (10, 100)  # neighbours at which
_REORDERS = (125, 150, 200, 300, 400, 600)  # exact scores tried for the deeper of them
# One exact score costs about as much as this many quantised ones: measured on 50,000 x 128, see docs/index.md.
_EXACT_COST = 25
_MOST_TRAINED = 250_000  # vectors that the tree is trained on


class ScannIndex:
    """A tree over quantised vectors; the best of some leaves are reordered by their exact scores."""

    def __init__(self, searcher: Any, vectors: np.ndarray, info: IndexInfo) -> None:
        self.searcher, self.vectors, self.info = searcher, vectors, info

    def search(self, queries: np.ndarray, k: int) -> Found:
        """See `Index.search`; as exact as `info.recall` says for k up to 100, beyond that leaves grow with k."""
        k = min(k, self.info.size)
        leaves = min(self.info.leaves, -(-self.info.leaves_to_search * max(k, _DEPTHS[-1]) // _DEPTHS[-1]))
        rows, scores = self._ask(queries, k, leaves)
        # Leaves that hold fewer than k leave NaN behind; these queries are asked again of all leaves.
        if (short := np.isnan(scores).any(axis=1)).any():
            rows[short], scores[short] = self._ask(queries[short], k, self.info.leaves)
        order = np.lexsort((rows, -scores), axis=1)
        return np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """See `Index.take`."""
        return self.vectors[rows]

    def _ask(self, queries: np.ndarray, k: int, leaves: int) -> Found:
        # For fewer neighbours fewer, but never below a quarter: of ten the true ones lie deeper than among forty.
        reorder = max(self.info.reorder // 4, self.info.reorder * k // _DEPTHS[-1], k)
        rows, scores = self.searcher.search_batched(queries, k, min(self.info.size, reorder), leaves)
        return rows.astype(np.int32), scores


def build_scann(vectors: np.ndarray, folder: Path, recall: float) -> IndexInfo:
    """Writes an index into the folder, which is there; see `serving.index.build`."""
    from scann.scann_ops.py import scann_ops_pybind  # here and on opening alone: it brings TensorFlow, 8 seconds

    size = len(vectors)
    # Not sqrt(n), the usual number: at a million vectors that costs 1.7 times as much for the same recall. Nor spilling
    # (SOAR) nor reordering by bfloat16, which at 200,000 cost as much or more; see docs/index.md.
    leaves = min(size, round(2 * size**0.5))
    searcher = (
        scann_ops_pybind.builder(vectors, _DEPTHS[0], "dot_product")
        .tree(num_leaves=leaves, num_leaves_to_search=leaves, training_sample_size=min(size, _MOST_TRAINED))
        .score_ah(2, anisotropic_quantization_threshold=0.2)
        .reorder(_REORDERS[-1])
        .build()
    )
    info = _tuned(ScannIndex(searcher, vectors, IndexInfo("scann", size, vectors.shape[1], 0.0, leaves, leaves)), recall)
    searcher.serialize(str(folder), relative_path=True)  # relative: the folder is renamed after it is written
    return info


def open_scann(folder: Path, vectors: np.ndarray, info: IndexInfo) -> ScannIndex:
    """The index that `build_scann` wrote. Raises: ValueError for a folder with a pickle."""
    # ScaNN would unpickle this file, which `build_scann` never writes: whoever wrote it could run anything here.
    if list(folder.glob("*.pkl")):
        raise ValueError(f"{folder}: holds a pickle; build the index again")
    from scann.scann_ops.py import scann_ops_pybind

    return ScannIndex(scann_ops_pybind.load_searcher(str(folder)), vectors, info)


def _tuned(index: ScannIndex, recall: float) -> IndexInfo:
    """The cheapest setting that reaches `recall` on some queries; the recall stated is that on others."""
    drawn = np.random.default_rng(0).permutation(index.info.size)[: 2 * _SAMPLE].astype(np.int32)
    tuning, measuring = (_Sample(index.vectors, rows) for rows in (drawn[::2], drawn[1::2]))
    found = [_narrowest(index, tuning, reorder, recall) for reorder in _REORDERS]
    able = [info for info in found if info.recall >= recall]
    index.info = min(able, key=_cost) if able else max(found, key=lambda info: info.recall)
    # What just reaches it on one sample may miss it on another; both widened, for either may be what falls short, until
    # it holds there too and not by luck, or all is searched.
    while measuring.recall(index, _SURE) < recall and index.info.leaves_to_search < index.info.leaves:
        leaves, reorder = index.info.leaves_to_search, index.info.reorder
        leaves = min(index.info.leaves, leaves + max(1, leaves // 10))
        index.info = replace(index.info, leaves_to_search=leaves, reorder=reorder + reorder // 10)
    return replace(index.info, recall=measuring.recall(index))


def _narrowest(index: ScannIndex, sample: "_Sample", reorder: int, recall: float) -> IndexInfo:
    """With the fewest leaves that reach `recall`, found by halving; with all of them where none do."""

    def tried(leaves: int) -> IndexInfo:
        index.info = replace(index.info, leaves_to_search=leaves, reorder=reorder)
        return replace(index.info, recall=sample.recall(index))

    low, best = 0, tried(index.info.leaves)
    while best.recall >= recall and best.leaves_to_search - low > max(1, best.leaves_to_search // 20):  # 5 % is near enough
        middle = tried((low + best.leaves_to_search) // 2)
        if middle.recall >= recall:
            best = middle
        else:
            low = middle.leaves_to_search
    return best


def _cost(info: IndexInfo) -> float:
    """Of a search for 100, in quantised scores."""
    return info.size * info.leaves_to_search / info.leaves + _EXACT_COST * info.reorder


class _Sample:
    """Some rows of `vectors` as queries, and their exact neighbours."""

    def __init__(self, vectors: np.ndarray, own: np.ndarray) -> None:
        self.own, self.queries = own, vectors[own]
        self.rows, self.scores = ExactIndex(vectors).search(self.queries, _DEPTHS[-1])

    def recall(self, index: Index, errors: float = 0.0) -> float:
        """The lowest over `_DEPTHS`, each less so many standard errors."""
        return min(self._recall(index, min(depth, self.rows.shape[1]), errors) for depth in _DEPTHS)

    def _recall(self, index: Index, depth: int, errors: float) -> float:
        rows, scores = index.search(self.queries, depth)
        # By score, not by row: among equal scores either neighbour is right. The tolerance is float32's rounding.
        lowest = self.scores[:, depth - 1 : depth]
        right = scores >= lowest - 1e-5 * np.abs(lowest)
        # Its own row is found too easily to count.
        others = np.maximum(1, (self.rows[:, :depth] != self.own[:, None]).sum(axis=1))
        found = np.minimum(1.0, (right & (rows != self.own[:, None])).sum(axis=1) / others)  # of each query
        return float(found.mean() - errors * found.std() / len(found) ** 0.5)
