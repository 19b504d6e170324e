"""L_M in both forms, on logits whose probabilities are round numbers."""

from math import log

import keras
import numpy as np
import pytest

from models.grid import Grid
from models.losses.classification import (
    best_l_m,
    labelled,
    labelled_mean,
    published_l_m,
    sigmoid_cells,
    softmax_cells,
)

LOG2 = log(2)
# neck: v, crew | sleeve: none, short, long
NECK_V = [1, 0, 0, 0, 0]
SLEEVE_NONE = [0, 0, 1, 0, 0]


def y(*rows: list[int]) -> np.ndarray:
    return np.float32(rows)


def test_a_cell_is_labelled_if_one_of_its_classes_is_1(grid: Grid) -> None:
    found = np.asarray(labelled(y(NECK_V, SLEEVE_NONE, [0] * 5, [0, 1, 0, 1, 1]), grid))
    np.testing.assert_array_equal(found, [[1, 0], [0, 1], [0, 0], [1, 1]])


def test_the_mean_is_over_labelled_cells_and_0_without_any() -> None:
    cells = np.float32([[1, 7], [3, 7]])
    assert float(labelled_mean(cells, np.float32([[1, 0], [1, 0]]))) == 2.0
    assert float(labelled_mean(cells, np.zeros((2, 2), np.float32))) == 0.0


def test_softmax_knows_only_its_own_attribute(grid: Grid) -> None:
    # sleeve: softmax of (log 2, 0, 0) is 1/2, 1/4, 1/4; neck's large logits must not enter.
    logits = np.float32([[50, -50, LOG2, 0, 0]])
    cells = np.asarray(softmax_cells(y(SLEEVE_NONE), logits, grid))
    np.testing.assert_allclose(cells, [[0, LOG2]], atol=1e-6)  # neck is unlabelled: 0


def test_softmax_divides_several_labels_by_their_number(grid: Grid) -> None:
    cells = np.asarray(softmax_cells(y([0, 0, 1, 1, 0]), np.float32([[0, 0, LOG2, 0, 0]]), grid))
    assert cells[0, 1] == pytest.approx((LOG2 + 2 * LOG2) / 2, abs=1e-6)  # -(log 1/2 + log 1/4) / 2


@pytest.mark.parametrize(
    ("label", "weight", "expected"),
    [
        (NECK_V, 1.0, -log(3 / 4) - log(1 / 2)),  # v right with 3/4, crew denied with 1/2
        ([0, 1, 0, 0, 0], 1.0, -log(1 / 4) - log(1 / 2)),  # v denied with 1/4
        (NECK_V, 4.0, -4 * log(3 / 4) - log(1 / 2)),  # only the positive is weighted
    ],
)
def test_sigmoid_cells(grid: Grid, label: list[int], weight: float, expected: float) -> None:
    logits = np.float32([[log(3), 0, 0, 0, 0]])  # sigmoid: 3/4 and 1/2
    assert float(sigmoid_cells(y(label), logits, grid, weight)[0, 0]) == pytest.approx(expected, abs=1e-6)


def test_published_l_m_is_the_mean_over_an_attributes_classes(grid: Grid) -> None:
    # All logits 0, every term log 2. neck: 2 / 2; sleeve, positives weighing 4: (4 + 1 + 1) / 3 = 2.
    weight = np.float32([1, 1, 4, 4, 4])
    labels = y([1, 0, 1, 0, 0], [0] * 5)  # the second photo has no label and must not count
    got = published_l_m(labels, np.zeros((2, 5), np.float32), grid, weight)
    assert float(got) == pytest.approx((1 + 2) / 2 * LOG2, abs=1e-6)


def test_best_l_m_is_softmax_where_single_and_a_sum_of_sigmoids_where_multi_label(grid: Grid) -> None:
    got = best_l_m(y([1, 0, 1, 0, 0]), np.zeros((1, 5), np.float32), grid, np.array([False, True]))
    assert float(got) == pytest.approx((LOG2 + 3 * LOG2) / 2, abs=1e-6)


def test_huge_logits_stay_finite(grid: Grid) -> None:
    labels, logits = y([1, 0, 0, 1, 0]), np.float32([[-1e4, 1e4, 1e4, -1e4, 1e4]])
    for cells in (softmax_cells(labels, logits, grid), sigmoid_cells(labels, logits, grid)):
        assert np.isfinite(np.asarray(cells)).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_floats_are_summed_in_float32(grid: Grid, dtype: str) -> None:
    logits = keras.ops.cast(np.float32([[0.5, -1.5, 3, 2, -0.25]]), dtype)  # exact in both
    labels = y([1, 0, 0, 1, 0])
    short = published_l_m(labels, logits, grid, 1.0)
    assert keras.backend.standardize_dtype(short.dtype) == "float32"
    assert float(short) == float(published_l_m(labels, keras.ops.cast(logits, "float32"), grid, 1.0))
