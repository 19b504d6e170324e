"""Which class's photos intrude among the neighbours of which class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.report.ranking import Ranked

MATRIX_UP_TO = 24  # classes; a larger matrix cannot be read, only its strongest cells can
_STRONGEST = 10


@dataclass(frozen=True)
class Intrusion:
    """`share` of the neighbours of class `asked` that show `shown` instead."""

    asked: str
    shown: str
    share: float


@dataclass(frozen=True)
class Confusions:
    """`share` float64 (M, M): of the first neighbours of row's class, those of column's; rows without a query are 0.

    `queries` int64 (M,): how many queries with a relevant candidate each row is of. `strongest`: the largest cells off the diagonal.
    """

    classes: tuple[str, ...]
    share: np.ndarray
    queries: np.ndarray
    strongest: tuple[Intrusion, ...]


def confusions(ranked: Ranked, classes: Sequence[str]) -> Confusions:
    """Counts the first `NEAREST` neighbours of every query, or as many as it has relevant candidates where these are fewer.

    So a perfect ranking has 1 on the diagonal. A neighbour that shares a class with the query counts as the row's own
    class; another one in equal parts as each of its classes. A query with several classes counts in the row of each.
    """
    counted = np.zeros((len(classes), len(classes)))
    queries = np.zeros(len(classes), np.int64)
    for query, (_, asked) in enumerate(ranked.queries):
        judged = list(zip(ranked.nearest[query].tolist(), ranked.right(query), strict=True))[: ranked.relevant[query]]
        for row in asked:
            queries[row] += len(judged) > 0
            for neighbour, right in judged:
                shown = (row,) if right else ranked.candidates[neighbour][1]
                counted[row, list(shown)] += 1 / len(shown)
    share = counted / np.maximum(counted.sum(axis=1, keepdims=True), 1)
    return Confusions(tuple(classes), share, queries, _strongest(share, classes))


def _strongest(share: np.ndarray, classes: Sequence[str]) -> tuple[Intrusion, ...]:
    wrong = np.where(np.eye(len(share), dtype=bool), 0.0, share)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_STRONGEST]
    cells = [divmod(int(place), len(share)) for place in order]
    return tuple(
        Intrusion(classes[row], classes[column], float(wrong[row, column])) for row, column in cells if wrong[row, column]
    )
