"""Gradients of every layer and loss against finite differences, and bfloat16 against float32."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.asen import AsenAttention
from models.asenpp import Branch
from models.attention import AttributeAttention, ClassAttention
from models.grid import Grid
from models.losses.alignment import alignment_loss
from models.losses.classification import best_l_m, published_l_m
from models.losses.cluster import cluster_loss, prototype_loss
from models.losses.triplet import attribute_loss, drawn_triplet_loss, instance_loss
from models.taxonomy import Taxonomy

STEP = 1e-2  # of float32, whose differences below are rounding


def labels() -> np.ndarray:
    """Six photos, every attribute labelled, two of each class of the first: triplets and pairs can be made."""
    hot = np.zeros((6, 5), np.float32)
    hot[np.arange(6), [0, 0, 1, 1, 0, 1]] = 1
    hot[np.arange(6), [2, 2, 3, 3, 4, 4]] = 1
    return hot


LOSSES: dict[str, tuple[tuple[int, ...], Callable[[Any, np.ndarray, Grid, np.ndarray], Any]]] = {
    "published": ((6, 5), lambda x, y, grid, _: published_l_m(y, x, grid, 2.0)),
    "best": ((6, 5), lambda x, y, grid, _: best_l_m(y, x, grid, np.array([False, True]))),
    "instance": ((6, 5, 4), lambda x, y, grid, _: instance_loss(y, x, grid, 0.9)),
    "attribute": ((6, 2, 4), lambda x, y, grid, _: attribute_loss(y, x, grid, 0.9)),
    "drawn": ((6, 2, 4), lambda x, y, grid, _: drawn_triplet_loss(y * np.float32([1, 1, 0, 0, 0]), x, grid, 0.9)),
    "cluster": ((6, 5, 4), lambda x, y, grid, c: cluster_loss(y, x, c, grid, 0.9)),
    "prototype": ((6, 2, 4), lambda x, y, grid, c: prototype_loss(y, x, c, grid, 0.9)),
    "alignment": ((6, 2, 4), lambda x, y, grid, _: alignment_loss(y, x[..., :2], x[..., 2:], grid)),
}


def check(of: Callable[[Any], Any], x: np.ndarray, where: list[tuple[int, ...]]) -> None:
    """The gradient at `where` against the slope between two points; a hinge in between would show as a difference."""
    at = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(at)
        value = of(at)
    gradient = tape.gradient(value, at).numpy()
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 1e-4
    for place in where:
        above, below = x.copy(), x.copy()
        above[place] += STEP
        below[place] -= STEP
        slope = (float(of(tf.constant(above))) - float(of(tf.constant(below)))) / (2 * STEP)
        assert gradient[place] == pytest.approx(slope, abs=3e-3, rel=1e-3), place


def places(random: np.random.Generator, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [tuple(int(random.integers(n)) for n in shape) for _ in range(6)]


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss(name: str, grid: Grid) -> None:
    random = np.random.default_rng(5)
    shape, loss = LOSSES[name]
    centres = random.normal(size=(5, 4)).astype(np.float32)
    x = random.normal(size=shape).astype(np.float32)
    check(lambda v: loss(v, labels(), grid, centres), x, places(random, shape))


def layer_cases(taxonomy: Taxonomy) -> dict[str, tuple[keras.layers.Layer, list[tuple[int, ...]]]]:
    return {
        "asen": (AsenAttention(2, 3), [(2, 4, 5)]),
        "attribute": (AttributeAttention(2, 3), [(2, 4, 5)]),
        "class": (ClassAttention(taxonomy.to_json(), 3, 4), [(2, 4, 5), (2, 3)]),
        "refined": (ClassAttention(taxonomy.to_json(), 3, 4), [(2, 4, 5), (2, 3), (2, 2, 5), (2, 2, 4)]),
        "branch": (Branch(3, 2, 4), [(2, 1, 4, 5), (1, 2, 6)]),
    }


def results(layer: keras.layers.Layer, inputs: list[Any]) -> list[Any]:
    return list(layer(*inputs))


@pytest.mark.parametrize("name", ["asen", "attribute", "class", "refined", "branch"])
def test_a_layer(name: str, taxonomy: Taxonomy) -> None:
    keras.utils.set_random_seed(3)  # the layer draws its weights
    random = np.random.default_rng(3)
    layer, shapes = layer_cases(taxonomy)[name]
    inputs = [random.normal(size=shape).astype(np.float32) for shape in shapes]
    results(layer, inputs)
    layer.set_weights([np.abs(w) + 0.5 * random.random(w.shape) for w in layer.get_weights()])
    weights = [random.normal(size=r.shape).astype(np.float32) for r in results(layer, inputs)]

    def total(first: Any) -> Any:
        return sum(tf.reduce_sum(r * w) for r, w in zip(results(layer, [first, *inputs[1:]]), weights, strict=True))

    check(total, inputs[0], places(random, shapes[0]))


@pytest.mark.parametrize("name", ["asen", "attribute", "class", "refined", "branch"])
def test_bfloat16_is_float32_to_two_digits(name: str, taxonomy: Taxonomy) -> None:
    random = np.random.default_rng(4)
    layer, shapes = layer_cases(taxonomy)[name]
    inputs = [random.normal(size=shape).astype(np.float32) for shape in shapes]
    expected = results(layer, inputs)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half, _ = layer_cases(taxonomy)[name]
        results(half, inputs)
    finally:
        keras.config.set_dtype_policy("float32")
    half.set_weights(layer.get_weights())
    for one, two in zip(expected, results(half, inputs), strict=True):
        assert keras.backend.standardize_dtype(two.dtype) == "bfloat16"
        np.testing.assert_allclose(np.asarray(tf.cast(two, "float32")), np.asarray(one), atol=0.04)
