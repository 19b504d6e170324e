"""M3-Net as published, as far as it is public: attribute sub-network, then class sub-network, sigmoid L_M."""

import keras
import numpy as np
from keras import KerasTensor as Tensor
from keras import ops

from models.attention import AttributeAttention, ClassAttention, refined_map
from models.losses.classification import published_l_m
from models.recipe import TrainingConfig
from models.scoring import sigmoid_posteriors
from models.systems import System

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
class M3Net(System):
    """x_m = <w_m, phi_m> + b_m on one vector a class, taken from the map that its attribute's attention refined.

    Source: Jiao et al., CVPR 2023; equations of both attentions, mining and centres are our reconstruction.
    """

    def add_head(self) -> None:
        """Both sub-networks and one classifier a class."""
        config, classes = self.config, self.taxonomy.num_classes
        self.attribute_attention = AttributeAttention(self.grid.attributes, config.attention_dim)
        self.class_attention = ClassAttention(self.taxonomy.to_json(), config.attention_dim, config.class_dim)
        self.classifier = self.add_weight(shape=(classes, config.class_dim), initializer="glorot_uniform", name="w")
        self.bias = self.add_weight(shape=(classes,), initializer="zeros", name="b")
        self.positive_weight = self.add_weight(shape=(classes,), initializer="ones", trainable=False, name="w_p")

    def head(self, x: Tensor, training: bool) -> tuple[Tensor, Tensor, Tensor]:
        """See `System.head`."""
        alpha, gate = self.attribute_attention(x, training=training)
        phi = self.class_attention(refined_map(x, gate, alpha), self.attribute_attention.embedding)
        logits = ops.sum(phi * ops.cast(self.classifier, phi.dtype), axis=-1) + ops.cast(self.bias, phi.dtype)
        return logits, phi, alpha

    def prepare(self, recipe: TrainingConfig, labels: np.ndarray) -> None:
        """Also sets w_p from the training labels."""
        super().prepare(recipe, labels)
        known = [labels[:, s].any(axis=1, keepdims=True) & np.ones_like(labels[:, s]) for s in self.taxonomy.slices.values()]
        self.positive_weight.assign(positive_weights(labels, np.concatenate(known, axis=1)))

    def classification_loss(self, y_true: Tensor, logits: Tensor) -> Tensor:
        """The published L_M."""
        return published_l_m(y_true, logits, self.grid, ops.convert_to_tensor(self.positive_weight))

    def posteriors(self, logits: Tensor) -> Tensor:
        """Sigmoids over their sum in the attribute: unnormalised, a photo sure of everything would be near everything."""
        return sigmoid_posteriors(logits, self.grid)
