"""Indexes of retrieval vectors: exact, or ScaNN above a size. Inner product; row i is row i of the release's items."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

INFO = "index.json"
VECTORS = "vectors.npy"
_SAMPLE = 200  # queries that measure an approximate index's recall
_DEPTH = 10  # neighbours compared for it


@dataclass(frozen=True)
class IndexInfo:
    """index.json: `kind` exact or scann; `size` vectors of `length` numbers; `recall` at 10 against exact search."""

    kind: str
    size: int
    length: int
    recall: float
    leaves_to_search: int = 0


class Index(Protocol):
    """What every kind answers."""

    info: IndexInfo

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """float32 (b, L) to rows int32 (b, k) and scores float32 (b, k), best first; fewer than k if there are fewer."""


class ExactIndex:
    """Every vector scored, memory-mapped; of equal scores the lower row first."""

    def __init__(self, vectors: np.ndarray, info: IndexInfo) -> None:
        self.vectors, self.info = vectors, info

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """See `Index.search`."""
        scores = queries.astype(np.float32) @ self.vectors.T
        rows = np.argsort(-scores, axis=1, kind="stable")[:, :k].astype(np.int32)
        return rows, np.take_along_axis(scores, rows, axis=1)


class ScannIndex:
    """ScaNN: a tree over quantised vectors, the best reordered by their exact scores."""

    def __init__(self, searcher: Any, info: IndexInfo) -> None:
        self.searcher, self.info = searcher, info

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """See `Index.search`."""
        k = min(k, self.info.size)
        rows, scores = self.searcher.search_batched(
            queries.astype(np.float32),
            final_num_neighbors=k,
            pre_reorder_num_neighbors=max(100, 4 * k),
            leaves_to_search=self.info.leaves_to_search,
        )
        return rows.astype(np.int32), scores


def build(vectors: np.ndarray, folder: Path, scann_above: int = 20_000, recall: float = 0.98) -> IndexInfo:
    """Writes an index of `vectors`, float32 (n, L), into the new `folder`.

    Args:
        scann_above: more vectors than this get ScaNN. recall: at 10, what ScaNN's search is widened to reach.
    """
    folder.mkdir(parents=True)
    exact = ExactIndex(vectors, IndexInfo("exact", len(vectors), vectors.shape[1], 1.0))
    if len(vectors) <= scann_above:
        np.save(folder / VECTORS, vectors.astype(np.float32), allow_pickle=False)
        info = exact.info
    else:
        info = _build_scann(exact, folder, recall)
    (folder / INFO).write_text(json.dumps(asdict(info)))
    return info


def _build_scann(exact: ExactIndex, folder: Path, recall: float) -> IndexInfo:
    import scann  # only here and on opening: it brings TensorFlow's libraries

    size, length = exact.vectors.shape
    leaves = int(size**0.5)
    searcher = (
        scann.scann_ops_pybind.builder(exact.vectors, _DEPTH, "dot_product")
        .tree(num_leaves=leaves, num_leaves_to_search=leaves // 10, training_sample_size=min(size, 250_000))
        .score_ah(2, anisotropic_quantization_threshold=0.2)
        .reorder(100)
        .build()
    )
    queries = exact.vectors[np.random.default_rng(0).choice(size, min(_SAMPLE, size), replace=False)]
    best = exact.search(queries, _DEPTH)[1][:, -1:]
    to_search, found = max(1, leaves // 20), 0.0
    while True:
        info = IndexInfo("scann", size, length, found, to_search)
        # By score, not by row: among equal scores either neighbour is right.
        scores = ScannIndex(searcher, info).search(queries, _DEPTH)[1]
        found = float((scores >= best - 1e-5 * np.abs(best)).mean())
        if found >= recall or to_search >= leaves:
            break
        to_search = min(leaves, 2 * to_search)
    searcher.serialize(str(folder), relative_path=True)  # relative: the folder is renamed after it is written
    return IndexInfo("scann", size, length, found, to_search)


def open_index(folder: Path) -> Index:
    """The index that `build` wrote into `folder`."""
    info = IndexInfo(**json.loads((folder / INFO).read_text()))
    if info.kind == "exact":
        return ExactIndex(np.load(folder / VECTORS, mmap_mode="r", allow_pickle=False), info)
    import scann

    return ScannIndex(scann.scann_ops_pybind.load_searcher(str(folder)), info)
