"""Class centres: one moving average a class of its photos' vectors, the global view of the cluster loss."""

from typing import Any

import keras
from keras import KerasTensor as Tensor
from keras import layers, ops

from models.grid import Grid


def batch_centres(phi: Tensor, y_true: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of the normalised phi_m over a batch's positives of each class.

    Args:
        phi: (B, M, D), any length.
        y_true: (B, M), 1 where a photo has the class.
    Returns: (M, D), zero for a class without a positive, and bool (M, 1): whether it has one. Float32.
    """
    unit = ops.normalize(ops.cast(phi, "float32"), axis=-1)
    positive = ops.expand_dims(ops.cast(y_true, "float32"), -1)
    count = ops.sum(positive, axis=0)
    return ops.sum(unit * positive, axis=0) / ops.maximum(count, 1.0), count > 0


def attribute_centres(f: Tensor, y_true: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """As `batch_centres`, for one vector an attribute: f (B, N, D), any length, which all its classes share."""
    unit = ops.normalize(ops.cast(f, "float32"), axis=-1)
    positive = ops.cast(y_true, "float32")
    sums = grid.collect(ops.expand_dims(ops.einsum("bnk,bnd->nkd", grid.spread(positive), unit), 0))[0]
    count = ops.expand_dims(ops.sum(positive, axis=0), -1)
    return sums / ops.maximum(count, 1.0), count > 0


@keras.saving.register_keras_serializable(package="m3net")
class ClassCentres(layers.Layer):
    """The centres (M, D) as a variable that is saved with the model and moved once a training step.

    A centre starts at zero and needs no correction for it: only its direction is used, and that is right from the
    first positive on. Source: our reconstruction; how M3-Net updates its centres is unpublished.
    """

    def __init__(self, classes: int, class_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.classes = classes
        self.class_dim = class_dim
        self.centres = self.add_weight(
            shape=(classes, class_dim), initializer="zeros", trainable=False, dtype="float32", name="centres"
        )
        self.built = True

    def update(self, mean: Tensor, seen: Tensor, decay: float) -> Tensor:
        """Moves the centre of every class with a positive in the batch: c <- decay c + (1 - decay) mean; returns all.

        No gradient flows into the centres. Args: what `batch_centres` returned; decay: a step, in [0, 1).
        """
        mean = ops.stop_gradient(mean)
        old = ops.convert_to_tensor(self.centres)
        new = ops.where(seen, decay * old + (1 - decay) * mean, old)
        self.centres.assign(new)
        return new

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {**super().get_config(), "classes": self.classes, "class_dim": self.class_dim}
