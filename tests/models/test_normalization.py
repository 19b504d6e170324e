"""The fused batch normalisation is Keras's own in numbers: outputs, gradients, moving statistics, and what is saved."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.normalization import FusedBatchNormalization

MAPS = np.random.default_rng(0).normal(3, 2, (6, 5, 4, 7)).astype(np.float32)
WEIGHTS = [np.random.default_rng(seed).uniform(0.5, 2, 7).astype(np.float32) for seed in range(4)]


def pair(dtype: str) -> list[keras.layers.BatchNormalization]:
    """Keras's layer and ours, with the same weights."""
    made = [
        kind(momentum=0.9, epsilon=1e-5, dtype=dtype) for kind in (keras.layers.BatchNormalization, FusedBatchNormalization)
    ]
    for layer in made:
        layer.build(MAPS.shape)
        layer.set_weights(WEIGHTS)
    return made


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 2e-2)])
def test_outputs_gradients_and_statistics(training: bool, dtype: str, tolerance: float) -> None:
    found = []
    for layer in pair(dtype):
        maps = tf.constant(MAPS)
        with tf.GradientTape() as tape:
            tape.watch(maps)
            outputs = layer(maps, training=training)
            loss = tf.reduce_sum(tf.cast(outputs, tf.float32) ** 3 * MAPS)
        assert outputs.dtype == layer.compute_dtype
        gradients = tape.gradient(loss, [maps, *[v.value for v in layer.trainable_variables]])
        found.append([np.asarray(one, np.float32) for one in (outputs, *gradients, *layer.get_weights())])
    for theirs, ours in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * float(np.abs(theirs).max()))
    moved = [not np.array_equal(ours, given) for ours, given in zip(found[1][-2:], WEIGHTS[2:], strict=True)]
    assert moved == [training, training]


def test_frozen_it_runs_as_in_inference() -> None:
    theirs, ours = pair("float32")
    ours.trainable = False
    np.testing.assert_allclose(ours(MAPS, training=True), theirs(MAPS, training=False), rtol=1e-5, atol=1e-5)
    assert all(np.array_equal(one, given) for one, given in zip(ours.get_weights(), WEIGHTS, strict=True))


def test_one_position_has_no_variance() -> None:
    for layer in pair("float32"):
        layer(MAPS[:1, :1, :1], training=True)
        np.testing.assert_allclose(layer.moving_variance, 0.9 * WEIGHTS[3], rtol=1e-6)
