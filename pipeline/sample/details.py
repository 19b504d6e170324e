"""What is sewn on the garment: belt, bow, buttons, pocket, zip."""

from collections.abc import Callable

import numpy as np

from pipeline.sample.canvas import Canvas, Colour
from pipeline.sample.classes import NONE
from pipeline.sample.fabric import contrast_to, luminance, seam_of, shade_of
from pipeline.sample.garment import Garment
from pipeline.sample.randomness import Use, stream
from pipeline.sample.shapes import Points, ellipse, mirrored, points, rectangle
from pipeline.sample.silhouette import body_outline, half_width

_FRONT = 0.43
"""Where buttons and zip begin: below the deepest neckline, so that they say nothing about it."""
_BRASS, _STEEL = (0.80, 0.66, 0.30), (0.78, 0.79, 0.82)
_BELTS: tuple[Colour, ...] = ((0.10, 0.09, 0.09), (0.36, 0.20, 0.10), (0.72, 0.52, 0.32), (0.90, 0.88, 0.84))
_RIBBONS: tuple[Colour, ...] = ((0.78, 0.10, 0.18), (0.10, 0.12, 0.30), (0.95, 0.92, 0.90), (0.10, 0.10, 0.10))


def draw_details(canvas: Canvas, garment: Garment) -> list[tuple[str, Points]]:
    """Draws the garment's details.

    Returns: each class with the outline of where it shows; `none` shows on the whole body.
    """
    return [(name, _DETAILS[name](canvas, garment)) for name in _ORDER if name in garment.details]


def _most_visible(garment: Garment, choices: tuple[Colour, ...]) -> Colour:
    """One of the two choices that differ most from the cloth in lightness."""
    cloth = luminance(shade_of(garment))
    ranked = sorted(choices, key=lambda choice: -abs(luminance(choice) - cloth))
    return ranked[int(stream(garment.seed, Use.GARMENT, garment.index, 3).integers(2))]


def _draw_none(canvas: Canvas, garment: Garment) -> Points:  # noqa: ARG001 (nothing to draw)
    return body_outline(garment)


def _draw_pocket(canvas: Canvas, garment: Garment) -> Points:
    side = -1.0 if garment.index % 2 else 1.0
    patch = points((0.10, 0.33), (0.27, 0.33), (0.27, 0.47), (0.185, 0.51), (0.10, 0.47)) * np.array([side, 1.0])
    seam = seam_of(garment)
    canvas.fill(patch, seam, 0.4)
    for start in range(len(patch)):
        canvas.line(patch.take([start, start + 1], axis=0, mode="wrap"), 0.015, seam)
    canvas.line(patch[:2] + np.array([0.0, 0.025]), 0.03, seam)
    return patch


def _draw_buttons(canvas: Canvas, garment: Garment) -> Points:
    last = garment.hem - 0.07
    placket = rectangle(-0.045, _FRONT - 0.035, 0.045, garment.hem)
    canvas.line(placket[[0, 3]], 0.012, seam_of(garment), 0.8)
    canvas.line(placket[[1, 2]], 0.012, seam_of(garment), 0.8)
    colour = contrast_to(shade_of(garment))
    for y in np.linspace(_FRONT, last, max(3, round((last - _FRONT) / 0.12) + 1)).tolist():
        canvas.fill(ellipse(0.004, y + 0.006, 0.034, 0.034), (0.05, 0.05, 0.05), 0.5)
        canvas.fill(ellipse(0.0, y, 0.030, 0.030), colour)
        canvas.fill(ellipse(0.0, y, 0.009, 0.009), seam_of(garment))
    return placket


def _draw_zip(canvas: Canvas, garment: Garment) -> Points:
    tape = rectangle(-0.032, _FRONT - 0.02, 0.032, garment.hem)
    canvas.fill(tape, (0.16, 0.16, 0.18))
    for y in np.arange(_FRONT, garment.hem - 0.01, 0.024).tolist():
        canvas.line(points((-0.014, y), (0.014, y)), 0.012, _STEEL)
    puller = rectangle(-0.026, _FRONT - 0.02, 0.026, _FRONT + 0.085)
    canvas.fill(puller, _STEEL)
    canvas.fill(ellipse(0.0, _FRONT + 0.05, 0.012, 0.018), (0.25, 0.25, 0.27))
    return tape


def _draw_belt(canvas: Canvas, garment: Garment) -> Points:
    y = min(0.72, garment.hem - 0.10)
    half = half_width(garment, y) + 0.005
    band = rectangle(-half, y - 0.036, half, y + 0.036)
    canvas.fill(band, _most_visible(garment, _BELTS))
    canvas.fill(rectangle(-0.06, y - 0.05, 0.06, y + 0.05), _BRASS)
    canvas.fill(rectangle(-0.036, y - 0.028, 0.036, y + 0.028), (0.15, 0.12, 0.10))
    canvas.line(points((-0.036, y), (0.02, y)), 0.014, _BRASS)
    return np.concatenate([band, points((0.0, y - 0.05), (0.0, y + 0.05))])


def _draw_bow(canvas: Canvas, garment: Garment) -> Points:
    y = _FRONT + 0.02
    red, green, blue = _most_visible(garment, _RIBBONS)
    shadow = (0.7 * red, 0.7 * green, 0.7 * blue)
    loop = points((0.0, y), (0.09, y - 0.075), (0.145, y - 0.055), (0.15, y + 0.045), (0.09, y + 0.06))
    tail = points((0.0, y), (0.035, y), (0.085, y + 0.15), (0.045, y + 0.135), (0.02, y + 0.155))
    for half in (np.copy, mirrored):
        canvas.fill(half(tail), shadow)
        canvas.fill(half(loop), (red, green, blue))
        canvas.line(half(points((0.02, y), (0.10, y - 0.005))), 0.014, shadow)
    canvas.fill(ellipse(0.0, y, 0.032, 0.036), shadow)
    return np.concatenate([loop, mirrored(loop), tail, mirrored(tail)])


_DETAILS: dict[str, Callable[[Canvas, Garment], Points]] = {
    NONE: _draw_none,
    "pocket": _draw_pocket,
    "buttons": _draw_buttons,
    "zip": _draw_zip,
    "belt": _draw_belt,
    "bow": _draw_bow,
}
_ORDER = tuple(_DETAILS)
"""From the cloth outwards: a belt goes over the buttons, a bow over both."""
