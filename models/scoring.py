"""Scoring: class posteriors from logits, and the retrieval vector whose inner product ranks a gallery.

The score of query q and candidate c under one attribute is the probability that both show the same class, with a
bonus for looking alike under it: s(q, c) = sum_m p_m(q) p_m(c) (1 + kappa cos(phi_m(q), phi_m(c))) / pi_m^balance.

With balance 1 and without the bonus that is the ratio of two likelihoods of the photos, to have one class, drawn by its
frequency pi_m, and to have one each. A query taken for a common class finds many of its own in any order, one of a rare
class nothing unless that is ranked first: so the probability alone does not give the best mean AP.
"""

import numpy as np
from keras import KerasTensor as Tensor
from keras import ops

from models.grid import Grid
from models.losses.classification import LOW


def softmax_posteriors(logits: Tensor, grid: Grid) -> Tensor:
    """p_m = softmax of an attribute's logits; (B, M) to float32 (B, M), summing to 1 over each attribute's classes."""
    spread = grid.spread(ops.cast(logits, "float32"))
    return grid.collect(ops.softmax(ops.where(grid.mask > 0, spread, LOW), axis=-1))


def sigmoid_posteriors(logits: Tensor, grid: Grid) -> Tensor:
    """p_m = sigmoid(x_m) over its sum in the attribute; (B, M) to float32 (B, M), summing to 1 over each attribute."""
    spread = grid.spread(ops.sigmoid(ops.cast(logits, "float32")))
    return grid.collect(spread / ops.maximum(ops.sum(spread, axis=-1, keepdims=True), 1e-12))


def mixed_posteriors(logits: Tensor, grid: Grid, multi_label: Tensor) -> Tensor:
    """Softmax for single-label attributes, normalised sigmoid for those where `multi_label`, bool (M,), is true."""
    return ops.where(multi_label, sigmoid_posteriors(logits, grid), softmax_posteriors(logits, grid))


def class_frequencies(labels: np.ndarray, grid: Grid) -> np.ndarray:
    """pi_m, float32 (M,), of training labels (n, M), multi-hot: a class's part of its attribute's labels, each counted once more."""
    counts = grid.mask.copy()
    counts.reshape(-1)[grid.slot_of_class] += labels.sum(axis=0)
    return (counts / counts.sum(axis=1, keepdims=True)).reshape(-1)[grid.slot_of_class]


def weighted_class_vectors(posteriors: Tensor, phi: Tensor, grid: Grid) -> Tensor:
    """p_m phi_m / |phi_m| of each slot, zero where empty; (B, M) and (B, M, D) to float32 (B, N, K D)."""
    unit = ops.normalize(ops.cast(phi, "float32"), axis=-1)
    alike = grid.spread(ops.expand_dims(ops.cast(posteriors, "float32"), -1) * unit)
    return ops.reshape(alike, (-1, grid.attributes, grid.slots * phi.shape[-1]))


def retrieval_vectors(
    posteriors: Tensor, phi: Tensor | None, grid: Grid, kappa: float = 0.0, basis: Tensor | None = None
) -> Tensor:
    """[p, sqrt(kappa) p_m phi_m / |phi_m|] an attribute, zero-padded to one length: the score is an inner product.

    Args:
        posteriors: (B, M). phi: (B, M, D), any length; needed where kappa is above 0.
        kappa: weight of the cosine, at least 0; 0 leaves the second half out.
        basis: (N, K D, r), orthonormal columns an attribute, that the second half is projected to: see `compression`.
    Returns: float32 (B, N, L), L = K, with the second half K (1 + D), or K + r.
    """
    spread = grid.spread(ops.cast(posteriors, "float32"))
    if kappa == 0 or phi is None:
        return spread
    alike = weighted_class_vectors(posteriors, phi, grid)
    if basis is not None:
        alike = ops.einsum("bnl,nlr->bnr", alike, basis)
    return ops.concatenate([spread, kappa**0.5 * alike], axis=-1)
