"""The six necklines: what each cuts out of the garment's body, and the collar it adds."""

from collections.abc import Callable

import numpy as np

from pipeline.sample.canvas import Canvas, Fabric
from pipeline.sample.fabric import seam_of, shade_of
from pipeline.sample.garment import Garment
from pipeline.sample.shapes import Points, ellipse, mirrored, points, rectangle


def on_shoulder(x: float) -> tuple[float, float]:
    """The point of the shoulder line at `x`: it falls from the neck, y = -0.06, to y = 0.04 at x = 0.42."""
    return x, -0.06 + 0.3125 * (abs(x) - 0.10)


def opening(neckline: str) -> Points:
    """The edge of the cut, (N, 2), from the left shoulder line over the chest to the right one."""
    return _OPENINGS[neckline]


def _between(half: float, *chest: tuple[float, float]) -> Points:
    return points(on_shoulder(-half), *chest, on_shoulder(half))


_OPENINGS = {
    "boat": ellipse(0.0, on_shoulder(0.31)[1], 0.31, 0.075, 180.0, 0.0),
    "round": ellipse(0.0, on_shoulder(0.175)[1], 0.175, 0.20, 180.0, 0.0),
    "shirt_collar": _between(0.11, (0.0, 0.17)),
    "square": _between(0.215, (-0.20, 0.20), (0.20, 0.20)),
    "turtleneck": _between(0.115),
    "v_neck": _between(0.16, (0.0, 0.38)),
}


def draw_inside(canvas: Canvas, garment: Garment) -> None:
    """Draws the inner side of the back, which shows through the neckline of a garment that nobody wears."""
    edge = opening(garment.neckline)
    red, green, blue = (0.5 * value for value in shade_of(garment))
    back = ellipse(0.0, edge[0, 1], float(edge[-1, 0]), 0.02, 0.0, 180.0)
    canvas.fill(np.concatenate([edge, back]), (red, green, blue))


def draw_neckline(canvas: Canvas, garment: Garment, fabric: Fabric) -> Points:
    """Draws trim or collar on the garment's body.

    Returns: the outline of where the neckline shows.
    """
    edge = opening(garment.neckline)
    collar = _COLLARS.get(garment.neckline)
    if collar is None:
        canvas.line(edge, 0.032, seam_of(garment))
    shown = edge if collar is None else np.concatenate([edge, collar(canvas, garment, fabric)])
    left, top = shown.min(axis=0) - 0.025
    right, bottom = shown.max(axis=0) + 0.025
    return rectangle(left, top, right, bottom)


def _draw_turtleneck(canvas: Canvas, garment: Garment, fabric: Fabric) -> Points:
    top = ellipse(0.0, -0.19, 0.105, 0.022, 180.0, 0.0)
    tube = np.concatenate([top, ellipse(0.0, -0.045, 0.135, 0.05, 0.0, 180.0)])
    canvas.fill(tube, fabric)
    seam = seam_of(garment)
    # The fold that tells a turned-down collar from a plain stand.
    for y, half, opacity in ((-0.185, 0.105, 0.9), (-0.085, 0.124, 0.6), (-0.045, 0.135, 1.0)):
        canvas.line(ellipse(0.0, y, half, 0.045, 180.0, 0.0), 0.014, seam, opacity)
    return tube


def _draw_shirt_collar(canvas: Canvas, garment: Garment, fabric: Fabric) -> Points:
    leaf = points((0.085, -0.135), (0.0, 0.13), (0.105, 0.20), (0.205, -0.025), (0.13, -0.09))
    seam = seam_of(garment)
    canvas.line(points((0.0, 0.15), (0.0, 0.34)), 0.014, seam)
    for outline in (leaf, mirrored(leaf)):
        canvas.fill(outline, fabric)
        for start in range(len(outline)):
            canvas.line(outline.take([start, start + 1], axis=0, mode="wrap"), 0.014, seam)
    return np.concatenate([leaf, mirrored(leaf), points((0.0, 0.34))])


_COLLARS: dict[str, Callable[[Canvas, Garment, Fabric], Points]] = {
    "shirt_collar": _draw_shirt_collar,
    "turtleneck": _draw_turtleneck,
}
