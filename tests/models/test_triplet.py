"""The hinge on both sides, and L_CI against a slow twin that loops over anchors."""

import keras
import numpy as np
import pytest

from models.grid import Grid
from models.losses.triplet import (
    attribute_loss,
    cosine_triplet_loss,
    drawn_triplet_loss,
    instance_loss,
    negatives_of,
)
from models.taxonomy import Taxonomy

# Unit vectors off the 3-4-5 triangle, so that each cosine can be checked by eye: cos(A, P) = 0.6, cos(A, N) = 0.8.
A, P, N = np.float32([1, 0]), np.float32([0.6, 0.8]), np.float32([0.8, 0.6])


@pytest.mark.parametrize(
    ("positive", "negative", "margin", "expected"),
    [
        (P, N, 0.2, 0.4),  # 0.2 + 0.8 - 0.6: open
        (N, P, 0.3, 0.1),  # 0.3 + 0.6 - 0.8: barely open
        (N, P, 0.1, 0.0),  # 0.1 + 0.6 - 0.8 < 0: closed
    ],
)
def test_hinge_on_both_sides_of_zero(positive: np.ndarray, negative: np.ndarray, margin: float, expected: float) -> None:
    got = cosine_triplet_loss(A, 5 * positive, 3 * negative, margin)  # lengths must not matter
    assert float(got) == pytest.approx(expected, abs=1e-6)


def test_bfloat16_is_upcast() -> None:
    # bfloat16 keeps 0.99609375 and 1.0 apart, but not the cosines of vectors that near: they need float32.
    a, p, n = (keras.ops.cast(np.float32([1, x]), "bfloat16") for x in (0, 0.0625, 0.03125))
    expected = 0.2 + 1 / np.hypot(1, 0.03125) - 1 / np.hypot(1, 0.0625)
    assert float(cosine_triplet_loss(a, p, n, 0.2)) == pytest.approx(expected, abs=1e-6)


def test_a_negative_is_labelled_for_the_attribute_and_lacks_the_class(grid: Grid) -> None:
    labels = np.float32([[1, 0, 0, 0, 0], [0, 0, 1, 1, 0], [0, 1, 0, 1, 0]])
    expected = [
        [0, 0, 1],  # v: photo 1 has no neck label
        [1, 0, 0],  # crew
        [0, 0, 1],  # none: photo 1 has it among others
        [0, 0, 0],  # short: both labelled photos have it
        [0, 1, 1],  # long
    ]
    np.testing.assert_array_equal(np.asarray(negatives_of(labels, grid)), np.array(expected, bool))


def phi_of(*vectors: np.ndarray) -> np.ndarray:
    """The same vectors (B, 2) under each of the five classes: (B, 5, 2)."""
    return np.repeat(np.stack(vectors)[:, None], 5, axis=1).astype(np.float32)


V, CREW = [1, 0, 0, 0, 0], [0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("margin", "expected"),
    [
        (0.3, 0.1),  # anchor 0: positive at 0.8, negative at 0.6 inside the margin: 0.3 + 0.6 - 0.8
        (0.1, 0.0),  # the negative is out of reach, and nothing else is left
    ],
)
def test_one_anchor_by_hand(grid: Grid, margin: float, expected: float) -> None:
    # Anchor 1 has its negative at 0.96, nearer than its positive at 0.8: harder than semi-hard, so left out.
    # Photo 2 is the only crew: no positive, no triplet.
    got = instance_loss(np.float32([V, V, CREW]), phi_of(A, 2 * N, 3 * P), grid, margin)
    assert float(got) == pytest.approx(expected, abs=1e-6)


def slow_instance_loss(labels: np.ndarray, phi: np.ndarray, taxonomy: Taxonomy, margin: float) -> float:
    hinges = []
    unit = phi / np.linalg.norm(phi, axis=-1, keepdims=True)
    for classes in taxonomy.slices.values():
        for m in range(classes.start, classes.stop):
            for i in np.flatnonzero(labels[:, m]):
                others = [(i + step) % len(labels) for step in range(1, len(labels))]
                cosine = unit[:, m] @ unit[i, m]
                positive = next((j for j in others if labels[j, m]), None)
                if positive is None:
                    continue
                negatives = [j for j in others if labels[j, classes].any() and not labels[j, m]]
                reach = [j for j in negatives if cosine[positive] - margin < cosine[j] <= cosine[positive]]
                if reach:
                    hinges.append(margin + cosine[reach[0]] - cosine[positive])
    return float(np.mean(hinges))


def test_many_anchors_like_the_slow_twin(grid: Grid, taxonomy: Taxonomy) -> None:
    random = np.random.default_rng(0)
    labels = (random.random((24, 5)) < 0.3).astype(np.float32)  # several classes, and cells without any
    phi = random.normal(size=(24, 5, 3)).astype(np.float32)
    got = float(instance_loss(labels, phi, grid, 0.4))
    assert got == pytest.approx(slow_instance_loss(labels, phi, taxonomy, 0.4), abs=1e-6)
    assert 0.05 < got < 0.4


def test_all_attributes_triplets_by_hand(grid: Grid) -> None:
    # sleeve alone: photos 0 and 1 share "short", photo 2 is "none", photo 3 is unlabelled and neither.
    # Photo 0's positive 0.8, its negative 0.6: 0.3 + 0.6 - 0.8. Photo 1's negative 0.96 is nearer than its positive.
    labels = np.float32([[0, 0, 0, 1, 1], [0, 0, 0, 1, 0], [0, 0, 1, 0, 0], [1, 0, 0, 0, 0]])
    f = np.repeat(np.stack([A, 2 * N, 3 * P, A])[:, None], 2, axis=1)
    assert float(attribute_loss(labels, f, grid, 0.3)) == pytest.approx(0.1, abs=1e-6)


def test_a_batch_of_one_costs_nothing(grid: Grid) -> None:
    assert float(instance_loss(np.float32([V]), phi_of(A), grid)) == 0.0


def test_drawn_triplets_by_hand(grid: Grid) -> None:
    f = np.zeros((6, 2, 2), np.float32)
    f[:3, 0] = [[1, 0], [1.2, 1.6], [4, 3]]  # neck: cosines 0.6 with the positive, 0.8 with the negative
    f[3:, 1] = [[2, 0], [8, 6], [6, 8]]  # sleeve: 0.8 and 0.6
    f[:3, 1] = f[3:, 0] = [[9, 1], [-3, 1], [5, 5]]  # of the attribute that nobody asks for
    labels = np.float32([[1, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 1]])
    assert float(drawn_triplet_loss(labels, f, grid, 0.3)) == pytest.approx((0.5 + 0.1) / 2, abs=1e-6)
