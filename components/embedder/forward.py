"""Photos to retrieval vectors in one compiled call of one shape, on whichever Keras backend is in use."""

import keras
import numpy as np
from keras import KerasTensor as Tensor

from models.systems import System

BATCH = 64  # on two cores 32 and 128 are within 5 % of it


class Forward(keras.Model):
    """A system and its scoring as one model: float32 (B, S, S, 3), RGB in 0..255, to float32 (B, N, L)."""

    def __init__(self, system: System) -> None:
        super().__init__()
        self.system = system
        # XLA's CPU convolutions are several times slower than oneDNN's; JAX knows nothing else.
        if keras.backend.backend() == "tensorflow":
            self.jit_compile = False

    def call(self, images: Tensor) -> Tensor:
        """See the class."""
        return self.system.vectors(self.system(images, training=False))

    def vectors(self, images: np.ndarray) -> np.ndarray:
        """Of at most `BATCH` photos. The last batch is padded, since another shape would be compiled anew."""
        padding = np.zeros((BATCH - len(images), *images.shape[1:]), images.dtype)
        padded = np.concatenate([images, padding]) if len(padding) else images
        found: np.ndarray = self.predict_on_batch(padded)[: len(images)]
        return found
