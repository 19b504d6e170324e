"""Recall and cost of our index beside faiss (IVF, HNSW) and hnswlib: CPU time a query, one thread, drawn clustered vectors.

    python -m benchmarks.index --size 50000 --peers PYTHON

PYTHON is that of a virtual environment with faiss-cpu and hnswlib (pip install faiss-cpu hnswlib). All are asked for 100
neighbours of the same 1,000 queries, in one call of their own; ratios of one run are to our index as it was tuned.
"""

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from serving.exact import ExactIndex
from serving.index import build, open_index
from serving.scann_index import ScannIndex

_LENGTH, _INNER, _QUERIES, _K = 128, 24, 1000, 100
_AIM = 0.98
Row = dict[str, Any]


def drawn(size: int) -> tuple[np.ndarray, np.ndarray]:
    """float32 unit vectors (size, 128) in clusters that overlap, about 500 a cluster; (1000, 128) more, drawn alike.

    Of 24 dimensions and some noise, as embeddings are: with clusters of 128 dimensions all neighbours are in one leaf.
    """
    random = np.random.default_rng(0)
    clusters = max(20, size // 500)
    centres = random.standard_normal((clusters, _INNER), np.float32)
    inner = centres[random.integers(0, clusters, size + _QUERIES)]
    inner += 0.7 * random.standard_normal(inner.shape, np.float32)
    vectors = inner @ random.standard_normal((_INNER, _LENGTH), np.float32)
    vectors += 0.3 * random.standard_normal(vectors.shape, np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors[:size], vectors[size:]


def cpu_seconds(work: Callable[[], object]) -> float:
    """The least of three runs."""
    found = []
    for _ in range(3):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def ours(vectors: np.ndarray, queries: np.ndarray, exact: np.ndarray, folder: Path) -> list[Row]:
    """Our index as it was tuned, then at other efforts."""
    start = time.process_time()
    build(vectors, folder, scann_above=0, recall=_AIM)
    print(f"ours: built and tuned in {time.process_time() - start:.0f} s of CPU", flush=True)
    index = open_index(folder)
    assert isinstance(index, ScannIndex)
    tuned, rows = index.info, []
    for share in (1.0, 0.25, 0.5, 2.0, 4.0):
        leaves = max(1, min(tuned.leaves, round(share * tuned.leaves_to_search)))
        index.info = replace(tuned, leaves_to_search=leaves)
        found = index.search(queries, _K)[1]
        recall = float((found >= exact[:, -1:] - 1e-5).mean())
        seconds = cpu_seconds(lambda: index.search(queries, _K)) / len(queries)
        setting = f"{leaves} of {tuned.leaves} leaves, reorder {tuned.reorder}" + ", as tuned" * (share == 1)
        rows.append({"name": "ours (ScaNN)", "setting": setting, "recall": recall, "us": 1e6 * seconds})
    return rows


def theirs(folder: Path, peers: str, minutes: float) -> list[Row]:
    """What the peers measured before the time was over."""
    told = folder / "peers.jsonl"
    with told.open("w") as out:
        try:
            script = Path(__file__).with_name("index_peers.py")
            subprocess.run([peers, str(script), str(folder)], stdout=out, check=True, timeout=60 * minutes)
        except subprocess.TimeoutExpired:
            print(f"the peers were cut short after {minutes:g} minutes", flush=True)
    return [json.loads(line) for line in told.read_text().splitlines()]


def main(size: int, peers: str, minutes: float) -> None:
    """Prints the table, and for each the cheapest that reaches the recall aimed at."""
    vectors, queries = drawn(size)
    exact_index = ExactIndex(vectors)
    exact = exact_index.search(queries, _K)[1]
    seconds = cpu_seconds(lambda: exact_index.search(queries[:20], _K)) / 20
    with tempfile.TemporaryDirectory() as folder:
        rows = ours(vectors, queries, exact, Path(folder) / "index")
        rows.append({"name": "ours (exact)", "setting": "20 at once", "recall": 1.0, "us": 1e6 * seconds})
        for name, array in (("vectors", vectors), ("queries", queries), ("exact", exact)):
            np.save(Path(folder) / name, array)
        if peers:
            rows += theirs(Path(folder), peers, minutes)
    unit = rows[0]["us"]
    table = [[r["name"], r["setting"], f"{r['recall']:.3f}", f"{r['us']:.0f}", f"{r['us'] / unit:.2f}"] for r in rows]
    print(f"{size:,} x {_LENGTH}, {_K} neighbours, CPU microseconds a query")
    print(tabulate(table, ["index", "setting", "recall", "us", "ratio"], disable_numparse=True))
    print(f"\nThe cheapest of each at recall {_AIM} or more:")
    for name in dict.fromkeys(row["name"] for row in rows):
        able = [row for row in rows if row["name"] == name and row["recall"] >= _AIM]
        best = min(able, key=lambda row: row["us"], default=None)
        print(f"  {name}: " + (f"{best['us'] / unit:.2f} ({best['setting']}, {best['recall']:.3f})" if best else "none"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=50_000)
    parser.add_argument("--peers", default="")
    parser.add_argument("--minutes", type=float, default=60.0, help="for the peers")
    given = parser.parse_args()
    main(given.size, given.peers, given.minutes)
