"""The layout of classes: what goes where, and back."""

import numpy as np

from models.grid import Grid


def test_classes_stand_in_their_attribute_and_empty_slots_hold_zero(grid: Grid) -> None:
    spread = np.asarray(grid.spread(np.float32([[1, 2, 3, 4, 5]])))
    np.testing.assert_array_equal(spread, [[[1, 2, 0], [3, 4, 5]]])
    np.testing.assert_array_equal(grid.mask, [[1, 1, 0], [1, 1, 1]])


def test_collect_drops_the_empty_slot(grid: Grid) -> None:
    collected = np.asarray(grid.collect(np.float32([[[1, 2, 99], [3, 4, 5]]])))
    np.testing.assert_array_equal(collected, [[1, 2, 3, 4, 5]])


def test_trailing_axes_travel_along(grid: Grid) -> None:
    x = np.arange(2 * 5 * 4, dtype=np.float32).reshape(2, 5, 4)
    spread = np.asarray(grid.spread(x))
    assert spread.shape == (2, 2, 3, 4)
    np.testing.assert_array_equal(spread[:, 0, 2], 0)
    np.testing.assert_array_equal(np.asarray(grid.collect(spread)), x)
