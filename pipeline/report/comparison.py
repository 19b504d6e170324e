"""Two evaluations beside each other: the mean average precision of the queries that both ranked."""

from dataclasses import dataclass

import numpy as np

from pipeline.report.ranking import Ranked


@dataclass(frozen=True)
class Compared:
    """MAP@all of the first and of the second system over the same `queries`; fractions. `galleries_equal`: whether
    both ranked the same candidates, without which the difference is not of the systems alone."""

    attribute: str
    queries: int
    first: float
    second: float
    galleries_equal: bool


def compare(first: dict[str, Ranked], second: dict[str, Ranked]) -> list[Compared]:
    """A row an attribute that both have a query of in common, and "overall" over all of these queries; empty if none."""
    pairs = {name: _pairs(first[name], second[name]) for name in sorted(first) if name in second}
    pairs = {name: values for name, values in pairs.items() if len(values)}
    equal = {name: set(first[name].candidates) == set(second[name].candidates) for name in pairs}
    rows = [_row(name, values, equal[name]) for name, values in pairs.items()]
    return [*rows, _row("overall", np.concatenate(list(pairs.values())), all(equal.values()))] if rows else []


def _pairs(first: Ranked, second: Ranked) -> np.ndarray:
    """Average precision of the common queries, float64 (q, 2)."""
    other = dict(zip(second.queries, second.average_precision.tolist(), strict=True))
    own = zip(first.queries, first.average_precision.tolist(), strict=True)
    return np.array([(value, other[query]) for query, value in own if query in other]).reshape(-1, 2)


def _row(name: str, values: np.ndarray, equal: bool) -> Compared:
    means = values.mean(axis=0)
    return Compared(name, len(values), float(means[0]), float(means[1]), equal)
