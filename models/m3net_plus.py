"""m3net+, our best form: the duet of attribute and class attention as residuals of a plain pooled classifier.

At the start it is that classifier, but for the attended score; the attribute half fades in by a learned gain that
starts at zero. With few photos this loses nothing to the classifier, which M3-Net as published does; where an
attribute shows in a small region, attention has something to add.
"""

import keras
from keras import KerasTensor as Tensor
from keras import layers, ops

from models.attention import AttributeAttention, shown_attention
from models.class_system import ClassSystem
from models.losses.classification import best_l_m
from models.scoring import mixed_posteriors

ATTENDED = 0.3  # lambda, the weight of the attended beside the pooled score
SHARPNESS = 1.0  # T, the softmax temperature's inverse


def refined_scores(x: Tensor, weight: Tensor, gate: Tensor, alpha: Tensor, gain: Tensor) -> Tensor:
    """s_mj = <w_m, X^n_j>, with X^n = X + r_n (X * g^n * (1 + P alpha^n) - X): each class on its attribute's refined map.

    The gate starts at one half and P alpha at one, so that the bracket starts near 0; r starts at 0, and X^n as X.
    Computed as (1 - r) <w_m, X_j> + r (1 + P alpha_j) <w_m * g, X_j>, which is equal and never makes the N maps:
    (B, M, C) instead of several (B, N, P, C).

    Args:
        x: X, (B, P, C). weight: w, (M, C).
        gate: g, (B, M, C), alpha: (B, M, P), gain: r, (M,), each that of the class's attribute.
    Returns: (B, M, P). Source: our own; M3-Net's refined map made a residual.
    """
    positions = ops.swapaxes(x, 1, 2)  # (B, C, P)
    plain = ops.swapaxes(ops.matmul(x, ops.transpose(weight)), 1, 2)
    gated = ops.matmul(gate * weight, positions)
    gain = ops.reshape(gain, (1, -1, 1))
    return (1 - gain) * plain + gain * (1 + alpha.shape[-1] * alpha) * gated


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
class M3NetPlus(ClassSystem):
    """Softmax over the classes of a single-label attribute, sigmoid for multi-label ones; see the module."""

    def add_class_head(self) -> None:
        """Attribute attention with its gain r, the classifier w, b, and the projection that makes phi."""
        channels, classes = self.backbone.output_shape[-1], self.taxonomy.num_classes
        self.attribute_attention = AttributeAttention(self.grid.attributes, self.config.attention_dim)
        self.gain = self.add_weight(shape=(self.grid.attributes,), initializer="zeros", name="r")
        self.classifier = self.add_weight(shape=(classes, channels), initializer="glorot_uniform", name="w")
        self.bias = self.add_weight(shape=(classes,), initializer="zeros", name="b")
        self.project = layers.Dense(self.config.class_dim, name="project")

    def head(self, x: Tensor, given: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """See `ClassSystem`; the attention shown is that of the classes, each by its posterior."""
        alpha, gate = self.attribute_attention(x, training=training)
        owner = self.taxonomy.attribute_of_class
        gate, alpha = ops.take(gate, owner, axis=1), ops.take(alpha, owner, axis=1)
        gain = ops.take(ops.cast(self.gain, x.dtype), owner)
        scores = refined_scores(x, ops.cast(self.classifier, x.dtype), gate, alpha, gain)
        logits, attention = residual_class_scores(scores)
        # Values come from the map itself: the refinement has already said where to look, and N maps fewer are made.
        phi = ops.matmul(attention, self.project(x))
        logits = logits + ops.cast(self.bias, x.dtype)
        outputs = {"logits": logits, "phi": phi}
        return {**outputs, "attention": shown_attention(self.posteriors(outputs), attention, self.grid)}

    def classification_loss(self, y_true: Tensor, logits: Tensor) -> Tensor:
        """`best_l_m`, which departs from the published L_M."""
        return best_l_m(y_true, logits, self.grid, self.multi_label)

    def posteriors(self, outputs: dict[str, Tensor]) -> Tensor:
        """Softmax, or normalised sigmoid where multi-label."""
        return mixed_posteriors(outputs["logits"], self.grid, self.multi_label[self.taxonomy.attribute_of_class])
