"""m3net+, our best form: the duet of attribute and class attention as residuals of a plain pooled classifier.

At the start it is that classifier; the attribute half fades in by a learned gain that starts at zero, and the class
half adds the attended score to the pooled one. With few photos this loses nothing to the classifier, which M3-Net
as published does; where an attribute shows in a small region, attention has something to add.
"""

import keras
import numpy as np
from keras import KerasTensor as Tensor
from keras import layers, ops

from models.attention import AttributeAttention, refined_map
from models.losses.classification import best_l_m
from models.scoring import mixed_posteriors
from models.systems import System

ATTENDED = 0.3  # lambda, the weight of the attended beside the pooled score
SHARPNESS = 1.0  # T, the softmax temperature's inverse


def residual_class_scores(scores: Tensor, attended: float = ATTENDED, sharpness: float = SHARPNESS) -> tuple[Tensor, Tensor]:
    """x_m = mean_j s_mj + lambda sum_j a_mj s_mj with a_m = softmax_j(T s_m).

    Args:
        scores: s, (..., P), a class's score at each of P positions. attended: lambda. sharpness: T.
    Returns: x (...) and a (..., P), which sums to 1.
    Source: CSRA (Zhu and Wu, ICCV 2021).
    """
    attention = ops.softmax(sharpness * scores, axis=-1)
    return ops.mean(scores, axis=-1) + attended * ops.sum(attention * scores, axis=-1), attention


@keras.saving.register_keras_serializable(package="m3net")
class M3NetPlus(System):
    """Softmax over the classes of a single-label attribute, sigmoid for multi-label ones; see the module."""

    name_in_registry = "m3net+"

    def add_head(self) -> None:
        """Attribute attention with its gain r, the classifier w, b, and the projection that makes phi."""
        channels, shape = self.backbone.output_shape[-1], (self.grid.attributes, self.grid.slots)
        self.attribute_attention = AttributeAttention(self.grid.attributes, self.config.attention_dim)
        self.gain = self.add_weight(shape=(self.grid.attributes,), initializer="zeros", name="r")
        self.classifier = self.add_weight(shape=(*shape, channels), initializer="glorot_uniform", name="w")
        self.bias = self.add_weight(shape=(self.taxonomy.num_classes,), initializer="zeros", name="b")
        self.project = layers.Dense(self.config.class_dim, name="project")
        self.multi_label = np.array([a.multi_label for a in self.taxonomy.attributes])

    def head(self, x: Tensor, training: bool) -> tuple[Tensor, Tensor, Tensor]:
        """See `System.head`; the attention shown is that of the classes, each by its posterior."""
        alpha, gate = self.attribute_attention(x, training=training)
        gain = ops.cast(ops.reshape(self.gain, (1, -1, 1, 1)), x.dtype)
        plain = ops.expand_dims(x, 1)
        maps = plain + gain * (refined_map(x, gate, alpha) - plain)  # (B, N, P, C)
        scores = ops.einsum("bnpc,nkc->bnkp", maps, ops.cast(self.classifier, x.dtype))
        logits, attention = residual_class_scores(scores)
        phi = ops.matmul(attention, self.project(maps))  # projected before pooling: the same, and cheaper
        logits = self.grid.collect(logits) + ops.cast(self.bias, x.dtype)
        belief = self.grid.spread(self.posteriors(logits))
        seen = ops.sum(ops.expand_dims(belief, -1) * ops.cast(attention, "float32"), axis=2)
        return logits, self.grid.collect(phi), seen

    def classification_loss(self, y_true: Tensor, logits: Tensor) -> Tensor:
        """`best_l_m`, which departs from the published L_M."""
        return best_l_m(y_true, logits, self.grid, self.multi_label)

    def posteriors(self, logits: Tensor) -> Tensor:
        """Softmax, or normalised sigmoid where multi-label."""
        return mixed_posteriors(logits, self.grid, self.multi_label[self.taxonomy.attribute_of_class])
