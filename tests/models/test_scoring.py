"""Posteriors by hand, and the retrieval vector against the score it stands for."""

from math import log

import numpy as np
import pytest

from models.grid import Grid
from models.scoring import (
    class_frequencies,
    mixed_posteriors,
    retrieval_vectors,
    sigmoid_posteriors,
    softmax_posteriors,
)
from models.taxonomy import Taxonomy

# neck: sigmoids 3/4 and 1/4, softmax 9/10 and 1/10. sleeve: sigmoids 2/3, 1/2, 1/2; softmax 1/2, 1/4, 1/4.
LOGITS = np.float32([[log(3), -log(3), log(2), 0, 0]])


def test_softmax_over_each_attribute(grid: Grid) -> None:
    np.testing.assert_allclose(np.asarray(softmax_posteriors(LOGITS, grid)), [[0.9, 0.1, 0.5, 0.25, 0.25]], atol=1e-6)


def test_sigmoids_over_their_sum(grid: Grid) -> None:
    expected = [[0.75, 0.25, 0.4, 0.3, 0.3]]  # sleeve: 2/3, 1/2, 1/2 over 5/3
    np.testing.assert_allclose(np.asarray(sigmoid_posteriors(LOGITS, grid)), expected, atol=1e-6)


def test_each_attribute_has_its_form(grid: Grid) -> None:
    got = np.asarray(mixed_posteriors(LOGITS, grid, np.array([False, False, True, True, True])))
    np.testing.assert_allclose(got, [[0.9, 0.1, 0.4, 0.3, 0.3]], atol=1e-6)


@pytest.mark.parametrize("kappa", [0.0, 0.5])
def test_the_inner_product_is_the_score(grid: Grid, taxonomy: Taxonomy, kappa: float) -> None:
    random = np.random.default_rng(0)
    posteriors = random.random((2, 5)).astype(np.float32)
    phi = random.normal(size=(2, 5, 4)).astype(np.float32)
    vectors = np.asarray(retrieval_vectors(posteriors, phi, grid, kappa))
    assert vectors.shape == (2, 2, 15 if kappa else 3)  # three slots, each with four numbers more
    for n, classes in enumerate(taxonomy.slices.values()):
        score = 0.0
        for m in range(classes.start, classes.stop):
            q, c = phi[0, m], phi[1, m]
            cosine = q @ c / np.linalg.norm(q) / np.linalg.norm(c)
            score += posteriors[0, m] * posteriors[1, m] * (1 + kappa * cosine)
        assert float(vectors[0, n] @ vectors[1, n]) == pytest.approx(score, abs=1e-6)


def test_frequencies_are_those_of_an_attributes_labels_each_class_counted_once_more(grid: Grid) -> None:
    labels = np.array([[1, 0, 1, 1, 0], [1, 0, 0, 1, 0], [0, 0, 0, 1, 0]], np.uint8)
    np.testing.assert_allclose(class_frequencies(labels, grid), [3 / 4, 1 / 4, 2 / 7, 4 / 7, 1 / 7], rtol=1e-6)
