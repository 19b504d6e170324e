"""classifier: the baseline that nobody shows. A plain multi-task classifier on the pooled map, ranked by its posteriors."""

from typing import ClassVar

import keras
from keras import KerasTensor as Tensor
from keras import ops

from models.attention import shown_attention
from models.losses.classification import best_l_m
from models.scoring import mixed_posteriors, retrieval_vectors
from models.systems import System


@keras.saving.register_keras_serializable(package="m3net")
class Classifier(System):
    """x_m = <w_m, mean_j X_j> + b_m. Outputs: `logits` (B, M) and `attention`, its class activation map."""

    parts: ClassVar = ("l_m",)

    def add_head(self) -> None:
        """w and b."""
        shape = (self.taxonomy.num_classes, self.backbone.output_shape[-1])
        self.classifier = self.add_weight(shape=shape, initializer="glorot_uniform", name="w")
        self.bias = self.add_weight(shape=shape[:1], initializer="zeros", name="b")

    def head(self, x: Tensor, given: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """See `System.head`."""
        scores = ops.swapaxes(ops.matmul(x, ops.transpose(ops.cast(self.classifier, x.dtype))), 1, 2)  # (B, M, P)
        outputs = {"logits": ops.mean(scores, axis=-1) + ops.cast(self.bias, x.dtype)}
        attention = ops.softmax(ops.cast(scores, "float32"), axis=-1)
        return {**outputs, "attention": shown_attention(self.posteriors(outputs), attention, self.grid)}

    def losses_of(self, y: dict[str, Tensor], outputs: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """`best_l_m`."""
        return {"l_m": best_l_m(y["labels"], outputs["logits"], self.grid, self.multi_label)}

    def posteriors(self, outputs: dict[str, Tensor]) -> Tensor:
        """Softmax, or normalised sigmoid where multi-label."""
        return mixed_posteriors(outputs["logits"], self.grid, self.multi_label[self.taxonomy.attribute_of_class])

    def vectors(self, outputs: dict[str, Tensor]) -> Tensor:
        """The posteriors, balanced where that is asked for."""
        return retrieval_vectors(self.ranking_posteriors(outputs), None, self.grid)

    @property
    def vector_length(self) -> int:
        """K, the largest number of classes of an attribute."""
        return self.grid.slots
