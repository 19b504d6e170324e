"""Recall and cost of our index beside faiss (IVF, HNSW) and hnswlib: CPU time a query, one thread, drawn clustered vectors.

    python -m benchmarks.index --size 50000 --peers PYTHON [--keep FOLDER]

PYTHON is that of a virtual environment with faiss-cpu and hnswlib (pip install faiss-cpu hnswlib). All are asked for 100
neighbours of the same 1,000 queries, in one call of their own, and of the first 200 one by one. Ratios of one run are to the
cheapest of our settings that reaches the recall aimed at. With --keep, what was built is kept and measured again another
time: building takes the half hour, and wants no quiet machine.
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
_SINGLE = 200  # queries asked one by one
_SHARES = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 4.0)  # of the leaves that it was tuned to
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


def timed(search: Callable[[np.ndarray], object], queries: np.ndarray) -> dict[str, float]:
    """CPU microseconds a query, of all asked at once and of some asked one by one."""
    together = cpu_seconds(lambda: search(queries)) / len(queries)
    alone = cpu_seconds(lambda: [search(queries[i : i + 1]) for i in range(_SINGLE)]) / _SINGLE
    return {"us": 1e6 * together, "alone": 1e6 * alone}


def ours(vectors: np.ndarray, queries: np.ndarray, exact: np.ndarray, folder: Path) -> list[Row]:
    """Our index as it was tuned, and at other efforts."""
    if not folder.is_dir():
        start = time.process_time()
        build(vectors, folder, scann_above=0, recall=_AIM)
        print(f"ours: built and tuned in {time.process_time() - start:.0f} s of CPU", flush=True)
    index = open_index(folder)
    assert isinstance(index, ScannIndex)
    tuned, rows = index.info, []
    for share in _SHARES:
        leaves = max(1, min(tuned.leaves, round(share * tuned.leaves_to_search)))
        index.info = replace(tuned, leaves_to_search=leaves)
        found = index.search(queries, _K)[1]
        recall = float((found >= exact[:, -1:] - 1e-5).mean())
        setting = f"{leaves} of {tuned.leaves} leaves, reorder {tuned.reorder}" + ", as tuned" * (share == 1)
        rows.append({"name": "ours (ScaNN)", "setting": setting, "recall": recall})
        rows[-1] |= timed(lambda asked: index.search(asked, _K), queries)
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


def main(size: int, peers: str, minutes: float, folder: Path) -> None:
    """Prints the table, and for each the cheapest that reaches the recall aimed at."""
    vectors, queries = drawn(size)
    exact_index = ExactIndex(vectors)
    exact = exact_index.search(queries, _K)[1]
    rows = ours(vectors, queries, exact, folder / "index")
    rows.append({"name": "ours (exact)", "setting": "20 at once", "recall": 1.0, "alone": np.nan})
    rows[-1]["us"] = 1e6 * cpu_seconds(lambda: exact_index.search(queries[:20], _K)) / 20
    if peers:
        for name, array in (("vectors", vectors), ("queries", queries), ("exact", exact)):
            np.save(folder / name, array)
        rows += theirs(folder, peers, minutes)
    best = {name: cheapest(rows, name) for name in dict.fromkeys(row["name"] for row in rows)}
    unit = best["ours (ScaNN)"] or rows[0]

    def line(row: Row) -> list[str]:
        numbers = (row["us"], row["us"] / unit["us"], row["alone"], row["alone"] / unit["alone"])
        return [row["name"], row["setting"], f"{row['recall']:.3f}", *(f"{n:.{2 * (i % 2)}f}" for i, n in enumerate(numbers))]

    print(f"{size:,} x {_LENGTH}, {_K} neighbours, CPU microseconds a query")
    head = ["index", "setting", "recall", "all at once", "ratio", "one by one", "ratio"]
    print(tabulate(map(line, rows), head, disable_numparse=True))
    print(f"\nThe cheapest of each at recall {_AIM} or more:")
    print(tabulate([line(row) for row in best.values() if row], head, tablefmt="github", disable_numparse=True))


def cheapest(rows: list[Row], name: str) -> Row | None:
    """Of one library, among the settings that reach the recall aimed at."""
    able = [row for row in rows if row["name"] == name and row["recall"] >= _AIM]
    return min(able, key=lambda row: row["us"], default=None)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=50_000)
    parser.add_argument("--peers", default="")
    parser.add_argument("--minutes", type=float, default=60.0, help="for the peers")
    parser.add_argument("--keep", type=Path, help="a folder for what is built")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        kept = given.keep or Path(temporary)
        kept.mkdir(parents=True, exist_ok=True)
        main(given.size, given.peers, given.minutes, kept)
