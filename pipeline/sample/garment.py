"""A garment: its classes, and what varies between garments of the same classes."""

from dataclasses import dataclass

import numpy as np

from pipeline.sample.classes import CLASSES, DETAILS, NONE
from pipeline.sample.randomness import Use, stream

_HEMS = {"crop": 0.66, "hip": 1.06, "knee": 1.45}
_MIDDLE = {"bow", "buttons", "zip"}
"""Details in the middle of the front, where one would hide the other."""
_TOGETHER = 0.45
"""The share of garments with a detail that get another one."""


@dataclass(frozen=True)
class Garment:
    """What is drawn, apart from pose and scene.

    Attributes:
        index: where the garment's further random numbers (print, colour shade) come from, with `seed`.
        neckline, sleeve_length, colour, pattern, length: classes of `CLASSES`.
        details: classes of `CLASSES["details"]`, by name; (`none`,) for a bare one.
        waist, flare, hem_shift: the silhouette: half width at the waist and what the hem adds, garment units; so is the shift.
        ease: how wide the sleeves are, 1 is usual.
    """

    seed: int
    index: int
    neckline: str
    sleeve_length: str
    colour: str
    pattern: str
    length: str
    details: tuple[str, ...]
    waist: float
    flare: float
    hem_shift: float
    ease: float

    @property
    def hem(self) -> float:
        """The hem's y in garment coordinates."""
        return _HEMS[self.length] + self.hem_shift

    def classes(self, attribute: str) -> tuple[str, ...]:
        """The garment's classes of one attribute: several only for `details`."""
        value: str | tuple[str, ...] = getattr(self, attribute)
        return (value,) if isinstance(value, str) else value


def deal_garment(seed: int, index: int) -> Garment:
    """Garment `index` of a seed: among every n garments from a multiple of n, each of an attribute's n classes is dealt once."""
    dealt = {attribute: _deal(seed, index, attribute) for attribute in CLASSES}
    rng = stream(seed, Use.GARMENT, index)
    details = _with_another(dealt.pop(DETAILS), rng)
    return Garment(
        seed=seed,
        index=index,
        **dealt,
        details=details,
        waist=float(rng.uniform(0.28, 0.38)),
        flare=float(rng.uniform(-0.02, 0.16)),
        hem_shift=float(rng.uniform(-0.05, 0.05)),
        ease=float(rng.uniform(0.85, 1.25)),
    )


def _deal(seed: int, index: int, attribute: str) -> str:
    # Dealt like cards, not thrown like dice: a small sample has every class as well.
    classes = CLASSES[attribute]
    turn, card = divmod(index, len(classes))
    order = stream(seed, Use.LABELS, list(CLASSES).index(attribute), turn).permutation(len(classes))
    return classes[order[card]]


def _with_another(detail: str, rng: np.random.Generator) -> tuple[str, ...]:
    if detail == NONE or rng.random() > _TOGETHER:
        return (detail,)
    taken = _MIDDLE if detail in _MIDDLE else {detail}
    others = [name for name in CLASSES[DETAILS] if name != NONE and name not in taken]
    return tuple(sorted((detail, others[int(rng.integers(len(others)))])))
