"""L_CC: a photo is nearer to the centre of its class than to any photo of the batch without that class."""

from keras import KerasTensor as Tensor
from keras import ops

from models.grid import Grid
from models.losses.cosine import unit
from models.losses.triplet import class_cosines, negatives_of


def cluster_loss(y_true: Tensor, phi: Tensor, centres: Tensor, grid: Grid, margin: float = 0.2) -> Tensor:
    """L_CC = triplet(phi_m(I), centre of class m, phi_m(I-)), over all negatives of the batch that violate the margin.

    Args:
        y_true: (B, M), multi-hot. phi: (B, M, D), any length. centres: (M, D), any length. margin: of two cosines.
    Returns: a float32 scalar in [0, margin + 2], the mean over the violating triplets; 0 if there is none.
    Source: M3-Net's cluster-level loss; mining and reduction are our reconstruction.
    """
    near = ops.sum(unit(phi) * unit(centres), axis=-1)  # (B, M)
    hinge = ops.relu(margin + class_cosines(phi) - ops.expand_dims(ops.transpose(near), -1))  # (M, anchor, negative)
    has = ops.transpose(ops.cast(y_true, "float32")) > 0
    triplets = ops.logical_and(ops.expand_dims(has, 2), ops.expand_dims(negatives_of(y_true, grid), 1))
    violating = ops.cast(ops.logical_and(triplets, hinge > 0), "float32")
    return ops.sum(hinge * violating) / ops.maximum(ops.sum(violating), 1.0)


def prototype_loss(y_true: Tensor, f: Tensor, prototypes: Tensor, grid: Grid, margin: float = 0.2) -> Tensor:
    """MODC's cluster loss: a photo is nearer to the prototype of its class than to those of its attribute's other classes.

    Each (photo, class it has) costs the mean over the other prototypes of max(0, margin + cos(f, c_other) - cos(f, c_own)).

    Args:
        y_true: (B, M), multi-hot. f: (B, N, D), one vector an attribute, any length.
        prototypes: (M, D), any length; a zero row is a class without one, which neither attracts nor repels.
        margin: of two cosines.
    Returns: a float32 scalar in [0, margin + 2], the mean over all pairs whose class and one other have a prototype; 0
        without such a pair.
    Source: our reconstruction of MODC (ECCV 2022), whose loss is unpublished.
    """
    near, there = prototype_cosines(f, prototypes, grid)
    has = grid.spread(ops.cast(y_true, "float32")) > 0
    others = ops.cast(ops.logical_and(there, ops.logical_not(has)), "float32")  # (B, N, K): a class it has repels not
    # (B, N, own, other): for every class it has, against each it has not.
    hinge = ops.relu(margin + ops.expand_dims(near, 2) - ops.expand_dims(near, 3))
    count = ops.sum(others, axis=-1, keepdims=True)
    each = ops.sum(hinge * ops.expand_dims(others, 2), axis=-1) / ops.maximum(count, 1.0)
    pairs = ops.cast(ops.logical_and(ops.logical_and(has, there), count > 0), "float32")
    return ops.sum(each * pairs) / ops.maximum(ops.sum(pairs), 1.0)


def prototype_cosines(f: Tensor, prototypes: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """cos(f_n, prototype) of each photo and class, float32 (B, N, K), and bool (1, N, K): which classes have a prototype."""
    owned = grid.spread(ops.expand_dims(unit(prototypes), 0))[0]  # (N, K, D)
    return ops.einsum("bnd,nkd->bnk", unit(f), owned), ops.expand_dims(ops.any(owned != 0, axis=-1), 0)
