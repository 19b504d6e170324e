"""The peers of `benchmarks.index`, run by a Python that has faiss-cpu and hnswlib: CPU time a query and recall of each.

    python benchmarks/index_peers.py FOLDER

FOLDER holds vectors.npy, queries.npy and exact.npy (the scores of the true neighbours); a line of JSON a measurement. What
is built is left there, and taken the next time.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss  # type: ignore[import-not-found]
import hnswlib  # type: ignore[import-untyped]
import numpy as np

_EFFORTS = (100, 150, 200, 300, 400, 600, 800)
_PROBES = (4, 8, 12, 16, 24, 32, 48, 64, 80, 96, 128)
_THREADS = 2  # to build; searching has one
_SINGLE = 200  # queries asked one by one


def cpu_seconds(work: Callable[[], object]) -> float:
    """The least of three runs."""
    found = []
    for _ in range(3):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def measure(folder: Path, name: str, setting: str, search: Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]) -> float:
    """Prints one line; `search` gives scores and rows. Returns: the recall."""
    vectors, queries, exact = (np.load(folder / f"{file}.npy", mmap_mode="r") for file in ("vectors", "queries", "exact"))
    k = exact.shape[1]
    _, rows = search(queries, k)
    # Scored anew: some peers give distances, quantised ones give no exact score.
    scores = np.einsum("bd,bkd->bk", queries, vectors[rows])
    recall = float((scores >= exact[:, -1:] - 1e-5).mean())
    us = 1e6 * cpu_seconds(lambda: search(queries, k)) / len(queries)
    alone = 1e6 * cpu_seconds(lambda: [search(queries[i : i + 1], k) for i in range(_SINGLE)]) / _SINGLE
    print(json.dumps({"name": name, "setting": setting, "recall": recall, "us": us, "alone": alone}), flush=True)
    return recall


def kept(file: Path, make: Callable[[], Any], read: Callable[[str], Any], write: Callable[[Any, str], None]) -> Any:
    """The index in `file`, made and written first where it is not there; says on stderr how long that took."""
    if not file.is_file():
        start = time.process_time()
        made = make()
        print(f"{file.name}: built in {time.process_time() - start:.0f} s of CPU", file=sys.stderr, flush=True)
        write(made, f"{file}.partial")
        Path(f"{file}.partial").rename(file)
    return read(str(file))


def faiss_index(folder: Path, name: str, empty: Any, vectors: np.ndarray, train: int) -> Any:
    """Of `vectors`, trained on so many of them where it needs training."""

    def make() -> Any:
        faiss.omp_set_num_threads(_THREADS)
        if train:
            empty.train(vectors[np.random.default_rng(0).permutation(len(vectors))[:train]])
        empty.add(vectors)
        return empty

    made = kept(folder / name, make, faiss.read_index, faiss.write_index)
    faiss.omp_set_num_threads(1)
    return made


def inverted(folder: Path, vectors: np.ndarray) -> None:
    """faiss' IVF, plain, and with 4-bit codes of which the best are scored exactly."""
    size, length = vectors.shape
    lists = round(2 * size**0.5)
    for name, key, reorders in (
        ("faiss IVF-Flat", f"IVF{lists},Flat", (0,)),
        ("faiss IVF-PQ4 fast scan, refined", f"IVF{lists},PQ{length // 2}x4fs,RFlat", (3, 4)),
    ):
        empty = faiss.index_factory(length, key, faiss.METRIC_INNER_PRODUCT)
        index = faiss_index(folder, f"{key}.faiss", empty, vectors, 50 * lists)
        for reorder in reorders:
            if reorder:
                index.k_factor = reorder
            for probe in _PROBES:
                (faiss.downcast_index(index.base_index) if reorder else index).nprobe = probe
                if measure(folder, name, f"nprobe {probe}" + f", k_factor {reorder}" * bool(reorder), index.search) > 0.995:
                    break


def graphs(folder: Path, vectors: np.ndarray) -> None:
    """hnswlib's and faiss' HNSW."""
    size, length = vectors.shape

    def make() -> Any:
        empty = hnswlib.Index("ip", length)
        empty.init_index(size, ef_construction=100, M=16)
        empty.add_items(vectors, num_threads=_THREADS)
        return empty

    def read(file: str) -> Any:
        empty = hnswlib.Index("ip", length)
        empty.load_index(file)
        return empty

    hnsw = kept(folder / "M16.hnswlib", make, read, lambda made, file: made.save_index(file))

    def search(queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        rows, distances = hnsw.knn_query(queries, k, num_threads=1)
        return distances, rows.astype(np.int64)

    for effort in _EFFORTS:
        hnsw.set_ef(effort)
        if measure(folder, "hnswlib", f"ef {effort}", search) > 0.995:
            break
    graph = faiss_index(folder, "HNSW32.faiss", faiss.IndexHNSWFlat(length, 32, faiss.METRIC_INNER_PRODUCT), vectors, 0)
    for effort in _EFFORTS:
        graph.hnsw.efSearch = effort
        if measure(folder, "faiss HNSW32", f"efSearch {effort}", graph.search) > 0.995:
            break


if __name__ == "__main__":
    given = Path(sys.argv[1])
    stored = np.load(given / "vectors.npy")
    inverted(given, stored)
    graphs(given, stored)
