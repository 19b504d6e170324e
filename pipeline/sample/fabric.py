"""The cloth: a base colour, a pattern printed on it, and folds."""

from collections.abc import Callable

import numpy as np

from pipeline.sample.canvas import Colour, Fabric, Pixels
from pipeline.sample.garment import Garment
from pipeline.sample.pose import Grid
from pipeline.sample.randomness import Use, stream

COLOURS: dict[str, Colour] = {
    "black": (0.11, 0.11, 0.12),
    "blue": (0.16, 0.32, 0.72),
    "brown": (0.44, 0.27, 0.15),
    "green": (0.16, 0.50, 0.27),
    "grey": (0.55, 0.55, 0.56),
    "pink": (0.94, 0.58, 0.70),
    "purple": (0.46, 0.22, 0.58),
    "red": (0.80, 0.13, 0.15),
    "white": (0.94, 0.94, 0.92),
    "yellow": (0.95, 0.79, 0.20),
}
_LIGHT, _DARK = (0.95, 0.93, 0.88), (0.13, 0.13, 0.19)
_SOFT = 0.010
"""Garment units over which a print goes from ground to ink: about a pixel."""

Print = Callable[[Grid, Grid, float, float], Grid]
"""Garment x and y, the repeat's size (1 is usual) and how much ink, in [0, 1], to the share of ink there, in [0, 1]."""


def luminance(colour: Colour) -> float:
    """How light a colour looks, in [0, 1]."""
    return float(np.dot(colour, (0.299, 0.587, 0.114)))


def shade_of(garment: Garment) -> Colour:
    """The garment's own shade of its colour: no two reds are the same."""
    rng = stream(garment.seed, Use.GARMENT, garment.index, 1)
    base = np.array(COLOURS[garment.colour])
    shade = np.clip(base * rng.uniform(0.86, 1.10) + rng.normal(0.0, 0.02, size=3), 0.04, 0.97)
    return float(shade[0]), float(shade[1]), float(shade[2])


def contrast_to(colour: Colour) -> Colour:
    """Off-white on a dark colour, near-black on a light one: ink and trimmings that don't change the colour's name."""
    return _LIGHT if luminance(colour) < 0.5 else _DARK


def seam_of(garment: Garment) -> Colour:
    """The colour of hems, seams and trims: darker than the cloth, or lighter where that would not be seen."""
    red, green, blue = shade_of(garment)
    if luminance((red, green, blue)) < 0.2:
        return red + 0.17, green + 0.17, blue + 0.17
    return 0.66 * red, 0.66 * green, 0.66 * blue


def make_fabric(garment: Garment) -> Fabric:
    """The cloth of a garment; the same function for its body, and for its sleeves in their own coordinates."""
    base = np.array(shade_of(garment), dtype=np.float32)
    ink = np.array(contrast_to(shade_of(garment)), dtype=np.float32)
    rng = stream(garment.seed, Use.GARMENT, garment.index, 2)
    size, much = float(rng.uniform(0.9, 1.3)), float(rng.uniform(0.0, 1.0))
    tilt, wave = (np.float32(value) for value in rng.uniform(0.0, 6.3, size=2))

    def fabric(x: Grid, y: Grid) -> Pixels:
        share = PRINTS[garment.pattern](x, y, size, much)
        # Folds fall from the shoulders; the sides turn away from the light.
        folds = 0.05 * np.sin(11 * x + 2 * np.sin(2.3 * y + wave) + tilt) + 0.03 * np.sin(7 * y - 5 * x + wave)
        light = 1 + folds - 0.55 * np.clip(np.abs(x) - 0.12, 0.0, 0.5) ** 1.5
        return np.clip((base + share[:, :, None] * (ink - base)) * light[:, :, None], 0.0, 1.0)

    return fabric


def _inside(distance: Grid) -> Grid:
    """1 where `distance`, in garment units, is well below 0, 0 well above, a ramp between."""
    return np.clip(0.5 - distance / _SOFT, 0.0, 1.0)


def _bands(across: Grid, period: float, width: float) -> Grid:
    return _inside(np.abs(across % period - period / 2) - width / 2)


def _cells(x: Grid, y: Grid, side: float) -> tuple[Grid, Grid, Grid]:
    """The row of each point's cell in a lattice, odd rows shifted by half a cell, and the point seen from its centre."""
    row = np.floor(y / side)
    across = x / side + 0.5 * (row % 2)
    return row, (across % 1 - 0.5) * side, (y / side - row - 0.5) * side


def _plain(x: Grid, y: Grid, size: float, much: float) -> Grid:  # noqa: ARG001 (a Print without ink)
    return np.zeros_like(x)


def _horizontal(x: Grid, y: Grid, size: float, much: float) -> Grid:  # noqa: ARG001 (the same at every x)
    return _bands(y, 0.115 * size, (0.28 + 0.14 * much) * 0.115 * size)


def _vertical(x: Grid, y: Grid, size: float, much: float) -> Grid:  # noqa: ARG001 (the same at every y)
    return _bands(x, 0.10 * size, (0.25 + 0.15 * much) * 0.10 * size)


def _checks(x: Grid, y: Grid, size: float, much: float) -> Grid:
    period, width = 0.14 * size, (0.35 + 0.15 * much) * 0.14 * size
    # Half the ink a direction, as in gingham: the crossings are darkest.
    return 0.45 * (_bands(x, period, width) + _bands(y, period, width))


def _dots(x: Grid, y: Grid, size: float, much: float) -> Grid:
    side = 0.105 * size
    _, across, down = _cells(x, y, side)
    distance: Grid = np.hypot(across, down)
    return _inside(distance - (0.24 + 0.08 * much) * side)


def _floral(x: Grid, y: Grid, size: float, much: float) -> Grid:
    side = 0.18 * size
    row, across, down = _cells(x, y, side)
    distance: Grid = np.hypot(across, down)
    petals: Grid = (0.29 + 0.13 * np.cos(5 * np.arctan2(down, across) + row + 6 * much)) * side
    flower = _inside(distance - petals) * (1 - _inside(distance - 0.10 * side))
    # A leaf lies in the gap between two flowers of a row.
    gap: Grid = np.hypot(side / 2 - np.abs(across), 0.5 * down)
    leaf = _inside(gap - 0.075 * side)
    return np.maximum(flower, 0.6 * leaf)


PRINTS: dict[str, Print] = {
    "checks": _checks,
    "dots": _dots,
    "floral": _floral,
    "horizontal_stripes": _horizontal,
    "plain": _plain,
    "vertical_stripes": _vertical,
}
