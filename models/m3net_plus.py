"""m3net+, our best form: the duet of attribute and class attention as residuals of a plain pooled classifier.

At the start it is that classifier with the attended score. The attribute half fades in by a learned gain that starts at
zero, and so does a second class attention, over a map of twice the height and width. So it loses less to the classifier
than M3-Net as published where photos need no attention; where an attribute shows in a small region, attention has much
to add, and more so on the finer map, whose cells are of the region's size. Figures: docs/results.md.
"""

import keras
import numpy as np
from keras import KerasTensor as Tensor
from keras import layers, ops

from models.attention import AttributeAttention, shown_attention
from models.backbones import finer_map
from models.class_system import ClassSystem
from models.losses.classification import best_l_m
from models.scoring import mixed_posteriors

ATTENDED = 0.3  # lambda, the weight of the attended beside the pooled score
SHARPNESS = 1.0  # T, the softmax temperature's inverse
_LITTLE = 1e-6  # of attention everywhere: two maps that look at different places have a product too


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


def enlarged(x: Tensor, height: int, width: int) -> Tensor:
    """A map (B, H, W, C) with each cell twice along both axes, cut or its edge continued to (B, height, width, C)."""
    for axis, size in ((1, height), (2, width)):
        # Not all backbones round up: a map of 9 x 9 may have one of 4 x 4 after it.
        x = ops.take(x, np.minimum(np.arange(size) // 2, x.shape[axis] - 1), axis=axis)
    return x


@keras.saving.register_keras_serializable(package="m3net")
class M3NetPlus(ClassSystem):
    """x_m = mean_j s_mj + lambda sum_j a_mj s_mj + sum_i a'_mi t_mi + b_m; see the module.

    s = `refined_scores` on the map X, a its softmax. t_mi = <u_m, relu(W_1 Y_i + W_2 X_j(i) + c)> on the finer map Y, with j(i)
    the cell of X that i lies in, u starting at 0, a' the softmax of t. Softmax over the classes of a single-label attribute,
    sigmoid for multi-label ones. Source: our own; W_1 and W_2 as in feature pyramids (Lin et al., CVPR 2017).
    """

    def add_class_head(self) -> None:
        """Attribute attention with its gain r, the classifiers w, b and u, and the projection that makes phi."""
        channels, classes = self.backbone.output_shape[-1], self.taxonomy.num_classes
        self.attribute_attention = AttributeAttention(self.grid.attributes, self.config.attention_dim)
        self.gain = self.add_weight(shape=(self.grid.attributes,), initializer="zeros", name="r")
        self.classifier = self.add_weight(shape=(classes, channels), initializer="glorot_uniform", name="w")
        self.bias = self.add_weight(shape=(classes,), initializer="zeros", name="b")
        self.project = layers.Dense(self.config.class_dim, name="project")
        self.pyramid = keras.Model(self.backbone.input, [self.backbone.output, finer_map(self.backbone)], name="pyramid")
        self.lateral = layers.Dense(self.config.attention_dim, name="lateral")
        self.top_down = layers.Dense(self.config.attention_dim, use_bias=False, name="top_down")
        self.fine_classifier = self.add_weight(shape=(classes, self.config.attention_dim), initializer="zeros", name="u")

    @property
    def attended_size(self) -> tuple[int, int]:
        """That of the finer map."""
        height, width = self.pyramid.output_shape[1][1:3]
        return height, width

    def features(self, given: dict[str, Tensor], training: bool) -> Tensor:
        """The map X; leaves z = relu(W_1 Y + W_2 X + c), (B, P', d), in `given`."""
        x, fine = self.pyramid(given["images"], training=training)
        z = ops.relu(self.lateral(fine) + enlarged(self.top_down(x), *self.attended_size))
        given["fine"] = ops.reshape(z, (-1, z.shape[1] * z.shape[2], z.shape[3]))
        return x

    def head(self, x: Tensor, given: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """See `ClassSystem`; the attention shown is that of the classes on both maps, each by its posterior."""
        alpha, gate = self.attribute_attention(x, training=training)
        owner = self.taxonomy.attribute_of_class
        gate, alpha = ops.take(gate, owner, axis=1), ops.take(alpha, owner, axis=1)
        gain = ops.take(ops.cast(self.gain, x.dtype), owner)
        scores = refined_scores(x, ops.cast(self.classifier, x.dtype), gate, alpha, gain)
        logits, attention = residual_class_scores(scores)
        fine = ops.matmul(ops.cast(self.fine_classifier, x.dtype), ops.swapaxes(given["fine"], 1, 2))  # t, (B, M, P')
        fine_attention = ops.softmax(fine, axis=-1)
        # Values come from the map itself: the refinement has already said where to look, and N maps fewer are made.
        phi = ops.matmul(attention, self.project(x))
        logits = logits + ops.sum(fine_attention * fine, axis=-1) + ops.cast(self.bias, x.dtype)
        outputs = {"logits": logits, "phi": phi}
        return {**outputs, "attention": self._shown(self.posteriors(outputs), attention, fine_attention)}

    def _shown(self, posteriors: Tensor, attention: Tensor, fine_attention: Tensor) -> Tensor:
        """(B, N, P'): the product of both maps' attention, so that the finer one says where within a cell of the other."""
        coarse, fine = (shown_attention(posteriors, one, self.grid) for one in (attention, fine_attention))
        height, width = self.backbone.output_shape[1:3]
        maps = ops.reshape(ops.swapaxes(coarse, 1, 2), (-1, height, width, self.grid.attributes))
        maps = ops.reshape(enlarged(maps, *self.attended_size), (-1, fine.shape[2], self.grid.attributes))
        both = (fine + _LITTLE) * (ops.swapaxes(maps, 1, 2) + _LITTLE)
        return both / ops.sum(both, axis=-1, keepdims=True)

    def classification_loss(self, y_true: Tensor, logits: Tensor) -> Tensor:
        """`best_l_m`, which departs from the published L_M."""
        return best_l_m(y_true, logits, self.grid, self.multi_label)

    def posteriors(self, outputs: dict[str, Tensor]) -> Tensor:
        """Softmax, or normalised sigmoid where multi-label."""
        return mixed_posteriors(outputs["logits"], self.grid, self.multi_label[self.taxonomy.attribute_of_class])
