"""What a training step sees: shuffled, augmented batches that follow from (seed, epoch, batch) alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from models.recipe import TrainingConfig


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


def augment(images: np.ndarray, shift: int, flip: bool, random: np.random.Generator) -> np.ndarray:
    """Shifts each photo by up to `shift` pixels each way, edges replicated, and mirrors half of them.

    Args and returns: uint8 (b, S, S, 3). No colour is changed: colour is an attribute.
    """
    count, size = images.shape[:2]
    offset = random.integers(-shift, shift + 1, (2, count, 1))
    rows = np.clip(np.arange(size) + offset[0], 0, size - 1)
    columns = np.clip(np.arange(size) + offset[1], 0, size - 1)
    if flip:
        mirrored = random.random((count, 1)) < 0.5
        columns = np.where(mirrored, columns[:, ::-1], columns)
    return images[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


class Batches(keras.utils.PyDataset):
    """One epoch of full batches, reshuffled each epoch; fewer photos than a batch make one smaller batch."""

    def __init__(self, photos: Photos, recipe: TrainingConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.photos = photos
        self.recipe = recipe
        self.epoch = 0
        self.size = min(recipe.batch_size, len(photos.ids))

    def __len__(self) -> int:
        return len(self.photos.ids) // self.size

    def __getitem__(self, batch: int) -> tuple[np.ndarray, np.ndarray]:
        """Images float32 (b, S, S, 3) in 0..255, labels float32 (b, M)."""
        order = np.random.default_rng([self.recipe.seed, self.epoch]).permutation(len(self.photos.ids))
        index = order[batch * self.size : (batch + 1) * self.size]
        random = np.random.default_rng([self.recipe.seed, self.epoch, batch])
        images = augment(self.photos.batch(index), self.recipe.shift, self.recipe.flip, random)
        return images.astype(np.float32), self.photos.labels[index].astype(np.float32)

    def on_epoch_end(self) -> None:
        """Moves on to the next epoch's order."""
        self.epoch += 1
