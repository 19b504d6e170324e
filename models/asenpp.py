"""ASEN++: a global branch on the photo, and a local branch on the crop that the global one's attention points at."""

from typing import Any, ClassVar

import keras
from keras import KerasTensor as Tensor
from keras import layers, ops

from models.asen import Asen
from models.attention import spatial_attention
from models.backbones import build_backbone
from models.centres import ClassCentres
from models.cropping import boxes, crop
from models.losses.alignment import alignment_loss

BETA = 0.6  # of the global cosine in the score
LOCAL_WEIGHT = ALIGNMENT_WEIGHT = 0.1
SETTLED_RATE = 0.1  # of the global branch and the attribute embedding in the second stage


@keras.saving.register_keras_serializable(package="m3net")
class Branch(layers.Layer):
    """ASEN_v2's two attentions under embeddings given, without batch normalisation, and a final linear layer.

    p_j = tanh(W_c x_j + b), alpha = spatial_attention(p, tanh(W_t1 e + b)), v = sum_j alpha_j x_j,
    g = sigmoid(W_2 relu(W_1 [v; relu(W_t2 e + b)])), out = l2norm(W_f (v * g) + b_f).

    Args: dim: of the common space of map and embedding. hidden: of the channel attention. out: of the vector.
    Source: ASEN++ (Dong et al., TIP 2021).
    """

    def __init__(self, dim: int, hidden: int, out: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim, self.hidden, self.out = dim, hidden, out
        self.key = layers.Dense(dim, activation="tanh", name="key")
        self.query = layers.Dense(dim, activation="tanh", name="query")
        self.condition = layers.Dense(hidden, activation="relu", name="condition")
        self.squeeze = layers.Dense(hidden, activation="relu", name="squeeze")
        self.project = layers.Dense(out, name="project")

    def build(self, x_shape: tuple[Any, ...], embedding_shape: tuple[Any, ...]) -> None:
        """Makes the weights for maps (B, A, P, C) and embeddings (B, N, d)."""
        channels = x_shape[-1]
        self.excite = layers.Dense(channels, activation="sigmoid", name="excite")
        self.key.build(x_shape)
        self.query.build(embedding_shape)
        self.condition.build(embedding_shape)
        self.squeeze.build((None, None, channels + self.hidden))
        self.excite.build((None, None, self.hidden))
        self.project.build((None, None, channels))

    def call(self, x: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, P, C), or (B, 1, P, C) for one map that all share, and (B, N, d), or (1, N, d), to alpha (B, N, P) and out (B, N, D)."""
        queries = ops.expand_dims(self.query(embedding), 2)
        alpha = spatial_attention(self.key(x), queries)  # (B, N, 1, P)
        v = ops.squeeze(ops.matmul(alpha, x), 2)
        condition = self.condition(embedding)
        told = ops.broadcast_to(condition, (*ops.shape(v)[:2], self.hidden))
        gate = self.excite(self.squeeze(ops.concatenate([v, told], axis=-1)))
        return ops.squeeze(alpha, 2), ops.normalize(self.project(v * gate), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {**super().get_config(), "dim": self.dim, "hidden": self.hidden, "out": self.out}


@keras.saving.register_keras_serializable(package="m3net")
class AsenPlusPlus(Asen):
    """Outputs: `f` (B, N, 2D), [sqrt(beta) g, sqrt(1 - beta) l], of length 1, whose cosine is the score; `attention`.

    The crop is cut from photos of `photo_size` pixels; where that is the input's own size, from the input, which then
    shows no more than the global branch saw. The first stage trains the global branch alone, and ranks by it.
    """

    parts: ClassVar[tuple[str, ...]] = ("triplet", "local", "alignment")
    stages: ClassVar = 2
    value_negatives: ClassVar = True

    def add_head(self) -> None:
        """Both branches, their shared embedding of attributes, the local backbone, and class centres."""
        config, channels = self.config, self.backbone.output_shape[-1]
        self.local_size = config.image_size // 2
        self.local_backbone = build_backbone(config.local_backbone, self.local_size, config.local_weights)
        shape = (self.grid.attributes, config.attention_dim)
        self.embedding = self.add_weight(shape=shape, initializer="glorot_uniform", name="e")
        self.global_branch = Branch(config.attention_dim, config.attention_dim, channels)
        self.local_branch = Branch(max(1, config.attention_dim // 2), max(1, config.attention_dim // 4), channels)
        self.joint = self.add_weight(shape=(), initializer="zeros", trainable=False, dtype="float32", name="joint")
        self.centres = ClassCentres(self.taxonomy.num_classes, 2 * channels)

    @property
    def photo_size(self) -> int:
        """Pixels of the photos that crops are cut from."""
        return self.config.photo_size or self.config.image_size

    @property
    def backbones(self) -> list[keras.Model]:
        """Both."""
        return [self.backbone, self.local_backbone]

    def enter(self, stage: int) -> None:
        """From the second stage on the local branch counts; before, nothing moves it, not even weight decay."""
        super().enter(stage)
        self.joint.assign(float(stage > 1))
        self.local_branch.trainable = stage > 1
        if stage == 1:
            self.local_backbone.trainable = False

    def rates(self) -> list[float]:
        """In the second stage the global branch and the embedding all but stand."""
        fresh = {id(v) for part in (self.local_backbone, self.local_branch) for v in part.trainable_variables}
        settled = 1.0 if self.stage == 1 else SETTLED_RATE
        every = zip(super().rates(), self.trainable_variables, strict=True)
        return [rate if id(v) in fresh else rate * settled for rate, v in every]

    def features(self, given: dict[str, Tensor], training: bool) -> Tensor:
        """The map of the photos at the network's size, in which an average stands for pixels that fall into one."""
        images, size = given["images"], self.config.image_size
        if self.photo_size != size:
            whole = ops.broadcast_to(ops.convert_to_tensor([[[0.0, 0.0, 1.0]]]), (ops.shape(images)[0], 1, 3))
            images = crop(images, whole, size)[:, 0]
        return self.backbone(images, training=training)

    def head(self, x: Tensor, given: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """See `System.head`."""
        embedding = ops.expand_dims(ops.cast(self.embedding, x.dtype), 0)
        alpha, g = self.global_branch(ops.expand_dims(x, 1), embedding)
        # While the first stage trains, the local branch would cost its time for nothing.
        local = ops.zeros_like(g) if training and self.stage == 1 else self._local(alpha, given, training)
        beta = 1 - ops.cast((1 - BETA) * ops.convert_to_tensor(self.joint), g.dtype)
        return {"f": ops.concatenate([ops.sqrt(beta) * g, ops.sqrt(1 - beta) * local], axis=-1), "attention": alpha}

    def _local(self, alpha: Tensor, given: dict[str, Tensor], training: bool) -> Tensor:
        """l (B, N, D); of a photo drawn for one attribute that one alone, the rest zero."""
        drawn = given.get("attribute")
        maps = ops.reshape(alpha, (-1, alpha.shape[1], *self.backbone.output_shape[1:3]))
        embedding = ops.expand_dims(ops.cast(self.embedding, alpha.dtype), 0)
        if drawn is not None:
            maps = ops.take_along_axis(maps, ops.reshape(drawn, (-1, 1, 1, 1)), axis=1)
            embedding = ops.expand_dims(ops.take(embedding[0], drawn, axis=0), 1)
        count, size = maps.shape[1], self.local_size
        crops = crop(given["images"], boxes(maps, self.config.image_size), size)
        features = self.local_backbone(ops.reshape(crops, (-1, size, size, 3)), training=training)
        height, width, channels = features.shape[1:]
        _, found = self.local_branch(ops.reshape(features, (-1, count, height * width, channels)), embedding)
        if drawn is None:
            return found
        return ops.expand_dims(ops.one_hot(drawn, self.grid.attributes, dtype=found.dtype), -1) * found

    def losses_of(self, y: dict[str, Tensor], outputs: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """T(global), and in the second stage 0.1 T(local) + 0.1 A."""
        labels, f = y["labels"], outputs["f"]
        g, local = ops.split(f, 2, axis=-1)
        self.move_centres(labels, f, training)
        parts = {"triplet": self.triplet_loss(labels, g)}
        if self.stage > 1:
            parts["local"] = LOCAL_WEIGHT * self.triplet_loss(labels, local)
            parts["alignment"] = ALIGNMENT_WEIGHT * alignment_loss(labels, g, local, self.grid)
        return parts
