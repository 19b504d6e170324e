"""Batch normalisation as one operation, where the backend has it: else it is a third to half of a CPU's training step."""

from typing import Any

import keras
from keras import KerasTensor as Tensor
from keras import layers

if keras.backend.backend() == "tensorflow":  # JAX trains without it
    import tensorflow as tf


@keras.saving.register_keras_serializable(package="m3net")
class FusedBatchNormalization(layers.BatchNormalization):
    """`keras.layers.BatchNormalization` of maps (B, H, W, C), equal to it in numbers, weights and arguments.

    Keras builds it of a dozen elementwise passes over the map, and as many back. TensorFlow's own operation takes one; on
    other backends, whose compilers fuse them, Keras's stays.
    """

    def call(self, inputs: Tensor, training: bool = False, mask: Tensor | None = None) -> Tensor:
        """(B, H, W, C) to the same; in training by the batch's moments, which also move the moving ones."""
        if keras.backend.backend() != "tensorflow":
            return super().call(inputs, training=training, mask=mask)
        if not (training and self.trainable):
            return self._normalised(inputs, self.moving_mean, self.moving_variance, is_training=False)[0]
        outputs, mean, variance = self._normalised(inputs, [], [], is_training=True)
        # The operation gives the variance over n - 1; Keras keeps that over n.
        count = tf.cast(tf.size(inputs) / tf.shape(inputs)[-1], variance.dtype)
        for moving, found in ((self.moving_mean, mean), (self.moving_variance, variance * (count - 1) / count)):
            moving.assign(moving * self.momentum + found * (1 - self.momentum))
        return outputs

    def _normalised(self, inputs: Tensor, mean: Any, variance: Any, is_training: bool) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = (tf.convert_to_tensor(one, "float32") for one in (mean, variance))
        scale, offset = (tf.convert_to_tensor(one) for one in (self.gamma, self.beta))
        found = tf.raw_ops.FusedBatchNormV3(
            x=inputs, scale=scale, offset=offset, mean=mean, variance=variance, epsilon=self.epsilon, is_training=is_training
        )
        return found.y, found.batch_mean, found.batch_variance
