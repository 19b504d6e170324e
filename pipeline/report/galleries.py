"""Which queries are shown, and their neighbours: of one system, or of two under the same query."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.report.ranking import Labels, Ranked

SHOWN = 8  # neighbours in a row
_CARDS = 640  # photos in the whole page, about 5 KB each
_MOST = 4  # queries of a kind an attribute


@dataclass(frozen=True)
class Card:
    """A photo and its classes; `right` says whether it shares the query's class, None for the query itself."""

    photo: str
    classes: str
    right: bool | None = None
    score: float | None = None


@dataclass(frozen=True)
class Row:
    """A system's answer to one query, nearest first."""

    system: str
    average_precision: float
    neighbours: tuple[Card, ...]


@dataclass(frozen=True)
class Gallery:
    """A query and each system's row; a system that did not rank this query has none."""

    query: Card
    relevant: int  # candidates that share a class, in the first system's gallery
    rows: tuple[Row, ...]


def queries_of_a_kind(attributes: int, systems: int) -> int:
    """How many drawn and how many hardest queries an attribute may show, so that the page stays small."""
    return max(1, min(_MOST, _CARDS // (2 * attributes * (1 + systems * SHOWN))))


def drawn(ranked: Ranked, count: int) -> list[int]:
    """The first queries by hashed id, of `count` different classes as far as there are so many. Nobody chose them."""
    kept: list[int] = []
    seen: set[Labels] = set()
    for query, (_, labels) in enumerate(ranked.queries):
        if labels not in seen and ranked.relevant[query]:
            seen.add(labels)
            kept.append(query)
    others = [i for i in range(len(ranked.queries)) if i not in kept and ranked.relevant[i]]
    return [*kept, *others][:count]


def hardest(ranked: Ranked, count: int) -> list[int]:
    """The queries of lowest average precision, hardest first; those without a relevant candidate are not hard but void."""
    order = np.argsort(ranked.average_precision, kind="stable").tolist()
    return [i for i in order if ranked.relevant[i]][:count]


def gallery(query: int, systems: dict[str, Ranked], classes: Sequence[str]) -> Gallery:
    """The query at place `query` of the first of `systems`, and every system's neighbours of it."""
    first = next(iter(systems.values()))
    photo, labels = first.queries[query]
    card = Card(photo, _names(labels, classes))
    return Gallery(card, int(first.relevant[query]), tuple(_rows((photo, labels), systems, classes)))


def _rows(query: tuple[str, Labels], systems: dict[str, Ranked], classes: Sequence[str]) -> Iterator[Row]:
    for name, ranked in systems.items():
        if query not in ranked.queries:
            continue
        place = ranked.queries.index(query)
        found = zip(ranked.nearest[place].tolist(), ranked.right(place), ranked.scores[place].tolist(), strict=True)
        cards = [(ranked.candidates[i], right, score) for i, right, score in found][:SHOWN]
        neighbours = tuple(Card(photo, _names(labels, classes), right, score) for (photo, labels), right, score in cards)
        yield Row(name, float(ranked.average_precision[place]), neighbours)


def _names(labels: Labels, classes: Sequence[str]) -> str:
    return ", ".join(classes[label] for label in labels)
