"""M3-Net as published, as far as it is public: attribute sub-network, then class sub-network, sigmoid L_M; two ablations."""

import keras
import numpy as np
from keras import KerasTensor as Tensor
from keras import ops

from models.attention import AttributeAttention, ClassAttention
from models.class_system import ClassSystem
from models.losses.classification import published_l_m
from models.recipe import TrainingConfig
from models.scoring import sigmoid_posteriors

WEIGHT_CAP = 10.0  # of a rare class's positive weight


def positive_weights(labels: np.ndarray, known: np.ndarray) -> np.ndarray:
    """w_p = sqrt(negatives / positives) a class, at most `WEIGHT_CAP`: the class balancing of L_M.

    Args:
        labels: (n, M), multi-hot. known: (n, M), 1 where the class's attribute is labelled.
    Returns: float32 (M,); the cap where a class has no positive. Source: our reconstruction; the formula is unpublished.
    """
    positives = labels.sum(axis=0, dtype=np.float64)
    negatives = known.sum(axis=0, dtype=np.float64) - positives
    return np.minimum(np.sqrt(negatives / np.maximum(positives, 1e-9)), WEIGHT_CAP).astype(np.float32)


@keras.saving.register_keras_serializable(package="m3net")
class M3Net(ClassSystem):
    """x_m = <w_m, phi_m> + b_m on one vector a class, taken from the map that its attribute's attention refined.

    Source: Jiao et al., CVPR 2023; equations of both attentions, mining and centres are our reconstruction.
    """

    def add_class_head(self) -> None:
        """One classifier a class, on what the sub-networks give."""
        classes = self.taxonomy.num_classes
        self.add_sub_networks()
        self.classifier = self.add_weight(shape=(classes, self.config.class_dim), initializer="glorot_uniform", name="w")
        self.bias = self.add_weight(shape=(classes,), initializer="zeros", name="b")
        self.positive_weight = self.add_weight(shape=(classes,), initializer="ones", trainable=False, name="w_p")

    def add_sub_networks(self) -> None:
        """Attribute attention, then class attention on its embeddings."""
        config = self.config
        self.attribute_attention = AttributeAttention(self.grid.attributes, config.attention_dim)
        self.class_attention = ClassAttention(self.taxonomy.to_json(), config.attention_dim, config.class_dim)

    def class_vectors(self, x: Tensor, training: bool) -> tuple[Tensor, Tensor]:
        """The map (B, P, C) to phi (B, M, D) and what is shown of it: alpha (B, N, P)."""
        alpha, gate = self.attribute_attention(x, training=training)
        phi, _ = self.class_attention(x, self.attribute_attention.embedding, gate, alpha)
        return phi, alpha

    def head(self, x: Tensor, given: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """See `ClassSystem`."""
        phi, alpha = self.class_vectors(x, training)
        logits = ops.sum(phi * ops.cast(self.classifier, phi.dtype), axis=-1) + ops.cast(self.bias, phi.dtype)
        return {"logits": logits, "phi": phi, "attention": alpha}

    def prepare(self, recipe: TrainingConfig, labels: np.ndarray) -> None:
        """Also sets w_p from the training labels."""
        super().prepare(recipe, labels)
        known = [labels[:, s].any(axis=1, keepdims=True) & np.ones_like(labels[:, s]) for s in self.taxonomy.slices.values()]
        self.positive_weight.assign(positive_weights(labels, np.concatenate(known, axis=1)))

    def classification_loss(self, y_true: Tensor, logits: Tensor) -> Tensor:
        """The published L_M."""
        return published_l_m(y_true, logits, self.grid, ops.convert_to_tensor(self.positive_weight))

    def posteriors(self, outputs: dict[str, Tensor]) -> Tensor:
        """Sigmoids over their sum in the attribute: unnormalised, a photo sure of everything would be near everything."""
        return sigmoid_posteriors(outputs["logits"], self.grid)


@keras.saving.register_keras_serializable(package="m3net")
class M3NetA(M3Net):
    """M3-Net_a: attribute-conditioned attention alone. phi_m = V_m f_n, one projection a class of its attribute's vector.

    f_n = g^n * sum_j alpha^n_j X_j. Source: the ablation of M3-Net's table; its form is our reconstruction.
    """

    def add_sub_networks(self) -> None:
        """Attribute attention, and V, (M, C, D)."""
        self.attribute_attention = AttributeAttention(self.grid.attributes, self.config.attention_dim)
        shape = (self.taxonomy.num_classes, self.backbone.output_shape[-1], self.config.class_dim)
        # glorot_uniform would take the classes of a 3-dimensional weight for a receptive field.
        initializer = keras.initializers.RandomNormal(stddev=(2.0 / (shape[1] + shape[2])) ** 0.5)
        self.projections = self.add_weight(shape=shape, initializer=initializer, name="V")

    def class_vectors(self, x: Tensor, training: bool) -> tuple[Tensor, Tensor]:
        """See `M3Net.class_vectors`."""
        alpha, gate = self.attribute_attention(x, training=training)
        pooled = ops.take(gate * ops.matmul(alpha, x), self.taxonomy.attribute_of_class, axis=1)  # (B, M, C)
        return ops.einsum("bmc,mcd->bmd", pooled, ops.cast(self.projections, x.dtype)), alpha


@keras.saving.register_keras_serializable(package="m3net")
class M3NetC(M3Net):
    """M3-Net_c: class-conditioned attention alone, on the backbone's map.

    Source: the ablation of M3-Net's table; its form is our reconstruction.
    """

    def add_sub_networks(self) -> None:
        """Class attention, and the attributes' embeddings that its classes start from."""
        config = self.config
        shape = (self.grid.attributes, config.attention_dim)
        self.embedding = self.add_weight(shape=shape, initializer="glorot_uniform", name="e")
        self.class_attention = ClassAttention(self.taxonomy.to_json(), config.attention_dim, config.class_dim)

    def class_vectors(self, x: Tensor, training: bool) -> tuple[Tensor, Tensor]:
        """See `M3Net.class_vectors`; shown is the mean over an attribute's classes."""
        phi, alpha = self.class_attention(x, self.embedding)
        sizes = self.grid.mask.sum(axis=-1)[:, None]
        return phi, ops.divide(ops.sum(self.grid.spread(ops.cast(alpha, "float32")), axis=2), sizes)
