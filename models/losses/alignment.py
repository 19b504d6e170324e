"""ASEN++'s alignment: what the global branch sees of a photo and what the local one sees of it point the same way."""

from keras import KerasTensor as Tensor
from keras import ops

from models.grid import Grid
from models.losses.classification import labelled, labelled_mean
from models.losses.cosine import unit


def alignment_loss(y_true: Tensor, g: Tensor, local: Tensor, grid: Grid) -> Tensor:
    """A = sum over anchor, positive and negative of mean max(0, 1 - cos(g, l)): three times the mean over all photos of a batch.

    Args: y_true (B, M), multi-hot: labelled (photo, attribute) count. g, local: (B, N, D), any length.
    Returns: a float32 scalar in [0, 6]; 0 without a label.
    Source: ASEN++ (Dong et al., TIP 2021).
    """
    return 3 * labelled_mean(ops.relu(1 - ops.sum(unit(g) * unit(local), axis=-1)), labelled(y_true, grid))
