"""L_CC: a photo is nearer to the centre of its class than to any photo of the batch without that class."""

from keras import KerasTensor as Tensor
from keras import ops

from models.grid import Grid
from models.losses.triplet import class_cosines, negatives_of


def cluster_loss(y_true: Tensor, phi: Tensor, centres: Tensor, grid: Grid, margin: float = 0.2) -> Tensor:
    """L_CC = triplet(phi_m(I), centre of class m, phi_m(I-)), over all negatives of the batch that violate the margin.

    Args:
        y_true: (B, M), multi-hot. phi: (B, M, D), any length. centres: (M, D), any length. margin: of two cosines.
    Returns: a float32 scalar in [0, margin + 2], the mean over the violating triplets; 0 if there is none.
    Source: M3-Net's cluster-level loss; mining and reduction are our reconstruction.
    """
    unit = ops.normalize(ops.cast(phi, "float32"), axis=-1)
    near = ops.sum(unit * ops.normalize(ops.cast(centres, "float32"), axis=-1), axis=-1)  # (B, M)
    hinge = ops.relu(margin + class_cosines(phi) - ops.expand_dims(ops.transpose(near), -1))  # (M, anchor, negative)
    has = ops.transpose(ops.cast(y_true, "float32")) > 0
    triplets = ops.logical_and(ops.expand_dims(has, 2), ops.expand_dims(negatives_of(y_true, grid), 1))
    violating = ops.cast(ops.logical_and(triplets, hinge > 0), "float32")
    return ops.sum(hinge * violating) / ops.maximum(ops.sum(violating), 1.0)
