"""What every system shares: photos in, logits and class vectors out, its loss, and how it is built, saved and loaded."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import KerasTensor as Tensor
from keras import ops

from models.backbones import build_backbone
from models.centres import ClassCentres
from models.grid import Grid
from models.losses.cluster import cluster_loss
from models.losses.triplet import instance_loss
from models.recipe import ModelConfig, TrainingConfig
from models.registry import SYSTEMS, resolve
from models.scoring import retrieval_vectors
from models.taxonomy import Taxonomy


class System(keras.Model):
    """Base of all systems: float32 (B, S, S, 3), RGB in 0..255, to a dict of outputs.

    Outputs: `logits` (B, M); `phi` (B, M, D), one vector a class; `attention` (B, N, H, W), summing to 1 over H and W.
    A subclass builds its head in `add_head` and gives `head`, `classification_loss` and `posteriors`.

    Args:
        taxonomy: the text of taxonomy.json; config: the fields of `ModelConfig`. Plain values, so that Keras saves them.
    """

    def __init__(self, taxonomy: str, config: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.taxonomy = Taxonomy.from_json(taxonomy)
        self.config = ModelConfig(**config)
        self.recipe = TrainingConfig()
        self.grid = Grid(self.taxonomy)
        self.backbone = build_backbone(self.config.backbone, self.config.image_size, self.config.weights)
        self.centres = ClassCentres(self.taxonomy.num_classes, self.config.class_dim)
        self.trackers = {part: keras.metrics.Mean(name=part) for part in ("l_m", "l_ci", "l_cc")}
        self.add_head()
        # Called once, so that every weight exists: `build` alone leaves the head's layers for the first batch.
        self(np.zeros((1, self.config.image_size, self.config.image_size, 3), np.float32))

    def add_head(self) -> None:
        """Creates the layers after the backbone."""
        raise NotImplementedError

    def head(self, x: Tensor, training: bool) -> tuple[Tensor, Tensor, Tensor]:
        """The flattened map (B, P, C) to logits (B, M), phi (B, M, D) and attention (B, N, P)."""
        raise NotImplementedError

    def classification_loss(self, y_true: Tensor, logits: Tensor) -> Tensor:
        """L_M, a scalar. Args: y_true (B, M) multi-hot, logits (B, M)."""
        raise NotImplementedError

    def posteriors(self, logits: Tensor) -> Tensor:
        """p_m, (B, M) to (B, M), summing to 1 over each attribute's classes."""
        raise NotImplementedError

    def call(self, images: Tensor, training: bool = False) -> dict[str, Tensor]:
        """See the class."""
        features = self.backbone(images, training=training)
        _, height, width, channels = features.shape
        logits, phi, attention = self.head(ops.reshape(features, (-1, height * width, channels)), training)
        attention = ops.reshape(ops.cast(attention, "float32"), (-1, self.grid.attributes, height, width))
        return {"logits": ops.cast(logits, "float32"), "phi": ops.cast(phi, "float32"), "attention": attention}

    def vectors(self, outputs: dict[str, Tensor]) -> Tensor:
        """The retrieval vectors of what `call` returned, float32 (B, N, L)."""
        return retrieval_vectors(self.posteriors(outputs["logits"]), outputs["phi"], self.grid, self.config.kappa)

    def prepare(self, recipe: TrainingConfig, labels: np.ndarray) -> None:
        """Takes what the loss needs from the recipe and from the training labels, uint8 (n, M)."""
        self.recipe = recipe

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """L = L_M + l1 L_CI + l2 L_CC; in training the centres move first. `y` is multi-hot (B, M)."""
        recipe, phi = self.recipe, y_pred["phi"]
        parts = {"l_m": self.classification_loss(y, y_pred["logits"])}
        if recipe.instance_weight:
            parts["l_ci"] = recipe.instance_weight * instance_loss(y, phi, self.grid, recipe.margin)
        if recipe.cluster_weight:
            centres = self.centres.update(phi, y, recipe.centre_decay) if training else self.centres.centres
            parts["l_cc"] = recipe.cluster_weight * cluster_loss(y, phi, centres, self.grid, recipe.margin)
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
