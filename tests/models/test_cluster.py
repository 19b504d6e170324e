"""Class centres, and the loss that draws photos to them, by hand."""

import numpy as np
import pytest

from models.centres import ClassCentres, attribute_centres, batch_centres
from models.grid import Grid
from models.losses.cluster import cluster_loss, prototype_loss

A, P, N = np.float32([1, 0]), np.float32([0.6, 0.8]), np.float32([0.8, 0.6])
V, CREW, UNLABELLED = [1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0]


def test_the_batchs_mean_is_of_unit_vectors_and_only_of_positives() -> None:
    phi = np.float32([[[3, 4]], [[0, 2]], [[9, 9]]])  # one class; the third photo lacks it
    mean, seen = batch_centres(phi, np.float32([[1], [1], [0]]))
    np.testing.assert_allclose(np.asarray(mean), [[0.3, 0.9]], atol=1e-6)  # of (0.6, 0.8) and (0, 1)
    assert bool(np.asarray(seen)[0, 0])


def test_a_vector_an_attribute_counts_for_all_its_classes(grid: Grid) -> None:
    f = np.float32([[[3, 4], [0, 2]], [[0, 1], [5, 0]]])
    y = np.float32([[1, 0, 0, 1, 1], [1, 0, 0, 1, 0]])
    mean, seen = attribute_centres(f, y, grid)
    expected = [[0.3, 0.9], [0, 0], [0, 0], [0.5, 0.5], [0, 1]]  # of (0.6, 0.8) and (0, 1); of (0, 1) and (1, 0)
    np.testing.assert_allclose(np.asarray(mean), expected, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(seen)[:, 0], [True, False, False, True, True])


def test_centres_move_a_tenth_of_the_way_and_rest_without_a_positive() -> None:
    centres = ClassCentres(2, 2)
    y = np.float32([[1, 0]])
    centres.update(*batch_centres(np.float32([[[3, 4], [1, 1]]]), y), decay=0.9)
    np.testing.assert_allclose(np.asarray(centres.centres), [[0.06, 0.08], [0, 0]], atol=1e-6)
    returned = centres.update(*batch_centres(np.float32([[[0, 5], [1, 1]]]), y), decay=0.9)
    expected = [[0.054, 0.172], [0, 0]]  # 0.9 (0.06, 0.08) + 0.1 (0, 1)
    np.testing.assert_allclose(np.asarray(centres.centres), expected, atol=1e-6)
    np.testing.assert_allclose(np.asarray(returned), expected, atol=1e-6)
    assert not centres.trainable_variables


def test_violating_triplets_by_hand(grid: Grid) -> None:
    # v's centre is A, crew's is (0, 1); margin 0.3. cos(A, N) = 0.8, cos(A, P) = 0.6, cos(N, P) = 0.96.
    # photo 0, v, at A: 0.3 + 0.6 - 1 < 0, closed. photo 1, v, at N: 0.3 + 0.96 - 0.8 = 0.46.
    # photo 2, crew, at P: 0.3 + 0.6 - 0.8 = 0.1 against photo 0, 0.3 + 0.96 - 0.8 = 0.46 against photo 1.
    # photo 3 has no neck label: it would be a negative of everything.
    phi = np.repeat(np.stack([A, 2 * N, 3 * P, P])[:, None], 5, axis=1)
    centres = np.float32([[7, 0], [0, 1], [0, 0], [0, 0], [0, 0]])
    got = cluster_loss(np.float32([V, V, CREW, UNLABELLED]), phi, centres, grid, margin=0.3)
    assert float(got) == pytest.approx((0.46 + 0.1 + 0.46) / 3, abs=1e-6)


def test_nothing_violates_nothing_costs(grid: Grid) -> None:
    phi = np.repeat(np.stack([A, -A])[:, None], 5, axis=1)
    got = cluster_loss(np.float32([V, CREW]), phi, np.float32([[1, 0], [-1, 0], [0, 0], [0, 0], [0, 0]]), grid)
    assert float(got) == 0.0


def test_prototype_loss_by_hand(grid: Grid) -> None:
    # sleeve alone: prototypes along the axes; the second photo has two classes, which do not repel each other.
    prototypes = np.zeros((5, 3), np.float32)
    prototypes[2:] = 7 * np.eye(3)
    f = np.zeros((2, 2, 3), np.float32)
    f[0, 1], f[1, 1] = [0.6, 0.8, 0], [0, 0.6, 0.8]
    labels = np.float32([[1, 0, 1, 0, 0], [0, 0, 0, 1, 1]])  # neck is labelled, but has no prototype
    first = (0.2 + 0.8 - 0.6 + 0) / 2  # 0.2 + 0 - 0.6 is below zero
    second, third = 0, 0  # 0.2 + 0 - 0.6 and 0.2 + 0 - 0.8
    got = prototype_loss(labels, f, prototypes, grid, 0.2)
    assert float(got) == pytest.approx((first + second + third) / 3, abs=1e-6)
    wide = [((0.7 + 0.8 - 0.6) + (0.7 - 0.6)) / 2, 0.7 - 0.6, 0]
    assert float(prototype_loss(labels, f, prototypes, grid, 0.7)) == pytest.approx(sum(wide) / 3, abs=1e-6)
    assert float(prototype_loss(labels, f, np.zeros((5, 3), np.float32), grid)) == 0
