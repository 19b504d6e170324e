"""Indexes of retrieval vectors on disk: exact, ScaNN above a size, and in shards above a larger one."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from serving import scann_index
from serving.exact import ExactIndex, Index, IndexInfo
from serving.scann_index import build_scann, open_scann
from serving.shards import Shards

INFO = "index.json"
VECTORS = "vectors.npy"
_SHARD = 10_000_000  # vectors: what one build of ScaNN holds in memory


def build(
    vectors: np.ndarray, folder: Path, *, scann_above: int = 20_000, recall: float = 0.98, shard: int = _SHARD
) -> IndexInfo:
    """Writes an index of `vectors`, float32 (n, L), into the new `folder`.

    Args:
        scann_above: more vectors than this get ScaNN. recall: a fraction that ScaNN's search is widened to reach, or
            else to all leaves; what it reached is in the answer. shard: more vectors than this are split into shards.
    Raises: ValueError where the vectors cannot be searched; FileExistsError where `folder` is there.
    """
    if vectors.ndim != 2 or not vectors.size or not np.isfinite(vectors).all():
        raise ValueError(f"an index needs finite vectors (n, L), at least one; got {vectors.shape}, or NaN among them")
    vectors = np.ascontiguousarray(vectors, np.float32)
    folder.mkdir(parents=True)
    if len(vectors) > shard:
        info = _build_shards(vectors, folder, scann_above, recall, shard)
    elif len(vectors) > scann_above:
        info = build_scann(vectors, folder, recall)
    else:
        np.save(folder / VECTORS, vectors, allow_pickle=False)
        info = ExactIndex(vectors).info
    (folder / INFO).write_text(json.dumps(asdict(info)) + "\n", encoding="utf-8")
    return info


def _build_shards(vectors: np.ndarray, folder: Path, scann_above: int, recall: float, shard: int) -> IndexInfo:
    parts = np.array_split(vectors, -(-len(vectors) // shard))
    built = [build(part, folder / str(i), scann_above=scann_above, recall=recall) for i, part in enumerate(parts)]
    return IndexInfo("shards", len(vectors), vectors.shape[1], min(info.recall for info in built), shards=len(built))


def read_info(folder: Path) -> IndexInfo:
    """What `build` said of the index in `folder`. Raises: OSError, ValueError or TypeError where it is no index."""
    return IndexInfo(**json.loads((folder / INFO).read_text(encoding="utf-8")))


def open_index(folder: Path) -> Index:
    """The index that `build` wrote into `folder`. Raises: as `read_info`; ValueError for files that do not fit it."""
    info = read_info(folder)
    if info.kind == "shards":
        shards = Shards([open_index(folder / str(i)) for i in range(info.shards)])
        if (shards.info.size, shards.info.length) != (info.size, info.length):
            raise ValueError(f"{folder}: the shards hold {shards.info.size} vectors, not the {info.size} that {INFO} says")
        return shards
    # ScaNN keeps the vectors it reorders by as they were given: mapped, they cost disk alone, once, for both uses.
    file = folder / (VECTORS if info.kind == "exact" else scann_index.VECTORS)
    vectors = np.load(file, mmap_mode="r", allow_pickle=False)
    if vectors.shape != (info.size, info.length) or vectors.dtype != np.float32:
        raise ValueError(f"{folder}: {file.name} is {vectors.dtype} {vectors.shape}, not what {INFO} says")
    return ExactIndex(vectors) if info.kind == "exact" else open_scann(folder, vectors, info)
