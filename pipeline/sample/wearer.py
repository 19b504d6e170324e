"""Who wears the garment: a figure, or a hanger; what of either lies behind it, and what in front."""

from dataclasses import dataclass

import numpy as np

from pipeline.sample.canvas import Canvas, Colour
from pipeline.sample.necklines import on_shoulder
from pipeline.sample.randomness import Use, stream
from pipeline.sample.shapes import Points, along, disc, ellipse, mirrored, points, strip

_SKINS: tuple[Colour, ...] = (
    (0.97, 0.85, 0.76),
    (0.91, 0.74, 0.61),
    (0.78, 0.58, 0.43),
    (0.60, 0.41, 0.28),
    (0.42, 0.28, 0.20),
    (0.86, 0.84, 0.81),  # a mannequin
)
_HAIRS: tuple[Colour, ...] = ((0.10, 0.08, 0.07), (0.28, 0.17, 0.10), (0.50, 0.32, 0.16), (0.82, 0.66, 0.38), (0.6, 0.6, 0.6))
_CLOTHS: tuple[Colour, ...] = (
    (0.20, 0.27, 0.42),
    (0.12, 0.12, 0.14),
    (0.70, 0.62, 0.50),
    (0.90, 0.89, 0.86),
    (0.35, 0.36, 0.34),
)
_WOOD, _WIRE = (0.72, 0.52, 0.32), (0.62, 0.63, 0.65)


@dataclass(frozen=True)
class Wearer:
    """A figure, or a hanger.

    Attributes:
        hanger: nobody; the rest then says nothing.
        skin, hair, cloth: colours, the last that of skirt or trousers.
        skirt: a skirt, not trousers; long_hair: locks fall over one shoulder or both, `locks`: -1 left, 1 right.
    """

    hanger: bool
    skin: Colour
    hair: Colour
    cloth: Colour
    skirt: bool
    locks: tuple[int, ...]


def deal_wearer(seed: int, index: int) -> Wearer:
    """The wearer in photo `index`: one photo in six shows a hanger, and a third of the figures have long hair."""
    rng = stream(seed, Use.BODY, index)
    return Wearer(
        hanger=bool(rng.random() < 1 / 6),
        skin=_SKINS[int(rng.integers(len(_SKINS)))],
        hair=_HAIRS[int(rng.integers(len(_HAIRS)))],
        cloth=_CLOTHS[int(rng.integers(len(_CLOTHS)))],
        skirt=bool(rng.random() < 0.35),
        locks=((), (), (), (), (-1,), (1,), (-1, 1))[int(rng.integers(7))],
    )


def _darker(colour: Colour, by: float = 0.82) -> Colour:
    return by * colour[0], by * colour[1], by * colour[2]


def draw_behind(canvas: Canvas, wearer: Wearer) -> None:
    """Draws what the garment will cover."""
    if wearer.hanger:
        _draw_hanger(canvas)
        return
    canvas.fill(ellipse(0.0, -0.45, 0.165, 0.21), wearer.hair)
    for side in wearer.locks:
        canvas.fill(ellipse(0.10 * side, -0.20, 0.11, 0.30), _darker(wearer.hair))
    _draw_lower_body(canvas, wearer)
    for side in (-1, 1):
        _draw_arm(canvas, wearer.skin, side)
    _draw_upper_body(canvas, wearer.skin)


def draw_in_front(canvas: Canvas, wearer: Wearer) -> None:
    """Draws what lies over the garment: locks of long hair, which may hide a part of the neckline."""
    if wearer.hanger:
        return
    for side in wearer.locks:
        lock = points((0.13, -0.42), (0.15, -0.22), (0.19, -0.05), (0.20, 0.12), (0.17, 0.27)) * np.array([side, 1.0])
        canvas.fill(strip(along(lock, 0.0, 1.0, 12), 0.04, 0.012), wearer.hair)
        canvas.line(lock[1:], 0.012, _darker(wearer.hair))


def _draw_hanger(canvas: Canvas) -> None:
    hook = np.concatenate([ellipse(0.0, -0.25, 0.05, 0.055, 150.0, 450.0), points((0.0, -0.17), (0.0, -0.06))])
    canvas.line(hook, 0.02, _WIRE)
    half = points((0.0, -0.11), (0.12, -0.08), (0.38, 0.03), (0.37, 0.07), (0.0, -0.03))
    for outline in (half, mirrored(half)):
        canvas.fill(outline, _WOOD)


def _draw_upper_body(canvas: Canvas, skin: Colour) -> None:
    half = points(
        (0.085, -0.30), (0.085, -0.12), on_shoulder(0.14), (0.36, 0.04), (0.31, 0.20), (0.32, 0.30), (0.27, 0.72), (0.30, 0.90)
    )
    canvas.fill(np.concatenate([half, mirrored(half)]), skin)
    # Under the chin; it gives the head a distance.
    canvas.fill(ellipse(0.0, -0.24, 0.085, 0.07, 0.0, 180.0), _darker(skin))
    canvas.fill(ellipse(0.0, -0.42, 0.125, 0.17), skin)
    for side in (-1.0, 1.0):
        canvas.line(points((0.03 * side, 0.035), (0.20 * side, 0.01)), 0.012, _darker(skin), 0.7)


def _draw_arm(canvas: Canvas, skin: Colour, side: int) -> None:
    arm = canvas.pose.arm(side)
    canvas.fill(disc(arm[0], 0.085, 0.085), skin)
    canvas.fill(strip(along(arm, 0.0, 0.94), 0.082, 0.048), skin)
    canvas.fill(disc(arm[2] + 0.12 * (arm[2] - arm[1]), 0.05, 0.075), skin)


def _draw_lower_body(canvas: Canvas, wearer: Wearer) -> None:
    leg = points((0.01, 0.95), (0.37, 1.05), (0.30, 1.55), (0.25, 2.2), (0.10, 2.2), (0.05, 1.3))
    for outline in (leg, mirrored(leg)):
        canvas.fill(outline, wearer.skin)
    if wearer.skirt:
        canvas.fill(_skirt(), wearer.cloth)
        return
    trouser = points((0.0, 0.82), (0.29, 0.82), (0.36, 1.07), (0.32, 1.55), (0.29, 2.2), (0.08, 2.2), (0.02, 1.2), (0.0, 1.15))
    for outline in (trouser, mirrored(trouser)):
        canvas.fill(outline, wearer.cloth)
    canvas.line(points((0.0, 0.85), (0.0, 1.2)), 0.012, _darker(wearer.cloth, 0.7))


def _skirt() -> Points:
    half = points((0.0, 0.80), (0.29, 0.80), (0.36, 1.06), (0.41, 1.40), (0.0, 1.42))
    return np.concatenate([half, mirrored(half)])
