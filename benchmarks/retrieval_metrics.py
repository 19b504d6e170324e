"""How fast exact MAP is: ours beside a per-query scikit-learn loop on FashionAI's numbers, and as the gallery grows.

    python -m benchmarks.retrieval_metrics

Drawn vectors; FashionAI's 3,600 queries and 14,400 candidates in eight attributes of its sizes. Ratios of one run.
"""

import resource
import time
from collections.abc import Callable

import numpy as np
from sklearn.metrics import average_precision_score
from tabulate import tabulate

from models.metrics import QueryMetrics, Rows, measure

_SHARES = (0.11, 0.17, 0.13, 0.11, 0.09, 0.09, 0.20, 0.10)  # of queries and candidates, by attribute, about
_CLASSES = (6, 9, 8, 6, 5, 5, 10, 5)
_LENGTH = 64


def drawn(count: int, classes: int, random: np.random.Generator) -> Rows:
    """`count` rows of unit vectors with one class each."""
    labels = np.zeros((count, classes), bool)
    labels[np.arange(count), random.integers(0, classes, count)] = True
    vectors = random.normal(size=(count, _LENGTH)).astype(np.float32)
    return Rows([f"{random.integers(1 << 62)}" for _ in range(count)], vectors, labels)


def loop(queries: Rows, candidates: Rows) -> np.ndarray:
    """The peer: scikit-learn's AP, a query at a time; scores in one product, which is the loop's best case."""
    scores = queries.vectors @ candidates.vectors.T
    relevant = queries.labels.astype(np.float32) @ candidates.labels.astype(np.float32).T > 0
    return np.array([average_precision_score(r, s) for r, s in zip(relevant, scores, strict=True)])


def timed(work: Callable[[], object], times: int) -> float:
    """The best of `times` runs, seconds."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def beside_scikit_learn() -> None:
    """Prints the ratio and that both agree."""
    random = np.random.default_rng(0)
    pairs = [
        (drawn(round(3600 * share), classes, random), drawn(round(14_400 * share), classes, random))
        for share, classes in zip(_SHARES, _CLASSES, strict=True)
    ]
    ours = timed(lambda: [measure(*pair) for pair in pairs], 3)
    theirs = timed(lambda: [loop(*pair) for pair in pairs], 1)
    apart = max(float(np.abs(measure(*pair).average_precision - loop(*pair)).max()) for pair in pairs[:2])
    print(f"FashionAI's sizes: scikit-learn's loop takes {theirs / ours:.1f} x our time; AP differs by at most {apart:.1e}\n")


def as_the_gallery_grows() -> None:
    """Prints time a score, relative to the first row, and the peak memory beyond the vectors themselves."""
    random, rows, first = np.random.default_rng(1), [], 0.0
    queries = drawn(50, 10, random)
    for count in (1_000, 10_000, 100_000, 1_000_000):
        candidates = drawn(count, 10, random)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        measured: list[QueryMetrics] = []
        seconds = timed(lambda: measured.append(measure(queries, candidates)), 2)  # noqa: B023
        first = first or seconds / count
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        rows.append(
            [f"{count:,}", f"{seconds / count / first:.2f}", f"{grown:.0f} MB", f"{candidates.vectors.nbytes >> 20} MB"]
        )
    print(tabulate(rows, ["candidates", "time a score", "memory grown", "vectors"], disable_numparse=True))


if __name__ == "__main__":
    beside_scikit_learn()
    as_the_gallery_grows()
