"""The peers of `benchmarks.index`, run by a Python that has faiss-cpu and hnswlib: CPU time a query and recall of each.

    python benchmarks/index_peers.py FOLDER

FOLDER holds vectors.npy, queries.npy and exact.npy (the scores of the true neighbours); a line of JSON a measurement.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import faiss  # type: ignore[import-not-found]
import hnswlib  # type: ignore[import-untyped]
import numpy as np

_EFFORTS = (100, 150, 200, 300, 400, 600, 800)


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
    seconds = cpu_seconds(lambda: search(queries, k)) / len(queries)
    print(json.dumps({"name": name, "setting": setting, "recall": recall, "us": 1e6 * seconds}), flush=True)
    return recall


def built(name: str, work: Callable[[], object]) -> None:
    """Says on stderr how long a build took."""
    start = time.process_time()
    work()
    print(f"{name}: built in {time.process_time() - start:.0f} s of CPU", file=sys.stderr, flush=True)


def main(folder: Path) -> None:
    """Every peer at growing effort, until its recall is above 0.995."""
    vectors = np.load(folder / "vectors.npy")
    size, length = vectors.shape
    lists = round(2 * size**0.5)
    threads = 2  # to build; searching has one
    for name, key, reorders in (
        ("faiss IVF-Flat", f"IVF{lists},Flat", (0,)),
        ("faiss IVF-PQ4 fast scan, refined", f"IVF{lists},PQ{length // 2}x4fs,RFlat", (3, 4)),
    ):
        faiss.omp_set_num_threads(threads)
        index = faiss.index_factory(length, key, faiss.METRIC_INNER_PRODUCT)
        train = vectors[np.random.default_rng(0).permutation(size)[: 50 * lists]]
        built(name, lambda: (index.train(train), index.add(vectors)))  # noqa: B023
        faiss.omp_set_num_threads(1)
        for reorder in reorders:
            if reorder:
                index.k_factor = reorder
            for probe in (4, 8, 12, 16, 24, 32, 48, 64, 96, 128):
                (faiss.downcast_index(index.base_index) if reorder else index).nprobe = probe
                if measure(folder, name, f"nprobe {probe}" + f", k_factor {reorder}" * bool(reorder), index.search) > 0.995:
                    break
    hnsw = hnswlib.Index("ip", length)
    hnsw.init_index(size, ef_construction=100, M=16)
    built("hnswlib", lambda: hnsw.add_items(vectors, num_threads=threads))

    def search(queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        rows, distances = hnsw.knn_query(queries, k, num_threads=1)
        return distances, rows.astype(np.int64)

    for effort in _EFFORTS:
        hnsw.set_ef(effort)
        if measure(folder, "hnswlib", f"ef {effort}", search) > 0.995:
            break
    graph = faiss.IndexHNSWFlat(length, 32, faiss.METRIC_INNER_PRODUCT)
    faiss.omp_set_num_threads(threads)
    built("faiss HNSW32", lambda: graph.add(vectors))
    faiss.omp_set_num_threads(1)
    for effort in _EFFORTS:
        graph.hnsw.efSearch = effort
        if measure(folder, "faiss HNSW32", f"efSearch {effort}", graph.search) > 0.995:
            break


if __name__ == "__main__":
    main(Path(sys.argv[1]))
