"""MODC's memory: a queue an attribute of the vectors of photos seen last, and the class prototypes that follow from it."""

from typing import Any

import keras
from keras import KerasTensor as Tensor
from keras import layers, ops

from models.grid import Grid
from models.taxonomy import Taxonomy

ENTRIES = 1000  # a queue holds
BLEND = 0.5  # of the old vector, when a photo comes back while its entry stands


@keras.saving.register_keras_serializable(package="m3net")
class Memory(layers.Layer):
    """N queues of `entries` places, each with a vector of length D, its classes and the number of its photo.

    A photo whose entry still stands moves that entry's vector half way; another takes the oldest place. Saved with the
    model, so that a resumed training finds it. Source: our reconstruction of MODC (ECCV 2022); sizes and blend are reported.
    """

    def __init__(self, taxonomy: str, dim: int, entries: int = ENTRIES, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.taxonomy, self.dim, self.entries = taxonomy, dim, entries
        self.grid = Grid(Taxonomy.from_json(taxonomy))
        # One place more than is used: what is not to be kept is written there, as zeros.
        rows = self.grid.attributes * (entries + 1)
        self.features = self._variable((rows, dim), "float32", "features")
        self.classes = self._variable((rows, self.grid.slots), "float32", "classes")
        self.photo = self._variable((rows,), "int32", "photo")  # its number plus 1; 0 = empty
        self.next = self._variable((self.grid.attributes,), "int32", "next")
        self.built = True

    def _variable(self, shape: tuple[int, ...], dtype: str, name: str) -> Any:
        return self.add_weight(shape=shape, initializer="zeros", trainable=False, dtype=dtype, name=name)

    def remember(self, f: Tensor, y_true: Tensor, photo: Tensor) -> None:
        """Takes in a batch; of a photo that it holds twice, the first.

        Args: f (B, N, D), any length; y_true (B, M), multi-hot, unlabelled attributes are not remembered; photo int (B,).
            B at most `entries`.
        """
        count = ops.shape(photo)[0]
        same = ops.equal(ops.expand_dims(photo, 0), ops.expand_dims(photo, 1))
        first = ops.equal(ops.argmax(ops.cast(same, "int32"), axis=1), ops.arange(count))
        cells = ops.swapaxes(self.grid.spread(ops.cast(y_true, "float32")), 0, 1)  # (N, B, K)
        known = ops.logical_and(ops.any(cells > 0, axis=-1), ops.expand_dims(first, 0))  # (N, B)
        slot, stands, new = self._places(ops.cast(photo, "int32") + 1, known, count)
        vectors = ops.swapaxes(ops.normalize(ops.cast(ops.stop_gradient(f), "float32"), axis=-1), 0, 1)
        places = ops.reshape(slot + self._starts(), (-1,))
        old = ops.reshape(ops.take(self.features, places, axis=0), ops.shape(vectors))
        blended = ops.where(ops.expand_dims(stands, -1), BLEND * old + (1 - BLEND) * vectors, vectors)
        kept = ops.cast(ops.expand_dims(known, -1), "float32")
        numbers = ops.where(known, ops.expand_dims(ops.cast(photo, "int32") + 1, 0), 0)
        for variable, values in ((self.features, blended * kept), (self.classes, cells * kept), (self.photo, numbers)):
            flat = ops.reshape(values, (-1, *variable.shape[1:]))
            variable.assign(ops.scatter_update(variable, ops.expand_dims(places, -1), flat))
        self.next.assign(ops.mod(self.next + ops.sum(ops.cast(new, "int32"), axis=1), self.entries))

    def _starts(self) -> Tensor:
        return ops.expand_dims(ops.arange(self.grid.attributes) * (self.entries + 1), 1)

    def _places(self, photo: Tensor, known: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The place of each (attribute, photo), int (N, B); whether its entry stands; whether it takes a new one."""
        held = ops.reshape(self.photo, (self.grid.attributes, self.entries + 1))[:, : self.entries]
        match = ops.equal(ops.reshape(photo, (1, -1, 1)), ops.expand_dims(held, 1))  # (N, B, entries)
        place = ops.cast(ops.argmax(ops.cast(match, "int32"), axis=-1), "int32")
        first = ops.expand_dims(ops.convert_to_tensor(self.next), 1)
        # The oldest `count` places may be overwritten by this very batch: who stands there goes to the end as if new.
        safe = ops.mod(place - first, self.entries) >= count
        stands = ops.logical_and(known, ops.logical_and(ops.any(match, axis=-1), safe))
        new = ops.logical_and(known, ops.logical_not(stands))
        rank = ops.cumsum(ops.cast(new, "int32"), axis=1) - 1
        fresh = ops.where(new, ops.mod(first + rank, self.entries), self.entries)
        return ops.where(stands, place, fresh), stands, new

    def prototypes(self, before: Tensor) -> Tensor:
        """The mean of the remembered vectors of each class, (M, D); that of `before` where none is remembered."""
        shape = (self.grid.attributes, self.entries + 1)
        classes = ops.reshape(self.classes, (*shape, self.grid.slots))
        sums = ops.einsum("nqk,nqd->nkd", classes, ops.reshape(self.features, (*shape, self.dim)))
        count = ops.expand_dims(ops.sum(classes, axis=1), -1)  # (N, K, 1)
        mean = self.grid.collect(ops.expand_dims(sums / ops.maximum(count, 1.0), 0))[0]
        return ops.where(self.grid.collect(ops.expand_dims(count, 0))[0] > 0, mean, before)

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {**super().get_config(), "taxonomy": self.taxonomy, "dim": self.dim, "entries": self.entries}
