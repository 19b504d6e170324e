"""What the report says of one attribute, gathered from the ranking and from the model's looks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from models.taxonomy import Taxonomy
from pipeline.report.calibration import Calibration, calibrate
from pipeline.report.confusions import Confusions, confusions
from pipeline.report.galleries import Gallery, drawn, gallery, hardest
from pipeline.report.looks import Looks
from pipeline.report.photos import heat
from pipeline.report.ranking import Ranked


@dataclass(frozen=True)
class Seen:
    """A photo under its attention: `heat` is a picture to lay over it."""

    photo: str
    classes: str
    heat: str


@dataclass(frozen=True)
class AttributePart:
    """One attribute's part of the page; of the first system, but for the galleries' rows."""

    name: str
    drawn: tuple[Gallery, ...]
    hardest: tuple[Gallery, ...]
    ranked: Ranked
    confusions: Confusions
    calibration: Calibration | None = None
    attention: tuple[Seen, ...] = ()

    def photos(self) -> set[str]:
        """The ids of all photos shown."""
        galleries = (*self.drawn, *self.hardest)
        return {g.query.photo for g in galleries} | {card.photo for g in galleries for row in g.rows for card in row.neighbours}


def attribute_part(name: str, systems: dict[str, Ranked], classes: Sequence[str], count: int) -> AttributePart:
    """What the ranking alone says. `systems`: those that rank this attribute; `count`: queries of a kind to show."""
    first = next(iter(systems.values()))
    kinds = [tuple(gallery(query, systems, classes) for query in choose(first, count)) for choose in (drawn, hardest)]
    return AttributePart(name, kinds[0], kinds[1], first, confusions(first, classes))


def calibration(looks: Looks, rows: pa.Table, attribute: str) -> Calibration | None:
    """Of the photos that the model looked at and that `rows` labels; None without any."""
    own = looks.taxonomy.slices[attribute]
    labels = {r["id"]: r["labels"] for r in rows.to_pylist() if r["attribute"] == attribute and r["id"] in looks.posteriors}
    if not labels:
        return None
    posteriors = np.stack([looks.posteriors[photo][own] for photo in labels])
    top = posteriors.argmax(axis=1)
    right = np.array([one in shown for one, shown in zip(top.tolist(), labels.values(), strict=True)])
    return calibrate(posteriors.max(axis=1), right)


def attention(looks: Looks, galleries: Sequence[Gallery], attribute: str) -> tuple[Seen, ...]:
    """Where the model looked on the galleries' queries."""
    place = looks.taxonomy.names.index(attribute)
    queries = [one.query for one in galleries if one.query.photo in looks.attention]
    return tuple(Seen(q.photo, q.classes, heat(looks.attention[q.photo][place])) for q in queries)


def same_classes(own: Taxonomy, other: Taxonomy) -> list[str]:
    """The attributes whose classes, in their order, are the same in both: only there do labels mean the same."""
    return [name for name in own.names if name in other.names and own[name].classes == other[name].classes]
