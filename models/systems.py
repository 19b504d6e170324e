"""What every system shares: photos in, retrieval vectors out, its losses, and how it is built, saved and loaded."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
from keras import KerasTensor as Tensor
from keras import ops

from models.backbones import build_backbone
from models.grid import Grid
from models.recipe import ModelConfig, TrainingConfig
from models.registry import SYSTEMS, resolve
from models.taxonomy import Taxonomy


class System(keras.Model):
    """Base of all systems: float32 (B, S, S, 3), RGB in 0..255, to a dict of outputs.

    Every system's outputs hold `attention` (B, N, H, W), summing to 1 over H and W. A subclass builds its head in
    `add_head` and gives `head`, `losses`, `posteriors`, `vectors` and `vector_length`.

    Args:
        taxonomy: the text of taxonomy.json; config: the fields of `ModelConfig`. Plain values, so that Keras saves them.
    """

    parts: ClassVar[tuple[str, ...]]  # the losses' names, in the order they are shown

    def __init__(self, taxonomy: str, config: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.taxonomy = Taxonomy.from_json(taxonomy)
        self.config = ModelConfig(**config)
        self.recipe = TrainingConfig()
        self.grid = Grid(self.taxonomy)
        self.multi_label = np.array([a.multi_label for a in self.taxonomy.attributes])  # bool (N,)
        self.backbone = build_backbone(self.config.backbone, self.config.image_size, self.config.weights)
        self.trackers = {part: keras.metrics.Mean(name=part) for part in self.parts}
        self.add_head()
        # Called once, so that every weight exists: `build` alone leaves the head's layers for the first batch.
        self(np.zeros((1, self.config.image_size, self.config.image_size, 3), np.float32))

    def add_head(self) -> None:
        """Creates the layers after the backbone."""
        raise NotImplementedError

    def head(self, x: Tensor, training: bool) -> dict[str, Tensor]:
        """The flattened map (B, P, C) to the outputs, with `attention` (B, N, P)."""
        raise NotImplementedError

    def losses_of(self, y_true: Tensor, outputs: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """The weighted parts of the loss, scalars by name, in `parts`. Args: y_true (B, M) multi-hot."""
        raise NotImplementedError

    def posteriors(self, outputs: dict[str, Tensor]) -> Tensor:
        """p_m, float32 (B, M), summing to 1 over each attribute's classes."""
        raise NotImplementedError

    def vectors(self, outputs: dict[str, Tensor]) -> Tensor:
        """The retrieval vectors of what `call` returned, float32 (B, N, L)."""
        raise NotImplementedError

    @property
    def vector_length(self) -> int:
        """L, numbers in a retrieval vector."""
        raise NotImplementedError

    def call(self, images: Tensor, training: bool = False) -> dict[str, Tensor]:
        """See the class. Outputs are float32 under any dtype policy."""
        features = self.backbone(images, training=training)
        _, height, width, channels = features.shape
        outputs = self.head(ops.reshape(features, (-1, height * width, channels)), training)
        outputs = {key: ops.cast(value, "float32") for key, value in outputs.items()}
        outputs["attention"] = ops.reshape(outputs["attention"], (-1, self.grid.attributes, height, width))
        return outputs

    def prepare(self, recipe: TrainingConfig, labels: np.ndarray) -> None:
        """Takes what the loss needs from the recipe and from the training labels, uint8 (n, M)."""
        self.recipe = recipe

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """The sum of the parts. `y` is multi-hot (B, M)."""
        parts = self.losses_of(y, y_pred, training)
        for part, value in parts.items():
            self.trackers[part].update_state(value)
        return sum(parts.values())

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes; the backbone's start weights are left out, since the file holds the trained ones."""
        return {"taxonomy": self.taxonomy.to_json(), "config": {**asdict(self.config), "weights": ""}}


def build(config: ModelConfig, taxonomy: Taxonomy) -> System:
    """A new, untrained system. Raises: ValueError for an unknown system or backbone, naming those there are."""
    system: System = resolve("system", config.system, SYSTEMS)(taxonomy.to_json(), asdict(config))
    return system


def save(system: System, path: Path) -> None:
    """Writes one .keras file that `load` needs alone."""
    system.save(path)


def load(path: Path | str) -> System:
    """The system that `save` wrote. Raises: ValueError where the file is no .keras file of ours."""
    for name in SYSTEMS:  # each registers its class with Keras
        resolve("system", name, SYSTEMS)
    return keras.saving.load_model(path, compile=False)
