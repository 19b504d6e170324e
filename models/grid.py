"""The grid: the M classes laid out as attributes x slots, so that work on all classes is one batched product.

Attributes differ in their number of classes. Padding each to the largest, K, turns a loop over attributes into
products over (N, K); empty slots hold zero and are masked where zero means something.
"""

import numpy as np
from keras import KerasTensor as Tensor
from keras import ops

from models.taxonomy import Taxonomy


class Grid:
    """The layout of one taxonomy: N attributes, K slots each, M filled slots in all."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        sizes = [len(a.classes) for a in taxonomy.attributes]
        self.attributes = len(sizes)  # N
        self.slots = max(sizes)  # K
        starts = np.cumsum([0, *sizes[:-1]])
        slot = np.arange(self.slots)
        filled = slot < np.asarray(sizes)[:, None]
        self.mask = filled.astype(np.float32)  # (N, K): 1 where a slot holds a class
        self.class_of_slot = np.where(filled, starts[:, None] + slot, 0).astype(np.int32)  # (N, K); 0 where empty
        self.slot_of_class = np.flatnonzero(filled).astype(np.int32)  # (M,): places in the flattened (N K,)

    def spread(self, x: Tensor) -> Tensor:
        """(B, M, ...) to (B, N, K, ...), zero in empty slots."""
        taken = ops.take(x, self.class_of_slot, axis=1)
        trailing = len(x.shape) - 2
        return taken * ops.cast(self.mask.reshape(self.mask.shape + (1,) * trailing), taken.dtype)

    def collect(self, x: Tensor) -> Tensor:
        """(B, N, K, ...) to (B, M, ...): the inverse of `spread`; what stands in empty slots is dropped."""
        flat = ops.reshape(x, (-1, self.attributes * self.slots, *x.shape[3:]))
        return ops.take(flat, self.slot_of_class, axis=1)
