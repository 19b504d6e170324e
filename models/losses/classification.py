"""Classification losses L_M: every attribute of a photo is classified, those without a label are left out.

All are computed on the grid (B, N, K), a value a cell (photo, attribute); `labelled_mean` makes the batch's loss of it.
"""

from keras import KerasTensor as Tensor
from keras import ops

from models.grid import Grid

LOW = -1e9  # a logit that no softmax sees: finite, because inf - inf is NaN in the gradient


def _wide(x: Tensor) -> Tensor:
    """At least float32: bfloat16's 8 bits lose small probabilities."""
    return ops.cast(x, "float32")


def labelled(y_true: Tensor, grid: Grid) -> Tensor:
    """Float32 (B, N): 1 where a photo has a label for the attribute, that is, at least one of its classes is 1."""
    return ops.cast(ops.max(grid.spread(_wide(y_true)), axis=-1) > 0, "float32")


def labelled_mean(cells: Tensor, known: Tensor) -> Tensor:
    """The mean of `cells` (B, N) over those that are `known` (B, N); 0 if none is."""
    return ops.sum(cells * known) / ops.maximum(ops.sum(known), 1.0)


def softmax_cells(y_true: Tensor, logits: Tensor, grid: Grid) -> Tensor:
    """Softmax cross-entropy an attribute: -sum_k q_k log softmax(x)_k, q the labels divided by their number.

    Args:
        y_true: (B, M), multi-hot.
        logits: (B, M), float.
    Returns: float32 (B, N); 0 where unlabelled.
    """
    target = grid.spread(_wide(y_true))
    target = target / ops.maximum(ops.sum(target, axis=-1, keepdims=True), 1.0)
    scores = ops.where(grid.mask > 0, grid.spread(_wide(logits)), LOW)
    return -ops.sum(target * ops.log_softmax(scores, axis=-1), axis=-1)


def sigmoid_cells(y_true: Tensor, logits: Tensor, grid: Grid, positive_weight: Tensor | float = 1.0) -> Tensor:
    """Sigmoid cross-entropy an attribute, summed over its classes: sum_m -[w_m y log s(x) + (1 - y) log(1 - s(x))].

    Args:
        y_true: (B, M), multi-hot.
        logits: (B, M), float.
        positive_weight: w, (M,) or one number.
    Returns: float32 (B, N); an unlabelled cell has a value too, which `labelled_mean` leaves out.
    """
    y, x = _wide(y_true), _wide(logits)
    # softplus(-x) = -log s(x) and softplus(x) = -log(1 - s(x)), without the overflow of either logarithm.
    each = positive_weight * y * ops.softplus(-x) + (1 - y) * ops.softplus(x)
    return ops.sum(grid.spread(each), axis=-1)


def published_l_m(y_true: Tensor, logits: Tensor, grid: Grid, positive_weight: Tensor | float) -> Tensor:
    """L_M(I, A_n) = 1/M_n sum_m -[w_p y log x + (1 - y) log(1 - x)], the mean over all labelled (photo, attribute).

    Args and source: `sigmoid_cells`; M3-Net (Jiao et al., CVPR 2023), equation of L_M. Returns: a float32 scalar.
    """
    sizes = grid.mask.sum(axis=-1)
    cells = ops.divide(sigmoid_cells(y_true, logits, grid, positive_weight), sizes)  # PyTorch's operators take no array
    return labelled_mean(cells, labelled(y_true, grid))


def best_l_m(y_true: Tensor, logits: Tensor, grid: Grid, multi_label: Tensor) -> Tensor:
    """Softmax cross-entropy for single-label attributes, summed unweighted sigmoid for multi-label ones.

    It departs from the published L_M: the softmax knows that classes exclude each other, and a sum, unlike the mean
    over classes, leaves attributes with many classes their share of the gradient.

    Args:
        multi_label: bool (N,). Others as `sigmoid_cells`.
    Returns: a float32 scalar, the mean over all labelled (photo, attribute).
    """
    cells = ops.where(multi_label, sigmoid_cells(y_true, logits, grid), softmax_cells(y_true, logits, grid))
    return labelled_mean(cells, labelled(y_true, grid))
