"""Antialiased filling of outlines, in garment coordinates, with a colour or a fabric."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from pipeline.sample.pose import Box, Grid, Pose
from pipeline.sample.shapes import Points, strip

Pixels = npt.NDArray[np.float32]
"""(height, width, 3), red, green and blue in [0, 1]."""

Colour = tuple[float, float, float]
"""Red, green and blue in [0, 1]."""

Fabric = Callable[[Grid, Grid], Pixels]
"""Garment x and y, each (height, width), to the colour there."""

_SAMPLES = 3
"""Subpixels a pixel's side; 4 looks no better and costs 40 % more of the drawing's time."""


def coverage(outline: Points, box: Box) -> Grid:
    """How much of each pixel the outline (N, 2), in pixels, covers: (box height, box width), in [0, 1]."""
    width, height = box.right - box.left, box.bottom - box.top
    mask = Image.new("L", (width * _SAMPLES, height * _SAMPLES))
    corners = (outline - [box.left, box.top]) * _SAMPLES - 0.5
    ImageDraw.Draw(mask).polygon([tuple(corner) for corner in corners.tolist()], fill=255)
    return np.asarray(mask.reduce(_SAMPLES), dtype=np.float32) / np.float32(255.0)


class Canvas:
    """Pixels to draw on, seen in a pose. `pixels` are changed in place; outlines may leave the photo."""

    def __init__(self, pixels: Pixels, pose: Pose) -> None:
        self.pixels = pixels
        self.pose = pose

    def fill(self, outline: Points, paint: Colour | Fabric, opacity: float = 1.0) -> None:
        """Lays `paint` inside the outline, (N, 2) in garment coordinates, over what is there."""
        box = self.pose.box(outline)
        if box.left >= box.right or box.top >= box.bottom:
            return
        weight = np.float32(opacity) * coverage(self.pose.to_pixels(outline), box)[:, :, None]
        under = self.pixels[box.top : box.bottom, box.left : box.right]
        colour = paint(*self.pose.to_garment(box)) if callable(paint) else np.array(paint, dtype=np.float32)
        under += weight * (colour - under)

    def line(self, path: Points, width: float, paint: Colour | Fabric, opacity: float = 1.0) -> None:
        """A line along `path` (N, 2) that is `width` garment units wide, and at least a pixel."""
        half = max(width, 1.0 / self.pose.scale) / 2.0
        self.fill(strip(path, half, half), paint, opacity)
