"""Unit vectors, whose inner product is the cosine that every metric loss here compares."""

from keras import KerasTensor as Tensor
from keras import ops

_TINY = 1e-24  # of a squared length: well below any vector that means something, well above float32's smallest number


def unit(x: Tensor) -> Tensor:
    """x / |x| along the last axis, in float32; a zero vector stays zero, and so has cosine 0 with everything.

    Not `ops.normalize`, whose gradient at zero is NaN on JAX, also where nothing depends on it. Upcast first: between 0.5
    and 1 bfloat16 knows only steps of 1/256, so that two close candidates would tie.
    """
    wide = ops.cast(x, "float32")
    return wide * ops.rsqrt(ops.maximum(ops.sum(ops.square(wide), axis=-1, keepdims=True), _TINY))
