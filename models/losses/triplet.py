"""Triplet loss on cosine similarity, and L_CI: two photos of a class are nearer than a photo without it."""

from keras import KerasTensor as Tensor
from keras import ops

from models.grid import Grid
from models.losses.classification import labelled
from models.losses.cosine import unit


def cosine_triplet_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 0.2) -> Tensor:
    """One hinge a triplet: max(0, margin + cos(anchor, negative) - cos(anchor, positive)).

    Args:
        anchor, positive, negative: float (..., D), any length. A zero vector has cosine 0 with everything.
        margin: a difference of two cosines, so without unit and in (0, 2].
    Returns: (...), float32, each value in [0, margin + 2]; the caller reduces.
    Source: the ranking loss of ASEN (Ma et al., AAAI 2020), whose margin is 0.2.
    """
    a, p, n = (unit(x) for x in (anchor, positive, negative))
    return ops.relu(margin + ops.sum(a * n, axis=-1) - ops.sum(a * p, axis=-1))


def class_cosines(phi: Tensor) -> Tensor:
    """cos(phi_m(i), phi_m(j)) for all photos of a batch under each class condition: (B, M, D) to float32 (M, B, B)."""
    vectors = unit(ops.swapaxes(phi, 0, 1))
    return ops.matmul(vectors, ops.swapaxes(vectors, 1, 2))


def negatives_of(y_true: Tensor, grid: Grid) -> Tensor:
    """Bool (M, B): photos labelled for the class's attribute that lack the class.

    A photo that has the class among others (multi-label) is no negative, nor is one whose attribute is unlabelled.
    """
    y = ops.cast(y_true, "float32")
    cells = grid.spread(y)
    known = grid.collect(ops.broadcast_to(ops.max(cells, axis=-1, keepdims=True), ops.shape(cells)))
    return ops.transpose(ops.logical_and(known > 0, ops.equal(y, 0)))


def _next_in_batch(allowed: Tensor) -> Tensor:
    """int (M, B): for anchor i the first j allowed after it, cyclically. Allowed: bool (M, B, B).

    Batches are shuffled, so that the next one is a random one, without a random state that backends draw differently.
    """
    size = ops.shape(allowed)[-1]
    place = ops.arange(size)
    distance = ops.mod(ops.expand_dims(place, 0) - ops.expand_dims(place, 1) - 1, size)
    return ops.argmin(ops.where(allowed, distance, size), axis=-1)


def _at(values: Tensor, index: Tensor) -> Tensor:
    """values (M, B, B) at index (M, B) of the last axis."""
    return ops.squeeze(ops.take_along_axis(values, ops.expand_dims(index, -1), axis=-1), -1)


def instance_loss(y_true: Tensor, phi: Tensor, grid: Grid, margin: float = 0.2) -> Tensor:
    """L_CI = triplet(phi_m(I), phi_m(I+), phi_m(I-)), all three under the condition of one class m of the anchor.

    In the batch, an anchor a (photo, class it has): one random positive, and one random semi-hard negative, which lies
    inside the margin but not nearer than the positive. Anchors without such a pair cost nothing.

    Args:
        y_true: (B, M), multi-hot. phi: (B, M, D), any length. margin: a difference of two cosines.
    Returns: a float32 scalar in [0, margin], the mean over all triplets found; 0 if there is none.
    Source: M3-Net's instance-level loss; the mining is our reconstruction.
    """
    has = ops.transpose(ops.cast(y_true, "float32")) > 0
    pairs = ops.logical_and(ops.expand_dims(has, 1), ops.expand_dims(has, 2))
    return _semi_hard(class_cosines(phi), pairs, ops.expand_dims(negatives_of(y_true, grid), 1), margin)


def attribute_loss(y_true: Tensor, f: Tensor, grid: Grid, margin: float = 0.2) -> Tensor:
    """The triplet loss of the ASEN family for all attributes of a batch at once, mined as `instance_loss` is.

    A positive shares a class with the anchor, a negative is labelled and shares none.

    Args:
        y_true: (B, M), multi-hot. f: (B, N, D), one vector an attribute, any length. margin: a difference of two cosines.
    Returns: a float32 scalar in [0, margin], the mean over all triplets found; 0 if there is none.
    Source: ASEN's loss; batches and mining are not its own, which draws triplets at random.
    """
    cells = ops.swapaxes(grid.spread(ops.cast(y_true, "float32")), 0, 1)  # (N, B, K)
    shared = ops.matmul(cells, ops.swapaxes(cells, 1, 2)) > 0
    known = ops.max(cells, axis=-1) > 0
    apart = ops.logical_and(ops.expand_dims(known, 1), ops.logical_and(ops.expand_dims(known, 2), ops.logical_not(shared)))
    return _semi_hard(class_cosines(f), shared, apart, margin)


def drawn_triplet_loss(y_true: Tensor, f: Tensor, grid: Grid, margin: float = 0.2) -> Tensor:
    """The triplet loss of the ASEN family as documented: T = mean max(0, margin + cos(a, n) - cos(a, p)).

    Args:
        y_true: (3T, M): anchor, positive, negative, next triplet; labelled for the triplet's one attribute alone.
        f: (3T, N, D), one vector an attribute, any length. margin: a difference of two cosines.
    Returns: a float32 scalar in [0, margin + 2].
    Source: Ma et al., AAAI 2020.
    """
    attribute = ops.expand_dims(labelled(y_true, grid), -1)
    own = ops.sum(ops.cast(f, "float32") * attribute, axis=1)  # (3T, D)
    triplets = ops.reshape(own, (-1, 3, own.shape[-1]))
    return ops.mean(cosine_triplet_loss(triplets[:, 0], triplets[:, 1], triplets[:, 2], margin))


def _semi_hard(cosine: Tensor, pairs: Tensor, negatives: Tensor, margin: float) -> Tensor:
    """The mean hinge over one random positive and one random semi-hard negative an anchor.

    Args: cosine (M, B, B); pairs, negatives bool (M, B, B), the latter may broadcast; a photo is no pair of itself.
    """
    pairs = ops.logical_and(pairs, ops.logical_not(ops.eye(ops.shape(cosine)[-1], dtype="bool")))
    near = _at(cosine, _next_in_batch(pairs))  # (M, B), where there is a pair
    gap = cosine - ops.expand_dims(near, -1)
    semi_hard = ops.logical_and(ops.logical_and(gap <= 0, gap > -margin), negatives)
    far = _at(cosine, _next_in_batch(semi_hard))
    found = ops.cast(ops.logical_and(ops.any(pairs, axis=-1), ops.any(semi_hard, axis=-1)), "float32")
    return ops.sum(ops.relu(margin + far - near) * found) / ops.maximum(ops.sum(found), 1.0)
