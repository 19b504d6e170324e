"""What a training step sees: augmented batches that follow from (seed, epoch, batch) alone, so that any can be made again."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from models.recipe import TrainingConfig

_THREADS = 2  # that read and augment beside the step


@dataclass(frozen=True)
class Photos:
    """Decoded photos on disk and what is known of them, n of each, ordered by id whatever order they were read in.

    `images` uint8 (n, S, S, 3), a memory map; `place` int (n,), the row of `images` that holds photo i;
    `labels` uint8 (n, M), multi-hot; `ids`, `roles`: text.
    """

    images: np.ndarray
    place: np.ndarray
    labels: np.ndarray
    ids: Sequence[str]
    roles: Sequence[str]

    def batch(self, index: np.ndarray) -> np.ndarray:
        """The photos at `index`, uint8 (b, S, S, 3), copied out of the map."""
        return self.images[self.place[index]]


def augment(images: np.ndarray, recipe: TrainingConfig, random: np.random.Generator) -> np.ndarray:
    """Shifts each photo by up to `shift` pixels each way, stretches it by up to `zoom`, and mirrors half with `flip`.

    Args and returns: uint8 (b, S, S, 3); of each pixel the nearest, edges replicated. No colour is changed: colour is an
    attribute.
    """
    count, size = images.shape[:2]
    middle = (size - 1) / 2
    offset = random.integers(-recipe.shift, recipe.shift + 1, (2, count, 1))
    step = 1 + random.uniform(-recipe.zoom, recipe.zoom, (2, count, 1)) if recipe.zoom else 1.0
    lines = np.rint((np.arange(size) - middle) * step + middle + offset)
    rows, columns = np.clip(lines, 0, size - 1).astype(int)
    if recipe.flip:
        mirrored = random.random((count, 1)) < 0.5
        columns = np.where(mirrored, columns[:, ::-1], columns)
    return images[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


class Batches(keras.utils.PyDataset):
    """One epoch of full batches, reshuffled each epoch; fewer photos than a batch make one smaller batch.

    A subclass draws otherwise by giving `__len__` and `draw`.
    """

    def __init__(self, photos: Photos, recipe: TrainingConfig) -> None:
        super().__init__(workers=_THREADS, max_queue_size=2 * _THREADS)
        self.photos = photos
        self.recipe = recipe
        self.epoch = 0

    @property
    def size(self) -> int:
        """Photos drawn for a batch."""
        return min(self.recipe.batch_size, len(self.photos.ids))

    def __len__(self) -> int:
        return len(self.photos.ids) // self.size

    def draw(self, batch: int) -> tuple[np.ndarray, np.ndarray | None]:
        """The photos of a batch, int (b,), and the attribute that each was drawn for, int (b,), or None for all."""
        order = np.random.default_rng([self.recipe.seed, self.epoch]).permutation(len(self.photos.ids))
        return order[batch * self.size : (batch + 1) * self.size], None

    def labels(self, index: np.ndarray, attribute: np.ndarray | None) -> np.ndarray:
        """The labels that count in a batch, float32 (b, M)."""
        return self.photos.labels[index].astype(np.float32)

    def __getitem__(self, batch: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """`images` uint8 (b, S, S, 3) and `attribute` int32 (b,) where drawn; `labels` float32 (b, M), `photo` int32 (b,)."""
        index, attribute = self.draw(batch)
        index = np.tile(index, self.recipe.views)
        attribute = None if attribute is None else np.tile(attribute, self.recipe.views)
        random = np.random.default_rng([self.recipe.seed, self.epoch, batch])
        images = augment(self.photos.batch(index), self.recipe, random)
        inputs = {"images": images} | ({} if attribute is None else {"attribute": attribute.astype(np.int32)})
        return inputs, {"labels": self.labels(index, attribute), "photo": index.astype(np.int32)}

    def on_epoch_end(self) -> None:
        """Moves on to the next epoch's draws."""
        self.epoch += 1
