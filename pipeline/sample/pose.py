"""Where the garment stands in the photo: garment coordinates to pixels, and the boxes that follow."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.sample.randomness import Use, stream
from pipeline.sample.shapes import Points, points

Grid = npt.NDArray[np.float32]


class Box(NamedTuple):
    """Whole pixels from (left, top) up to, and without, (right, bottom)."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class Pose:
    """An affine view of garment coordinates, and how the arms hang.

    Garment coordinates: the shoulders lie at y = 0, x = -0.42 and 0.42; the waist at y = 0.72, a knee-length hem at 1.45.

    Attributes:
        width, height: the photo's size in pixels.
        matrix: (2, 2), pixels a garment unit; shift: (2,), the pixel of the garment's origin.
        lifts: degrees between upper arm and body, left and right of the photo; bends: the elbows' degrees.
    """

    width: int
    height: int
    matrix: Points
    shift: Points
    lifts: tuple[float, float]
    bends: tuple[float, float]

    @property
    def scale(self) -> float:
        """Pixels a garment unit, the mean of both axes."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix))))

    def to_pixels(self, outline: Points) -> Points:
        """Garment coordinates (N, 2) as pixels (N, 2)."""
        return outline @ self.matrix.T + self.shift

    def to_garment(self, box: Box) -> tuple[Grid, Grid]:
        """Garment x and y, each float32 (box height, box width), at the centres of the box's pixels."""
        inverse = np.linalg.inv(self.matrix)
        x = np.arange(box.left, box.right, dtype=np.float32) + np.float32(0.5 - self.shift[0])
        y = np.arange(box.top, box.bottom, dtype=np.float32)[:, None] + np.float32(0.5 - self.shift[1])
        a, b, c, d = (np.float32(value) for value in inverse.ravel())
        return a * x + b * y, c * x + d * y

    def box(self, outline: Points) -> Box:
        """The box round an outline in garment coordinates, as far as it lies in the photo; empty if it doesn't."""
        pixels = self.to_pixels(outline)
        left, top = np.floor(pixels.min(axis=0))
        right, bottom = np.ceil(pixels.max(axis=0))
        return Box(
            int(np.clip(left, 0, self.width)),
            int(np.clip(top, 0, self.height)),
            int(np.clip(right, 0, self.width)),
            int(np.clip(bottom, 0, self.height)),
        )

    def arm(self, side: int) -> Points:
        """Shoulder, elbow and wrist, (3, 2); side -1 is left in the photo, 1 right. Upper arm 0.5, forearm 0.44 long."""
        lift, bend = (values[side > 0] for values in (self.lifts, self.bends))
        upper, fore = np.radians([lift, lift - bend])
        shoulder = np.array([0.35, 0.11])
        elbow = shoulder + 0.50 * np.array([np.sin(upper), np.cos(upper)])
        wrist = elbow + 0.44 * np.array([np.sin(fore), np.cos(fore)])
        return points(tuple(shoulder), tuple(elbow), tuple(wrist)) * np.array([side, 1.0])


def deal_pose(seed: int, index: int) -> Pose:
    """The pose of photo `index`: 160-208 x 216-264 pixels, turned by at most 9 degrees."""
    rng = stream(seed, Use.POSE, index)
    height = int(rng.integers(216, 265))
    width = int(height * rng.uniform(0.74, 0.79))
    angle = np.radians(np.clip(rng.normal(0.0, 4.0), -9.0, 9.0))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    # Narrower than tall: somebody who stands a little sideways; the shear is a hip put out.
    view = np.array([[rng.uniform(0.86, 1.02), rng.normal(0.0, 0.025)], [0.0, 1.0]])
    low, high = sorted(rng.uniform(12.0, 29.0, size=2))
    lifts = (low, high) if rng.random() < 0.5 else (high, low)
    return Pose(
        width=width,
        height=height,
        matrix=height * rng.uniform(0.38, 0.46) * turn @ view,
        shift=np.array([width * rng.uniform(0.45, 0.55), height * rng.uniform(0.20, 0.25)]),
        lifts=(float(lifts[0]), float(lifts[1])),
        # Never past the vertical: the sleeves are drawn behind the garment's body, which would hide them.
        bends=(float(lifts[0] * rng.uniform(-0.1, 0.6)), float(lifts[1] * rng.uniform(-0.1, 0.6))),
    )
