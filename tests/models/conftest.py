"""What the tests of this room share: a taxonomy small enough to work out by hand, and photos whose label one can see."""

import os
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from models.grid import Grid
from models.sampling import Photos
from models.taxonomy import Attribute, Taxonomy

# Two classes and three, so that the grid has an empty slot: M = 5, N = 2, K = 3.
TAXONOMY = Taxonomy((Attribute("neck", ("v", "crew")), Attribute("sleeve", ("none", "short", "long"), multi_label=True)))
COLOURS = np.array([[220, 30, 30], [30, 200, 60], [40, 60, 210]], np.uint8)  # one a sleeve class
SIZE = 32


@pytest.fixture
def taxonomy() -> Taxonomy:
    return TAXONOMY


@pytest.fixture
def grid() -> Grid:
    return Grid(TAXONOMY)


@pytest.fixture(scope="session")
def draw() -> Callable[[int], Photos]:
    """Photos whose colour is the sleeve and whose bright half, left or right, is the neck; every third is a query."""

    def photos(count: int) -> Photos:
        random = np.random.default_rng(count)
        sleeve, neck = random.integers(0, 3, count), random.integers(0, 2, count)
        images = np.repeat(COLOURS[sleeve], SIZE * SIZE, axis=0).reshape(count, SIZE, SIZE, 3)
        dark = (np.arange(SIZE) < SIZE // 2) == neck[:, None].astype(bool)  # (count, SIZE)
        images = np.where(dark[:, None, :, None], images // 3, images)
        labels = np.zeros((count, 5), np.uint8)
        labels[np.arange(count), neck] = 1
        labels[np.arange(count), 2 + sleeve] = 1
        roles = ["query" if i % 3 == 0 else "candidate" for i in range(count)]
        return Photos(images, np.arange(count), labels, [f"{i:03}" for i in range(count)], roles)

    return photos
