"""Outlines as points: float64 (N, 2), x to the right and y down, in the units of whoever draws them."""

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]


def points(*pairs: tuple[float, float]) -> Points:
    """The pairs (x, y) as (N, 2)."""
    return np.array(pairs, dtype=np.float64)


def disc(centre: Points, rx: float, ry: float) -> Points:
    """(25, 2) points of the ellipse round a point (2,)."""
    return ellipse(float(centre[0]), float(centre[1]), rx, ry)


def ellipse(x: float, y: float, rx: float, ry: float, start: float = 0.0, end: float = 360.0) -> Points:
    """(25, 2) points on the ellipse round (x, y), from `start` to `end` degrees: 0 is right, 90 is down."""
    angle = np.radians(np.linspace(start, end, 25))
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


def rectangle(left: float, top: float, right: float, bottom: float) -> Points:
    """The four corners, clockwise from the upper left one."""
    return points((left, top), (right, top), (right, bottom), (left, bottom))


def mirrored(outline: Points) -> Points:
    """The outline on the other side of x = 0, in reverse order so that it goes on where the first one ends."""
    return outline[::-1] * np.array([-1.0, 1.0])


def along(path: Points, start: float, end: float, steps: int = 16) -> Points:
    """(steps, 2) points of the path, evenly spaced between two distances from its first point, at most to its last."""
    travelled = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
    at = np.linspace(start, min(end, travelled[-1]), steps)
    return np.stack([np.interp(at, travelled, path[:, 0]), np.interp(at, travelled, path[:, 1])], axis=1)


def strip(path: Points, first: float, last: float) -> Points:
    """The outline (2 N, 2) of a band round `path` (N, 2) whose half width goes from `first` to `last`."""
    direction = np.gradient(path, axis=0)
    normal = np.stack([-direction[:, 1], direction[:, 0]], axis=1) / np.hypot(*direction.T)[:, None]
    half = np.linspace(first, last, len(path))[:, None]
    return np.concatenate([path + half * normal, (path - half * normal)[::-1]])
