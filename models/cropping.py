"""From attention to a crop: the box that ASEN++'s local branch looks at, cut from the photo's own pixels.

Everything is a product with interpolation matrices, so that it runs alike on every backend and on stock operations.
"""

import numpy as np
from keras import KerasTensor as Tensor
from keras import ops

THRESHOLD = 0.1  # of the range of an attention map, from which on a pixel belongs to the box


def boxes(attention: Tensor, size: int) -> Tensor:
    """The square around where an attention map is above a tenth of its range.

    The map is enlarged bilinearly to `size` pixels a side, spread to [0, 1] and cut at `THRESHOLD`; the bounding box of
    what is left becomes a square of its longer side around its centre, moved into the frame.

    Args: attention (..., H, W). size: pixels of the frame, in which the box is found.
    Returns: float32 (..., 3): top, left and side as shares of the frame; no gradient passes.
    Source: ASEN++ (Dong et al., TIP 2021), as its public code has it.
    """
    map_ = ops.stop_gradient(ops.cast(attention, "float32"))
    up, across = (_enlarging(int(map_.shape[axis]), size) for axis in (-2, -1))
    large = ops.matmul(ops.matmul(up, map_), np.ascontiguousarray(across.T))
    low, high = (f(large, axis=(-2, -1), keepdims=True) for f in (ops.min, ops.max))
    inside = (large - low) / ops.maximum(high - low, 1e-12) > THRESHOLD
    (top, height), (left, width) = (_extent(ops.any(inside, axis=axis), size) for axis in (-1, -2))
    side = ops.maximum(ops.maximum(height, width), 1.0)
    start = [ops.clip(at + (length - side) / 2, 0.0, size - side) for at, length in ((top, height), (left, width))]
    return ops.stack([*start, side], axis=-1) / size


def _extent(inside: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The first True of the last axis, and how long it is from there to the last one; bool (..., size) to float32 (...)."""
    whole = ops.cast(inside, "int32")
    first = ops.argmax(whole, axis=-1)
    last = size - 1 - ops.argmax(ops.flip(whole, axis=-1), axis=-1)
    return ops.cast(first, "float32"), ops.cast(last - first + 1, "float32")


def _enlarging(size: int, target: int) -> np.ndarray:
    """The matrix (target, size) of a bilinear enlargement whose pixels are squares, edges replicated."""
    centre = np.clip((np.arange(target) + 0.5) * size / target - 0.5, 0, size - 1)
    return np.maximum(0, 1 - np.abs(centre[:, None] - np.arange(size))).astype(np.float32)


def crop(images: Tensor, box: Tensor, size: int) -> Tensor:
    """Each box of each photo, resampled to `size` pixels a side: bilinear, with a wider triangle where it shrinks.

    Args: images float32 (B, S, S, 3). box: (B, A, 3), as of `boxes`.
    Returns: float32 (B, A, size, size, 3).
    """
    photo = int(images.shape[1])
    top, left, side = (ops.expand_dims(box[..., i] * photo, -1) for i in range(3))  # (B, A, 1), in the photo's pixels
    rows, columns = (_sampling(at, side, size, photo) for at in (top, left))  # (B, A, size, S)
    tall = ops.einsum("bahs,bswc->bahwc", rows, images)
    return ops.einsum("bavw,bahwc->bahvc", columns, tall)


def _sampling(start: Tensor, side: Tensor, size: int, photo: int) -> Tensor:
    """Weights (B, A, size, photo) of the photo's pixels in each pixel of the crop."""
    scale = side / size
    centre = start + (ops.arange(size, dtype="float32") + 0.5) * scale - 0.5
    centre = ops.expand_dims(ops.clip(centre, 0.0, photo - 1.0), -1)
    reach = ops.expand_dims(ops.maximum(scale, 1.0), -1)  # pixels shrunk into one are averaged, not skipped
    weights = ops.relu(1 - ops.absolute(centre - ops.arange(photo, dtype="float32")) / reach)
    return weights / ops.sum(weights, axis=-1, keepdims=True)
