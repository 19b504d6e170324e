"""Systems with a logit and a vector a class: the three losses of M3-Net, and the score that ranks by them."""

from typing import ClassVar

from keras import KerasTensor as Tensor

from models.centres import ClassCentres, batch_centres
from models.losses.cluster import cluster_loss
from models.losses.triplet import instance_loss
from models.scoring import retrieval_vectors
from models.systems import System


class ClassSystem(System):
    """Outputs: `logits` (B, M); `phi` (B, M, D), one vector a class; `attention`.

    A subclass gives `add_class_head`, `head`, `classification_loss` and `posteriors`.
    """

    parts: ClassVar = ("l_m", "l_ci", "l_cc")

    def add_head(self) -> None:
        """The centres, and what the subclass adds."""
        self.centres = ClassCentres(self.taxonomy.num_classes, self.config.class_dim)
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
        """Posteriors, with kappa above 0 also the class vectors weighted by them."""
        return retrieval_vectors(self.posteriors(outputs), outputs["phi"], self.grid, self.config.kappa)

    @property
    def vector_length(self) -> int:
        """K without and K (1 + D) with a cosine term, K the largest number of classes of an attribute."""
        return self.grid.slots * (1 + self.config.class_dim) if self.config.kappa > 0 else self.grid.slots
