"""MODC: ASEN_v2's encoder, trained against class prototypes that are clustered online; our reconstruction.

What is reported of it (ECCV 2022): prototypes of each attribute are estimated online from a memory; instance level,
cluster level, then augmented and pseudo-labelled supervision; for retrieval the nearest prototype segments an attribute's
space. Here the first stage has the triplet loss and, from the first prototypes on, the cluster loss; in the second an
unlabelled photo takes the class of its nearest prototype, the same for all views of it.
"""

from typing import ClassVar

import keras
import numpy as np
from keras import KerasTensor as Tensor
from keras import ops

from models.asen import AsenV2
from models.errors import TrainingError
from models.losses.classification import LOW
from models.losses.cluster import prototype_cosines, prototype_loss
from models.memory import ENTRIES, Memory
from models.recipe import TrainingConfig

REFRESH = 50  # steps between two estimates of the prototypes
SEGMENT = 2.0  # its square outweighs any difference of two cosines, so that the same segment always ranks first


@keras.saving.register_keras_serializable(package="m3net")
class Modc(AsenV2):
    """Outputs as `Asen`. The prototypes stand in `centres`."""

    parts: ClassVar[tuple[str, ...]] = ("triplet", "cluster")
    stages: ClassVar = 2

    def add_head(self) -> None:
        """ASEN_v2's, and the memory."""
        super().add_head()
        self.memory = Memory(self.taxonomy.to_json(), self.backbone.output_shape[-1])
        self.steps = self.add_weight(shape=(), initializer="zeros", trainable=False, dtype="int32", name="steps")

    def prepare(self, recipe: TrainingConfig, labels: np.ndarray) -> None:
        """Raises: TrainingError for a batch beyond the memory."""
        super().prepare(recipe, labels)
        photos = recipe.batch_size * recipe.views * (3 if recipe.sampling == "documented" else 1)
        if photos > ENTRIES:
            raise TrainingError(f"modc remembers {ENTRIES} photos, a batch has {photos}; lower training.batch_size")

    def losses_of(self, y: dict[str, Tensor], outputs: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """T and the cluster loss; training remembers the batch, and every `REFRESH` steps moves the prototypes."""
        labels, f = y["labels"], outputs["f"]
        if training:
            self._remember(f, labels, y["photo"])
        prototypes = ops.convert_to_tensor(self.centres.centres)
        told = labels if self.stage == 1 else labels + self.pseudo_labels(f, labels)
        cluster = prototype_loss(told, f, prototypes, self.grid, self.recipe.margin)
        return {"triplet": self.triplet_loss(labels, f), "cluster": self.recipe.cluster_weight * cluster}

    def _remember(self, f: Tensor, labels: Tensor, photo: Tensor) -> None:
        self.memory.remember(f, labels, photo)
        before = ops.convert_to_tensor(self.centres.centres)
        due = ops.equal(ops.mod(self.steps, REFRESH), 0)
        self.centres.centres.assign(ops.cond(due, lambda: self.memory.prototypes(before), lambda: before))
        self.steps.assign_add(1)

    def nearest(self, f: Tensor) -> Tensor:
        """One-hot, float32 (B, N, K): each attribute's nearest prototype; zero where it has none yet."""
        cosines, there = prototype_cosines(ops.stop_gradient(f), self.centres.centres, self.grid)
        hot = ops.one_hot(ops.argmax(ops.where(there, cosines, LOW), axis=-1), self.grid.slots, dtype="float32")
        return hot * ops.cast(there, "float32")

    def pseudo_labels(self, f: Tensor, labels: Tensor) -> Tensor:
        """(B, M): the class of the nearest prototype for attributes without a label, by a photo's first view for all views."""
        views = self.recipe.views
        hot = self.nearest(f)
        hot = ops.tile(hot[: ops.shape(hot)[0] // views], (views, 1, 1)) if views > 1 else hot
        unknown = ops.max(self.grid.spread(labels), axis=-1, keepdims=True) == 0
        return self.grid.collect(hot * ops.cast(unknown, "float32"))

    def vectors(self, outputs: dict[str, Tensor]) -> Tensor:
        """[2 nearest, f]: the inner product is the cosine, and 4 more within the segment of the query's prototype."""
        return ops.concatenate([SEGMENT * self.nearest(outputs["f"]), super().vectors(outputs)], axis=-1)

    @property
    def vector_length(self) -> int:
        """K + C."""
        return self.grid.slots + super().vector_length
