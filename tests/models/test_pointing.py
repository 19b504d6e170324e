"""The pointing game by hand, on maps of two by two and four by four cells."""

import numpy as np
import pytest

from models.pointing import cells_inside, point

LEFT = np.array([[0.0, 0.0, 0.5, 1.0]])


def test_a_cell_is_inside_by_its_centre() -> None:
    # Centres at 1/8, 3/8, 5/8, 7/8. From 0.2 to 0.7 lie the two in the middle; down to 0.375, exclusive, the first alone.
    inside = cells_inside(np.array([[0.2, 0.0, 0.7, 0.375]]), 4, 4)
    np.testing.assert_array_equal(np.argwhere(inside), [[0, 1], [0, 2]])


def test_two_boxes_are_joined_and_rows_are_not_columns() -> None:
    inside = cells_inside(np.array([[0.0, 0.0, 0.3, 0.5], [0.7, 0.5, 1.0, 1.0]]), 2, 3)
    np.testing.assert_array_equal(inside, [[True, False, False], [False, False, True]])


@pytest.mark.parametrize(
    ("attention", "hit"),
    [
        ([[0.1, 0.2], [0.6, 0.1]], 1.0),  # the peak is below on the left
        ([[0.1, 0.6], [0.2, 0.1]], 0.0),
        ([[0.4, 0.4], [0.1, 0.1]], 0.5),  # two peaks, one inside
        ([[0.25, 0.25], [0.25, 0.25]], 0.5),  # an even map earns chance
    ],
)
def test_a_hit_is_a_peak_inside(attention: list[list[float]], hit: float) -> None:
    assert point(np.array(attention), LEFT) == (hit, 0.5)


def test_a_box_outside_the_photo_is_hit_by_nothing() -> None:
    assert point(np.eye(2), np.array([[0.4, 0.4, 0.4, 0.4]])) == (0.0, 0.0)
