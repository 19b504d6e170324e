"""Whether people ask about other photos than a release holds: classes predicted on logged photos beside the items' labels."""

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.taxonomy import Attribute
from serving.batcher import Arrays
from serving.call import Code, RequestError
from serving.items import Items
from serving.release import ITEMS
from serving.servable import Servable

LIMIT = 0.1  # of the distance, beyond chance; `validation.max_drift` means the same of labels
_CHANCE = 0.001  # how often chance alone goes beyond its part of the limit, at most
_SURE = 0.5  # a class of an attribute of several at once is predicted from this posterior on
_BATCH = 32


@dataclass(frozen=True)
class Drift:
    """One attribute: how far the shares of classes predicted on `photos` photos lie from those of `items` labelled items.

    `distance` is the total variation, half the sum of the absolute differences, in [0, 1]; NaN without photos or items.
    `limit` is what it must pass: `LIMIT` and what chance does. `moved`: the class that differs most, its share among the
    items and now.
    """

    attribute: str
    photos: int
    items: int
    distance: float
    limit: float
    moved: tuple[str, float, float]

    @property
    def found(self) -> bool:
        """Whether it is more than the limit."""
        return self.distance > self.limit


def drifts(folder: Path, photos: Iterable[bytes]) -> list[Drift]:
    """Of each attribute of the release in `folder`; `photos` are classified by its own model, each as good as any.

    What it cannot decode counts as no photo. Raises: ReleaseError; RequestError for a model that does not classify.
    """
    servable = Servable(folder)
    try:
        predicted = {one.name: np.zeros(len(one.classes)) for one in servable.taxonomy.attributes}
        shown, waiting = dict.fromkeys(predicted, 0), iter(photos)
        while batch := list(itertools.islice(waiting, _BATCH)):
            for posteriors in _posteriors(servable, batch):
                for one in servable.taxonomy.attributes:
                    hits = _predicted(posteriors[one.name], one)
                    predicted[one.name] += hits.sum(axis=0)
                    shown[one.name] += int(hits.any(axis=1).sum())
        items = Items(folder / ITEMS, servable.taxonomy)
    finally:
        servable.close()
    return [_drift(one, predicted[one.name], shown[one.name], *_labels(items, one)) for one in servable.taxonomy.attributes]


def _posteriors(servable: Servable, photos: list[bytes]) -> Iterator[Arrays]:
    """Of all that are photos: at once, or one by one where one of them is none."""
    try:
        yield servable.predict("classify", {"image": np.array(photos, object)})
    except RequestError as error:
        if error.code is not Code.INVALID_ARGUMENT:
            raise
        for photo in photos if len(photos) > 1 else ():
            yield from _posteriors(servable, [photo])


def _predicted(posteriors: np.ndarray, attribute: Attribute) -> np.ndarray:
    """bool (B, classes)."""
    best = posteriors.argmax(axis=1)[:, None] == np.arange(len(attribute.classes))
    return posteriors >= _SURE if attribute.multi_label else best


def _labels(items: Items, attribute: Attribute) -> tuple[np.ndarray, int]:
    """Labels of each class, (classes,), and the items that have any."""
    showing = items.showing(attribute.name)
    rows = [showing.get(name.encode(), np.empty(0, np.int32)) for name in attribute.classes]
    return np.array([len(one) for one in rows], float), len(np.unique(np.concatenate(rows)))


def _drift(attribute: Attribute, now: np.ndarray, photos: int, then: np.ndarray, items: int) -> Drift:
    if not (photos and items):
        return Drift(attribute.name, photos, items, math.nan, math.nan, ("", math.nan, math.nan))
    new, old = now / now.sum(), then / then.sum()
    most = int(np.abs(new - old).argmax())
    limit = LIMIT + chance((now + then) / (now + then).sum(), photos, items)
    moved = attribute.classes[most], float(old[most]), float(new[most])
    return Drift(attribute.name, photos, items, float(np.abs(new - old).sum() / 2), limit, moved)


def chance(shares: np.ndarray, first: int, second: int) -> float:
    """What the total variation of two samples of one population with these `shares` passes once in a thousand at most.

    Its mean, by the normal approximation of each share, and McDiarmid's bound on how far it strays: one photo of n moves
    it by 1 / n at most.
    """
    spread = 1 / first + 1 / second
    mean = np.sqrt(2 / np.pi * shares * (1 - shares) * spread).sum() / 2
    return float(mean + math.sqrt(math.log(1 / _CHANCE) / 2 * spread))
