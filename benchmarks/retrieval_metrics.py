"""How fast exact MAP is: ours beside every installed peer on FashionAI's numbers, and as the gallery grows.

    python -m benchmarks.retrieval_metrics

Drawn vectors; FashionAI's 3,600 queries and 14,400 candidates in eight attributes of its sizes. Ratios of one run.
"""

import time
import tracemalloc
from collections.abc import Callable

import numpy as np
from tabulate import tabulate

from benchmarks.retrieval_peers import installed
from models.metrics import Rows, measure

_SHARES = (0.11, 0.17, 0.13, 0.11, 0.09, 0.09, 0.20, 0.10)  # of queries and candidates, by attribute, about
_CLASSES = (6, 9, 8, 6, 5, 5, 10, 5)
_LENGTH = 64


def drawn(count: int, classes: int, random: np.random.Generator) -> Rows:
    """`count` rows of unit vectors with one class each."""
    labels = np.zeros((count, classes), bool)
    labels[np.arange(count), random.integers(0, classes, count)] = True
    vectors = random.normal(size=(count, _LENGTH)).astype(np.float32)
    return Rows([f"{random.integers(1 << 62)}" for _ in range(count)], vectors, labels)


def timed(work: Callable[[], object], times: int) -> float:
    """The best of `times` runs, seconds."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def beside_peers() -> None:
    """Prints how many times our time each takes, and how far its AP is from ours at most."""
    random = np.random.default_rng(0)
    pairs = [
        (drawn(round(3600 * share), classes, random), drawn(round(14_400 * share), classes, random))
        for share, classes in zip(_SHARES, _CLASSES, strict=True)
    ]
    ours = np.concatenate([measure(*pair).average_precision for pair in pairs])
    rows = []
    for name, peer in installed().items():
        first = np.concatenate([peer(*pair, None) for pair in pairs])  # what is compiled on first use is compiled here
        ratios = []
        for _ in range(3):  # in turn, so that whatever else the machine does strikes both
            mine = timed(lambda: [measure(*pair) for pair in pairs], 3)
            ratios.append(timed(lambda: [peer(*pair, None) for pair in pairs], 1) / mine)  # noqa: B023
        rows.append([name, f"{np.median(ratios):.1f}", f"{np.abs(first - ours).max():.0e}"])
    print("FashionAI's sizes, vectors and labels to AP of every query")
    print(tabulate(rows, ["peer", "time / ours", "largest difference of AP"], disable_numparse=True), end="\n\n")


def as_the_gallery_grows() -> None:
    """Prints time a score, relative to the first row, and the most memory held beyond vectors and labels."""
    random, rows, first = np.random.default_rng(1), [], 0.0
    queries = drawn(50, 10, random)
    for count in (1_000, 10_000, 100_000, 1_000_000):
        candidates = drawn(count, 10, random)
        seconds = timed(lambda: measure(queries, candidates), 3)  # noqa: B023
        first = first or seconds / count
        tracemalloc.start()
        measure(queries, candidates)
        held = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        rows.append(
            [f"{count:,}", f"{seconds / count / first:.2f}", f"{held:.1f} MB", f"{candidates.vectors.nbytes / 2**20:.1f} MB"]
        )
    print(tabulate(rows, ["candidates", "time a score", "memory held", "vectors"], disable_numparse=True))


if __name__ == "__main__":
    beside_peers()
    as_the_gallery_grows()
