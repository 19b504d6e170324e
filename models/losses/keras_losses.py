"""The losses as Keras classes, for `compile()` and for files that Keras saves. The mathematics is in the functions.

Each takes a whole batch to one float32 number, since mining and means look across photos: `sample_weight` has no meaning
here, an unlabelled photo is left out by its labels. `y_true` is (B, M), multi-hot, over the classes of the taxonomy.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor as Tensor

from models.grid import Grid
from models.losses.alignment import alignment_loss
from models.losses.classification import best_l_m, published_l_m
from models.losses.cluster import cluster_loss, prototype_loss
from models.losses.triplet import attribute_loss, drawn_triplet_loss, instance_loss
from models.taxonomy import Taxonomy

_registered = keras.saving.register_keras_serializable(package="m3net")


class TaxonomyLoss(keras.losses.Loss):
    """Base: a loss over the classes of one taxonomy. Args: taxonomy: the text of taxonomy.json, so that a config is plain."""

    def __init__(self, taxonomy: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.taxonomy = Taxonomy.from_json(taxonomy)
        self.grid = Grid(self.taxonomy)

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {**super().get_config(), "taxonomy": self.taxonomy.to_json()}


class MarginLoss(TaxonomyLoss):
    """Base: a hinge on two cosines. Raises: ValueError for a margin outside (0, 2]."""

    def __init__(self, taxonomy: str, margin: float = 0.2, **kwargs: Any) -> None:
        super().__init__(taxonomy, **kwargs)
        if not 0.0 < margin <= 2.0:
            raise ValueError(f"margin is a difference of two cosines and lies in (0, 2]; got {margin}")
        self.margin = margin

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {**super().get_config(), "margin": self.margin}


@_registered
class PublishedLM(TaxonomyLoss):
    """`published_l_m`; `y_pred`: logits (B, M). Args: positive_weight: w_p, one number a class, or one for all."""

    def __init__(self, taxonomy: str, positive_weight: Sequence[float] | float = 1.0, **kwargs: Any) -> None:
        super().__init__(taxonomy, **kwargs)
        self.positive_weight = positive_weight

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """See the class."""
        return published_l_m(y_true, y_pred, self.grid, keras.ops.convert_to_tensor(self.positive_weight, "float32"))

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {**super().get_config(), "positive_weight": self.positive_weight}


@_registered
class BestLM(TaxonomyLoss):
    """`best_l_m`, the taxonomy saying which attributes are multi-label; `y_pred`: logits (B, M)."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """See the class."""
        return best_l_m(y_true, y_pred, self.grid, [a.multi_label for a in self.taxonomy.attributes])


@_registered
class InstanceLoss(MarginLoss):
    """L_CI, `instance_loss`; `y_pred`: phi (B, M, D)."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """See the class."""
        return instance_loss(y_true, y_pred, self.grid, self.margin)


@_registered
class ClusterLoss(MarginLoss):
    """L_CC, `cluster_loss`; `y_pred`: phi (B, M, D) and the centres (M, D)."""

    def call(self, y_true: Tensor, y_pred: tuple[Tensor, Tensor]) -> Tensor:
        """See the class."""
        return cluster_loss(y_true, *y_pred, self.grid, self.margin)


@_registered
class AttributeLoss(MarginLoss):
    """`attribute_loss`, mined in the batch; `y_pred`: f (B, N, D)."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """See the class."""
        return attribute_loss(y_true, y_pred, self.grid, self.margin)


@_registered
class DrawnTripletLoss(MarginLoss):
    """`drawn_triplet_loss`; `y_pred`: f (3T, N, D), anchor, positive, negative, next triplet."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """See the class."""
        return drawn_triplet_loss(y_true, y_pred, self.grid, self.margin)


@_registered
class PrototypeLoss(MarginLoss):
    """MODC's, `prototype_loss`; `y_pred`: f (B, N, D) and the prototypes (M, D)."""

    def call(self, y_true: Tensor, y_pred: tuple[Tensor, Tensor]) -> Tensor:
        """See the class."""
        return prototype_loss(y_true, *y_pred, self.grid, self.margin)


@_registered
class AlignmentLoss(TaxonomyLoss):
    """ASEN++'s, `alignment_loss`; `y_pred`: g and l, each (B, N, D)."""

    def call(self, y_true: Tensor, y_pred: tuple[Tensor, Tensor]) -> Tensor:
        """See the class."""
        return alignment_loss(y_true, *y_pred, self.grid)
