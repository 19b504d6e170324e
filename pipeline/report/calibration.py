"""Calibration: does a class given 80 % turn out right 80 times in 100?"""

from dataclasses import dataclass

import numpy as np

_BINS = 10


@dataclass(frozen=True)
class Bin:
    """The photos whose confidence lies in (low, high]; the means are over them. Fractions."""

    low: float
    high: float
    photos: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """`bins` that hold a photo, lowest first; the other values are over all photos."""

    bins: tuple[Bin, ...]
    photos: int
    confidence: float
    accuracy: float
    error: float


def calibrate(confidence: np.ndarray, right: np.ndarray) -> Calibration:
    """Expected calibration error: |accuracy - confidence| of a bin, averaged over bins by their share of the photos.

    Args:
        confidence: float (n,), n > 0, in [0, 1], the posterior of the likeliest class. right: bool (n,), whether the
            photo shows that class.
    Source: Guo et al., ICML 2017, with ten bins of equal width.
    """
    place = np.clip(np.ceil(confidence * _BINS).astype(int) - 1, 0, _BINS - 1)
    bins = [
        Bin(i / _BINS, (i + 1) / _BINS, int(here.sum()), float(confidence[here].mean()), float(right[here].mean()))
        for i in range(_BINS)
        if (here := place == i).any()
    ]
    error = sum(b.photos * abs(b.accuracy - b.confidence) for b in bins) / len(confidence)
    return Calibration(tuple(bins), len(confidence), float(confidence.mean()), float(right.mean()), error)
