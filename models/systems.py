"""What every system shares: photos in, retrieval vectors out, its losses, and how it is built, saved and loaded."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
from keras import KerasTensor as Tensor
from keras import ops

from models.backbones import build_backbone
from models.errors import TrainingError
from models.grid import Grid
from models.recipe import ModelConfig, TrainingConfig
from models.registry import BY_TRIPLETS, SYSTEMS, resolve
from models.sampling import Photos
from models.scoring import class_frequencies
from models.taxonomy import Taxonomy


class System(keras.Model):
    """Base of all systems: (B, S, S, 3), RGB in 0..255, to a dict of outputs.

    The input is the photos, or a dict of what `sampling` gives: `images`, and with triplets the `attribute` (B,) that a
    photo was drawn for. Every system's outputs hold `attention` (B, N, H, W), summing to 1 over H and W. A subclass builds
    its head in `add_head` and gives `head`, `losses_of`, `posteriors`, `vectors` and `vector_length`.

    Args:
        taxonomy: the text of taxonomy.json; config: the fields of `ModelConfig`. Plain values, so that Keras saves them.
    """

    parts: ClassVar[tuple[str, ...]]  # the losses' names, in the order they are shown
    stages: ClassVar[int] = 1  # of training; `enter` begins each
    value_negatives: ClassVar[bool] = False  # documented triplets: draw the negative's value first

    def __init__(self, taxonomy: str, config: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.taxonomy = Taxonomy.from_json(taxonomy)
        self.config = ModelConfig(**config)
        self.recipe = TrainingConfig()
        self.stage = 1
        self.grid = Grid(self.taxonomy)
        self.multi_label = np.array([a.multi_label for a in self.taxonomy.attributes])  # bool (N,)
        self.backbone = build_backbone(self.config.backbone, self.config.image_size, self.config.weights)
        self.trackers = {part: keras.metrics.Mean(name=part) for part in self.parts}
        if self.config.balance:
            ones = {"shape": (self.taxonomy.num_classes,), "initializer": "ones", "dtype": "float32"}
            self.frequency = self.add_weight(**ones, trainable=False, name="frequency")
        self.add_head()
        # Called once, so that every weight exists: `build` alone leaves the head's layers for the first batch.
        self(np.zeros((1, self.photo_size, self.photo_size, 3), np.float32))

    @property
    def photo_size(self) -> int:
        """S, pixels of the photos it takes."""
        return self.config.image_size

    def add_head(self) -> None:
        """Creates the layers after the backbone."""
        raise NotImplementedError

    @property
    def attended_size(self) -> tuple[int, int]:
        """Height and width of the attention shown."""
        height, width = self.backbone.output_shape[1:3]
        return height, width

    def features(self, given: dict[str, Tensor], training: bool) -> Tensor:
        """The map (B, H, W, C) of what `call` was given; what else the head needs of the photos goes into `given`."""
        return self.backbone(given["images"], training=training)

    def head(self, x: Tensor, given: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """The flattened map (B, P, C), and what `call` was given, to the outputs, with `attention` (B, N, cells)."""
        raise NotImplementedError

    def losses_of(self, y: dict[str, Tensor], outputs: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """The weighted parts of the loss, scalars by name, in `parts`.

        Args: y: `labels` (B, M), multi-hot, and `photo` int (B,), the number of each among the training photos.
        """
        raise NotImplementedError

    def posteriors(self, outputs: dict[str, Tensor]) -> Tensor:
        """p_m, float32 (B, M), summing to 1 over each attribute's classes."""
        raise NotImplementedError

    def ranking_posteriors(self, outputs: dict[str, Tensor]) -> Tensor:
        """p_m / pi_m^(balance / 2), float32 (B, M): what vectors hold, so that their product has pi_m^balance below it."""
        posteriors = self.posteriors(outputs)
        return posteriors * self.frequency ** (-self.config.balance / 2) if self.config.balance else posteriors

    def vectors(self, outputs: dict[str, Tensor]) -> Tensor:
        """The retrieval vectors of what `call` returned, float32 (B, N, L)."""
        raise NotImplementedError

    @property
    def vector_length(self) -> int:
        """L, numbers in a retrieval vector."""
        raise NotImplementedError

    def call(self, inputs: Tensor | dict[str, Tensor], training: bool = False) -> dict[str, Tensor]:
        """See the class. Outputs are float32 under any dtype policy."""
        given = dict(inputs) if isinstance(inputs, dict) else {"images": inputs}
        given["images"] = ops.cast(given["images"], "float32")  # batches hold bytes: a quarter of the way to the device
        if not self.config.mirror or training:
            return self._outputs(given, training)
        # The mean of logits, not of posteriors: as good or better on valid.
        one, other = (self._outputs({**given, "images": x}, False) for x in (given["images"], ops.flip(given["images"], 2)))
        other["attention"] = ops.flip(other["attention"], -1)
        return {key: (value + other[key]) / 2 for key, value in one.items()}

    def _outputs(self, given: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """Of the photos as they are."""
        features = self.features(given, training)
        _, height, width, channels = features.shape
        outputs = self.head(ops.reshape(features, (-1, height * width, channels)), given, training)
        outputs = {key: ops.cast(value, "float32") for key, value in outputs.items()}
        outputs["attention"] = ops.reshape(outputs["attention"], (-1, self.grid.attributes, *self.attended_size))
        return outputs

    def prepare(self, recipe: TrainingConfig, labels: np.ndarray) -> None:
        """Takes what training needs from the recipe and from the training labels, uint8 (n, M).

        Raises: TrainingError for triplets where the system is not trained by them.
        """
        if recipe.sampling == "documented" and self.config.system not in BY_TRIPLETS:
            raise TrainingError(f'training.sampling "documented" gives triplets, which train only: {", ".join(BY_TRIPLETS)}')
        self.recipe = recipe
        if self.config.balance:
            self.frequency.assign(class_frequencies(labels, self.grid))

    def finish(self, photos: Photos) -> None:
        """After training, with the weights that stay: what is found from the training photos then."""

    @property
    def backbones(self) -> list[keras.Model]:
        """All of them."""
        return [self.backbone]

    def enter(self, stage: int) -> None:
        """Training goes on with this stage, from 1.

        A frozen backbone runs as in inference; with `frozen_norm` its batch normalisation alone does.
        """
        self.stage = stage
        for backbone in self.backbones:
            backbone.trainable = self.recipe.backbone_rate > 0
            for layer in backbone.layers:
                if self.recipe.frozen_norm and isinstance(layer, keras.layers.BatchNormalization):
                    layer.trainable = False

    def rates(self) -> list[float]:
        """Of each trainable variable, in their order: its learning rate as a share of the recipe's, in this stage."""
        slow = {id(v) for backbone in self.backbones for v in backbone.trainable_variables}
        return [self.recipe.backbone_rate if id(v) in slow else 1.0 for v in self.trainable_variables]

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """The sum of the parts. `y`: see `losses_of`."""
        parts = self.losses_of(y, y_pred, training)
        for part, value in parts.items():
            self.trackers[part].update_state(value)
        return sum(parts.values())

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes; the backbone's start weights are left out, since the file holds the trained ones."""
        start = {"weights": "", "local_weights": ""}
        return {"taxonomy": self.taxonomy.to_json(), "config": {**asdict(self.config), **start}}


def build(config: ModelConfig, taxonomy: Taxonomy, precision: str = "float32") -> System:
    """A new, untrained system.

    Args: precision: "float32" or "bfloat16", of activations. Weights are float32 with either, and fit the other.
    Raises: ValueError for an unknown system or backbone, naming those there are.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    try:
        system: System = resolve("system", config.system, SYSTEMS)(taxonomy.to_json(), asdict(config))
    finally:
        keras.config.set_dtype_policy(before)
    return system


def save(system: System, path: Path) -> None:
    """Writes one .keras file that `load` needs alone."""
    system.save(path)


def load(path: Path | str) -> System:
    """The system that `save` wrote. Raises: ValueError where the file is no .keras file of ours."""
    for name in SYSTEMS:  # each registers its class with Keras
        resolve("system", name, SYSTEMS)
    return keras.saving.load_model(path, compile=False)
