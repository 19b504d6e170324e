"""Two evaluations beside each other: the mean average precision of the queries that both ranked."""

from dataclasses import dataclass

import numpy as np

from models import intervals
from pipeline.report.ranking import Ranked


@dataclass(frozen=True)
class Compared:
    """MAP@all of the first and of the second system over the same `queries`; fractions. `test`: of the first less the
    second, paired by query. `galleries_equal`: whether both ranked the same candidates, without which the difference is not
    of the systems alone."""

    attribute: str
    queries: int
    first: float
    second: float
    test: intervals.Comparison
    galleries_equal: bool


def compare(first: dict[str, Ranked], second: dict[str, Ranked]) -> list[Compared]:
    """A row an attribute that both have a query of in common, and "overall" over all of these queries; empty if none."""
    common = {name: _common(first[name], second[name]) for name in sorted(first) if name in second}
    common = {name: (images, values) for name, (images, values) in common.items() if images}
    equal = {name: set(first[name].candidates) == set(second[name].candidates) for name in common}
    rows = [_row(name, *pairs, equal[name]) for name, pairs in common.items()]
    if not rows:
        return []
    images = [image for own, _ in common.values() for image in own]
    return [*rows, _row("overall", images, np.concatenate([values for _, values in common.values()]), all(equal.values()))]


def _common(first: Ranked, second: Ranked) -> tuple[list[str], np.ndarray]:
    """The images of the common queries, and both average precisions, float64 (q, 2)."""
    other = dict(zip(second.queries, second.average_precision.tolist(), strict=True))
    own = zip(first.queries, first.average_precision.tolist(), strict=True)
    found = [(query[0], value, other[query]) for query, value in own if query in other]
    return [image for image, *_ in found], np.array([values for _, *values in found]).reshape(-1, 2)


def _row(name: str, images: list[str], values: np.ndarray, equal: bool) -> Compared:
    first, second = values.T
    test = intervals.compare(second, first, images)
    return Compared(name, len(values), float(first.mean()), float(second.mean()), test, equal)
