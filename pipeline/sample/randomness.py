"""Random numbers that follow from seed, index and use: a photo is the same however many are drawn, and in any order."""

from enum import IntEnum

import numpy as np


class Use(IntEnum):
    """What a stream of random numbers is for; a new use goes last, so that the others keep their numbers."""

    LABELS = 0
    GARMENT = 1
    POSE = 2
    BODY = 3
    BACKGROUND = 4
    OCCLUDER = 5
    CAMERA = 6
    SPLIT = 7
    UNLABELLED = 8


def stream(seed: int, use: Use, *index: int) -> np.random.Generator:
    """The generator of one use and index (a photo, a garment, a block); all numbers are at least 0."""
    # A list, hashed by SeedSequence: with seed + index, neighbouring seeds would share most of their photos.
    return np.random.default_rng([seed, int(use), *index])
