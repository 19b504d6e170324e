"""The garment's body and sleeves; the neckline cuts into the body, the hem ends it."""

import numpy as np

from pipeline.sample.canvas import Canvas, Fabric, Pixels
from pipeline.sample.fabric import seam_of
from pipeline.sample.garment import Garment
from pipeline.sample.necklines import on_shoulder, opening
from pipeline.sample.pose import Grid
from pipeline.sample.shapes import Points, along, disc, ellipse, mirrored, points, strip

_ARMPIT = 0.30
_SLEEVE_ENDS = {"sleeveless": 0.0, "short": 0.22, "elbow": 0.50, "long": 0.90}
"""Distance from the shoulder along the arm; the elbow is at 0.5, the wrist at 0.94."""
_BARE = 0.22
"""How far down the arm one looks to see that there is no sleeve."""


def half_width(garment: Garment, y: float) -> float:
    """The body's half width at `y` below the armpits, in garment units."""
    heights = [_ARMPIT, 0.72, 1.06, 1.45]
    widths = [0.365, garment.waist, 0.37 + 0.4 * garment.flare, 0.37 + 1.2 * garment.flare]
    return float(np.interp(y, heights, widths))


def hem_line(garment: Garment) -> Points:
    """The hem from right to left, (25, 2): it hangs a little lower in the middle."""
    return ellipse(0.0, garment.hem, half_width(garment, garment.hem), 0.025, 0.0, 180.0)


def body_outline(garment: Garment) -> Points:
    """The outline of the garment without sleeves and collar, (N, 2)."""
    flank = points(*((half_width(garment, y), y) for y in np.linspace(_ARMPIT, garment.hem, 24).tolist()))
    side = np.concatenate([_armhole(garment), flank])
    return np.concatenate([opening(garment.neckline), side, hem_line(garment), mirrored(side)])


def _armhole(garment: Garment) -> Points:
    if garment.sleeve_length == "sleeveless":
        return points(on_shoulder(0.37), (0.335, 0.10), (0.33, 0.19), (0.345, 0.26))
    return points(on_shoulder(0.42), (0.40, 0.12), (0.385, 0.22))


def draw_sleeves(canvas: Canvas, garment: Garment, fabric: Fabric) -> list[Points]:
    """Draws both sleeves, the left one of the photo first.

    Returns: for each side the outline of where the sleeve's length shows: the sleeve, or the bare shoulder and upper arm.
    """
    return [_draw_sleeve(canvas, garment, fabric, side) for side in (-1, 1)]


def _draw_sleeve(canvas: Canvas, garment: Garment, fabric: Fabric, side: int) -> Points:
    end = _SLEEVE_ENDS[garment.sleeve_length]
    arm = canvas.pose.arm(side)
    hole = _armhole(garment) * np.array([side, 1.0])
    if end == 0.0:
        return np.concatenate([strip(along(arm, 0.0, _BARE), 0.09, 0.08), hole])
    path = along(arm, 0.0, end)
    cap = disc(arm[0], 0.125, 0.115)
    cuff = (0.115 - 0.045 * end) * garment.ease
    sleeve = strip(path, 0.125, cuff)
    turned = _turned(fabric, arm)
    canvas.fill(cap, turned)
    canvas.fill(sleeve, turned)
    # A strip's outline turns back at its end.
    canvas.line(sleeve[len(path) - 1 : len(path) + 1], 0.022, seam_of(garment))
    return np.concatenate([cap, sleeve, hole])


def _turned(fabric: Fabric, arm: Points) -> Fabric:
    """The fabric cut along the arm, and a little darker: the arms are farther back than the chest."""
    (ax, ay), (bx, by) = arm[0], arm[1]
    sine, cosine = np.float32((bx - ax) / 0.5), np.float32((by - ay) / 0.5)

    def turned(x: Grid, y: Grid) -> Pixels:
        dx, dy = x - np.float32(ax), y - np.float32(ay)
        return np.float32(0.92) * fabric(cosine * dx - sine * dy, sine * dx + cosine * dy)

    return turned


def draw_body(canvas: Canvas, garment: Garment, fabric: Fabric) -> Points:
    """Draws the garment's body over its sleeves, with seams.

    Returns: the outline of where the length shows, a band round the hem.
    """
    canvas.fill(body_outline(garment), fabric)
    seam = seam_of(garment)
    hem = hem_line(garment)
    canvas.line(hem - np.array([0.0, 0.03]), 0.012, seam, 0.7)
    for side in (-1, 1):
        canvas.line(_armhole(garment) * np.array([side, 1.0]), 0.016, seam, 0.8)
    return np.concatenate([hem + np.array([0.0, 0.05]), hem - np.array([0.0, 0.10])])
