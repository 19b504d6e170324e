"""ASEN as documented: an embedding an attribute, trained by triplets, ranked by cosine. Versions 1 and 2."""

from typing import Any, ClassVar

import keras
from keras import KerasTensor as Tensor
from keras import layers, ops

from models.attention import AttributeAttention
from models.centres import ClassCentres, attribute_centres
from models.losses.triplet import attribute_loss, drawn_triplet_loss
from models.scoring import softmax_posteriors
from models.systems import System

_SHARPNESS = 10.0  # of the softmax over cosines to class centres, which only `classify` answers with


@keras.saving.register_keras_serializable(package="m3net")
class AsenAttention(layers.Layer):
    """ASEN V1's two attentions for all N attributes: (B, P, C) to alpha (B, N, P) and f (B, N, C) of length 1.

    p_j = tanh(W_c x_j + b_c), s_j = tanh(w_s . (tanh(W_a o_a) * p_j) + b_s), alpha = softmax(s), v = sum_j alpha_j x_j;
    g = sigmoid(W_2 relu(W_1 [v; relu(W_b o_a)] + b_1) + b_2), f = l2norm(W_f (v * g) + b_f). o_a is one-hot, so that W_a o_a
    is a row of a table. Source: Ma et al., AAAI 2020, as its public code has it.
    """

    def __init__(self, attributes: int, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attributes = attributes
        self.dim = dim
        self.key = layers.Dense(dim, activation="tanh", name="W_c")
        self.squeeze = layers.Dense(dim, activation="relu", name="W_1")

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Makes the weights for a map (B, P, C)."""
        channels = input_shape[-1]
        self.query = self.add_weight(shape=(self.attributes, self.dim), initializer="glorot_uniform", name="W_a")
        self.condition = self.add_weight(shape=(self.attributes, channels), initializer="glorot_uniform", name="W_b")
        self.score = self.add_weight(shape=(1, self.dim), initializer="glorot_uniform", name="w_s")
        self.score_bias = self.add_weight(shape=(), initializer="zeros", name="b_s")
        self.excite = layers.Dense(channels, activation="sigmoid", name="W_2")
        self.out = layers.Dense(channels, name="W_f")
        self.key.build(input_shape)
        self.squeeze.build((None, self.attributes, 2 * channels))
        self.excite.build((None, self.attributes, self.dim))
        self.out.build((None, self.attributes, channels))

    def call(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        query, condition, score, bias = (
            ops.cast(w, x.dtype) for w in (self.query, self.condition, self.score, self.score_bias)
        )
        scores = ops.tanh(ops.matmul(ops.tanh(query) * score, ops.swapaxes(self.key(x), 1, 2)) + bias)
        alpha = ops.softmax(scores, axis=-1)
        v = ops.matmul(alpha, x)
        told = ops.broadcast_to(ops.relu(condition), ops.shape(v))
        gate = self.excite(self.squeeze(ops.concatenate([v, told], axis=-1)))
        return alpha, ops.normalize(self.out(v * gate), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {**super().get_config(), "attributes": self.attributes, "dim": self.dim}


@keras.saving.register_keras_serializable(package="m3net")
class Asen(System):
    """ASEN V1. Outputs: `f` (B, N, C), of length 1, and `attention`."""

    parts: ClassVar[tuple[str, ...]] = ("triplet",)

    def add_head(self) -> None:
        """The attentions, and class centres, by which alone it can name a class."""
        self.attention = AsenAttention(self.grid.attributes, self.config.attention_dim)
        self.centres = ClassCentres(self.taxonomy.num_classes, self.backbone.output_shape[-1])

    def head(self, x: Tensor, given: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """See `System.head`."""
        alpha, f = self.attention(x)
        return {"f": f, "attention": alpha}

    def losses_of(self, y: dict[str, Tensor], outputs: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """Triplets; in training the centres move, which no gradient sees."""
        self.move_centres(y["labels"], outputs["f"], training)
        return {"triplet": self.triplet_loss(y["labels"], outputs["f"])}

    def move_centres(self, labels: Tensor, f: Tensor, training: bool) -> None:
        """Towards the batch, in training alone."""
        if training:
            self.centres.update(*attribute_centres(f, labels, self.grid), self.recipe.centre_decay)

    def triplet_loss(self, labels: Tensor, f: Tensor) -> Tensor:
        """T over the triplets that were drawn, or else over those found in the batch; f (B, N, D)."""
        if self.recipe.sampling == "documented":
            return drawn_triplet_loss(labels, f, self.grid, self.recipe.margin)
        return attribute_loss(labels, f, self.grid, self.recipe.margin)

    def posteriors(self, outputs: dict[str, Tensor]) -> Tensor:
        """Softmax of the cosines to an attribute's class centres; our own, since ASEN names no class."""
        centres = ops.normalize(ops.convert_to_tensor(self.centres.centres), axis=-1)
        owned = self.grid.spread(ops.expand_dims(centres, 0))[0]  # (N, K, C)
        cosines = self.grid.collect(ops.einsum("bnc,nkc->bnk", ops.normalize(outputs["f"], axis=-1), owned))
        return softmax_posteriors(_SHARPNESS * cosines, self.grid)

    def vectors(self, outputs: dict[str, Tensor]) -> Tensor:
        """f, normalised again in float32: the inner product is the cosine."""
        return ops.normalize(outputs["f"], axis=-1)

    @property
    def vector_length(self) -> int:
        """C, the channels of the backbone's map; of whatever `f` is, the centres have the length."""
        return int(self.centres.class_dim)


@keras.saving.register_keras_serializable(package="m3net")
class AsenV2(Asen):
    """ASEN_v2: one learned embedding an attribute for both attentions, f = l2norm(v * g).

    Source: Dong et al., TIP 2021; `AttributeAttention` has its formulas.
    """

    def add_head(self) -> None:
        """As `Asen`."""
        self.attention = AttributeAttention(self.grid.attributes, self.config.attention_dim)
        self.centres = ClassCentres(self.taxonomy.num_classes, self.backbone.output_shape[-1])

    def head(self, x: Tensor, given: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """See `System.head`."""
        alpha, gate = self.attention(x, training=training)
        return {"f": ops.normalize(ops.matmul(alpha, x) * gate, axis=-1), "attention": alpha}
