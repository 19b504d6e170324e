"""Systems with a logit and a vector a class: the three losses of M3-Net, and the score that ranks by them."""

from typing import ClassVar

import numpy as np
from keras import KerasTensor as Tensor
from keras import ops

from models.centres import ClassCentres, batch_centres
from models.compression import PHOTOS, main_directions
from models.losses.cluster import cluster_loss
from models.losses.triplet import instance_loss
from models.sampling import Photos
from models.scoring import retrieval_vectors, weighted_class_vectors
from models.systems import System

_BATCH = 64


class ClassSystem(System):
    """Outputs: `logits` (B, M); `phi` (B, M, D), one vector a class; `attention`.

    A subclass gives `add_class_head`, `head`, `classification_loss` and `posteriors`.
    """

    parts: ClassVar = ("l_m", "l_ci", "l_cc")

    def add_head(self) -> None:
        """The centres, the basis of short vectors where they are asked for, and what the subclass adds."""
        config, grid = self.config, self.grid
        self.centres = ClassCentres(self.taxonomy.num_classes, config.class_dim)
        self.basis = None
        if config.kappa > 0 and config.rank:
            # Zero until `finish` has found it: epochs are compared by the posteriors alone.
            shape = (grid.attributes, grid.slots * config.class_dim, self._rank)
            self.basis = self.add_weight(shape=shape, initializer="zeros", trainable=False, dtype="float32", name="basis")
        self.add_class_head()

    def add_class_head(self) -> None:
        """Creates the layers after the backbone."""
        raise NotImplementedError

    def classification_loss(self, y_true: Tensor, logits: Tensor) -> Tensor:
        """L_M, a scalar. Args: y_true (B, M) multi-hot, logits (B, M)."""
        raise NotImplementedError

    def losses_of(self, y: dict[str, Tensor], outputs: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """L_M, l1 L_CI and l2 L_CC; in training the centres move first."""
        recipe, phi, y_true = self.recipe, outputs["phi"], y["labels"]
        parts = {"l_m": self.classification_loss(y_true, outputs["logits"])}
        if recipe.instance_weight:
            parts["l_ci"] = recipe.instance_weight * instance_loss(y_true, phi, self.grid, recipe.margin)
        if recipe.cluster_weight:
            centres = self.centres.centres
            if training:
                centres = self.centres.update(*batch_centres(phi, y_true), recipe.centre_decay)
            parts["l_cc"] = recipe.cluster_weight * cluster_loss(y_true, phi, centres, self.grid, recipe.margin)
        return parts

    def vectors(self, outputs: dict[str, Tensor]) -> Tensor:
        """Posteriors, balanced where that is asked for, with kappa above 0 also the class vectors weighted by them."""
        basis = None if self.basis is None else ops.convert_to_tensor(self.basis)
        return retrieval_vectors(self.ranking_posteriors(outputs), outputs["phi"], self.grid, self.config.kappa, basis)

    @property
    def vector_length(self) -> int:
        """K without and K (1 + D), or K + `rank`, with a cosine term; K the largest number of classes of an attribute."""
        if self.config.kappa == 0:
            return self.grid.slots
        return self.grid.slots + (self._rank or self.grid.slots * self.config.class_dim)

    @property
    def _rank(self) -> int:
        """`rank`, or all K D numbers where they are fewer."""
        return min(self.config.rank, self.grid.slots * self.config.class_dim)

    def finish(self, photos: Photos) -> None:
        """Finds the basis of short vectors from some training photos, evenly spaced among all."""
        if self.basis is None:
            return
        chosen = np.linspace(0, len(photos.ids) - 1, min(PHOTOS, len(photos.ids))).astype(int)
        _, rows = self.halves(photos, chosen)
        self.basis.assign(np.stack([main_directions(rows[:, place], self._rank) for place in range(rows.shape[1])]))

    def halves(self, photos: Photos, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of the photos at `index` the whole vectors' two halves: ranking posteriors (n, N, K), class vectors by them (n, N, K D)."""
        first, second = [], []
        for some in np.array_split(index, -(-len(index) // _BATCH)):
            outputs = self.predict_on_batch(photos.batch(some).astype(np.float32))
            told = {name: ops.convert_to_tensor(outputs[name]) for name in ("logits", "phi")}
            posteriors = self.ranking_posteriors(told)
            first.append(ops.convert_to_numpy(self.grid.spread(posteriors)))
            second.append(ops.convert_to_numpy(weighted_class_vectors(posteriors, told["phi"], self.grid)))
        return np.concatenate(first), np.concatenate(second)
