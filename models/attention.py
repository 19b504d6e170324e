"""Attention: where in the photo an attribute shows, which channels speak of it, and where each of its classes shows.

Maps come flattened, (B, P, C) with P = H x W positions. All attributes and all classes are computed at once.
"""

from typing import Any

import keras
from keras import KerasTensor as Tensor
from keras import layers, ops

from models.grid import Grid
from models.taxonomy import Taxonomy


def spatial_attention(keys: Tensor, queries: Tensor) -> Tensor:
    """Where to look: alpha = softmax over positions of <query, key_j> / sqrt(d).

    Args:
        keys: (..., P, d), one a position.
        queries: (..., Q, d), one an attribute or class; leading axes broadcast.
    Returns: (..., Q, P), each row at least 0 and summing to 1.
    Source: ASEN_v2's spatial attention, which has no tanh around the scaled product.
    """
    scores = ops.matmul(queries, ops.swapaxes(keys, -1, -2)) / float(keys.shape[-1]) ** 0.5
    return ops.softmax(scores, axis=-1)


def emphasis(alpha: Tensor) -> Tensor:
    """s = (1 + P alpha) / 2, the factor of each position in the map as one attribute sees it: X^n_j = X_j * g^n * s^n_j.

    alpha sums to 1, so that a bare 1 + alpha would be nearly the identity; P alpha is 1 on average.

    Args and returns: (B, N, P); alpha sums to 1 over P.
    Source: our reconstruction of M3-Net's progressive refinement (Jiao et al., CVPR 2023), whose equations are unpublished.
    """
    return (1 + alpha.shape[-1] * alpha) / 2


def shown_attention(posteriors: Tensor, attention: Tensor, grid: Grid) -> Tensor:
    """One map an attribute of one a class, each by its posterior: (B, M) and (B, M, P) to float32 (B, N, P), summing to 1."""
    weighted = ops.expand_dims(ops.cast(posteriors, "float32"), -1) * ops.cast(attention, "float32")
    return ops.sum(grid.spread(weighted), axis=2)


@keras.saving.register_keras_serializable(package="m3net")
class AttributeAttention(layers.Layer):
    """ASEN_v2's two attentions for all N attributes: (B, P, C) to alpha (B, N, P) and the channel gate g (B, N, C).

    One learned embedding e_n of length `dim` conditions both:
    keys = tanh(BN(W_c x_j + b_c)), alpha^n = spatial_attention(keys, tanh(W_t1 e_n + b));
    v = sum_j alpha_j x_j, g^n = sigmoid(W_2 relu(W_1 [v; relu(W_t2 e_n + b)])).
    Source: ASEN_v2's public formulas (Dong et al., TIP 2021).
    """

    def __init__(self, attributes: int, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attributes = attributes
        self.dim = dim
        self.key = layers.Dense(dim, name="key")
        self.norm = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name="norm")
        self.query = layers.Dense(dim, activation="tanh", name="query")
        self.condition = layers.Dense(dim, activation="relu", name="condition")
        self.squeeze = layers.Dense(dim, activation="relu", name="squeeze")

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Makes the weights for a map (B, P, C)."""
        channels = input_shape[-1]
        self.embedding = self.add_weight(shape=(self.attributes, self.dim), initializer="glorot_uniform", name="e")
        self.excite = layers.Dense(channels, activation="sigmoid", name="excite")
        self.key.build(input_shape)
        self.norm.build((*input_shape[:-1], self.dim))
        self.query.build((self.attributes, self.dim))
        self.condition.build((self.attributes, self.dim))
        self.squeeze.build((None, self.attributes, channels + self.dim))
        self.excite.build((None, self.attributes, self.dim))

    def call(self, x: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        """(B, P, C) to alpha (B, N, P), summing to 1 over P, and g (B, N, C), in [0, 1]."""
        embedding = ops.cast(self.embedding, self.compute_dtype)
        keys = ops.tanh(self.norm(self.key(x), training=training))
        alpha = spatial_attention(keys, self.query(embedding))
        pooled = ops.matmul(alpha, x)
        condition = ops.broadcast_to(self.condition(embedding), (ops.shape(x)[0], self.attributes, self.dim))
        return alpha, self.excite(self.squeeze(ops.concatenate([pooled, condition], axis=-1)))

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {**super().get_config(), "attributes": self.attributes, "dim": self.dim}


@keras.saving.register_keras_serializable(package="m3net")
class ClassAttention(layers.Layer):
    """One vector a class: the map X (B, P, C) and attribute embeddings (N, d) to phi (B, M, D) and alpha (B, M, P).

    e_m = e_n + c_m: a class is its attribute's embedding plus an offset, which is how the taxonomy enters.
    alpha_m = spatial_attention(tanh(W_k X^n_j + b), tanh(W_q e_m + b)) on its own attribute's refined map, see `emphasis`;
    phi_m = sum_j alpha_mj (W_v X^n_j + b).
    X^n_j = s_j g^n X_j is never made: s_j commutes with a projection and g^n with a sum over positions, so that keys are
    s_j W_k (g^n X_j) + b and phi_m = W_v (g^n sum_j alpha_mj s_j X_j) + b. g^n moved into W_k instead makes (B, N, C, d), more
    than the gated maps where P is small: on a 6 x 6 map it was three times as slow, forwards and backwards, on a CPU.
    Source: our reconstruction of M3-Net's class sub-network.
    """

    def __init__(self, taxonomy: str, dim: int, class_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.taxonomy = taxonomy  # the text of taxonomy.json: a config holds plain values
        self.dim = dim
        self.class_dim = class_dim
        self.grid = Grid(Taxonomy.from_json(taxonomy))
        self.key = layers.Dense(dim, name="key")
        self.query = layers.Dense(dim, activation="tanh", name="query")
        self.value = layers.Dense(class_dim, name="value")

    def build(self, x_shape: tuple[Any, ...], embedding_shape: tuple[Any, ...]) -> None:
        """Makes the weights for a map (B, P, C)."""
        shape = (len(self.grid.slot_of_class), self.dim)
        self.offset = self.add_weight(shape=shape, initializer="glorot_uniform", name="c")
        self.key.build(x_shape)
        self.value.build(x_shape)
        self.query.build((*embedding_shape[:-1], self.grid.slots, self.dim))

    def call(
        self, x: Tensor, embedding: Tensor, gate: Tensor | None = None, attention: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(B, P, C) and (N, d) to phi (B, M, D) and alpha (B, M, P).

        Args: gate: g (B, N, C), attention: alpha^n (B, N, P), those of each attribute; without them all share X as it is.
        """
        offset = self.grid.spread(ops.expand_dims(ops.cast(self.offset, self.compute_dtype), 0))
        queries = self.query(ops.expand_dims(ops.cast(embedding, self.compute_dtype), 1) + offset)
        if gate is None or attention is None:
            alpha = spatial_attention(ops.expand_dims(ops.tanh(self.key(x)), 1), queries)  # (B, N, K, P)
            phi = ops.matmul(alpha, ops.expand_dims(self.value(x), 1))  # projected before pooling: N K times cheaper
        else:
            scale = emphasis(attention)
            gated = ops.expand_dims(x, 1) * ops.expand_dims(gate, 2)  # (B, N, P, C), the largest tensor here
            keys = ops.matmul(gated, ops.cast(self.key.kernel, x.dtype)) * ops.expand_dims(scale, 3)
            alpha = spatial_attention(ops.tanh(keys + ops.cast(self.key.bias, x.dtype)), queries)
            phi = self.value(self._pooled(x, alpha * ops.expand_dims(scale, 2)) * ops.expand_dims(gate, 2))
        return self.grid.collect(phi), self.grid.collect(alpha)

    def _pooled(self, x: Tensor, weights: Tensor) -> Tensor:
        """sum_j w_kj X_j of every slot: (B, P, C) and (B, N, K, P) to (B, N, K, C), in one product a photo."""
        grid, (_, positions, channels) = self.grid, x.shape
        pooled = ops.matmul(ops.reshape(weights, (-1, grid.attributes * grid.slots, positions)), x)
        return ops.reshape(pooled, (-1, grid.attributes, grid.slots, channels))

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes."""
        own = {"taxonomy": self.taxonomy, "dim": self.dim, "class_dim": self.class_dim}
        return {**super().get_config(), **own}
