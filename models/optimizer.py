"""Adam with decoupled weight decay, a rate of its own for some variables, and the schedules of the rate."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor as Tensor
from keras import ops

from models.recipe import TrainingConfig


@keras.saving.register_keras_serializable(package="m3net")
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """Linear from 0 to `peak` over the first `warmup` share of `steps`, then half a cosine down to 0."""

    def __init__(self, peak: float, steps: int, warmup: float) -> None:
        self.peak, self.steps, self.warmup = peak, steps, warmup

    def __call__(self, step: Tensor) -> Tensor:
        """The rate at `step`, a scalar."""
        rise = max(1.0, self.warmup * self.steps)
        step = ops.cast(step, "float32") + 1
        fall = ops.clip((step - rise) / max(1.0, self.steps - rise), 0.0, 1.0)
        return self.peak * ops.minimum(step / rise, (1 + ops.cos(math.pi * fall)) / 2)

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {"peak": self.peak, "steps": self.steps, "warmup": self.warmup}


@keras.saving.register_keras_serializable(package="m3net")
class Stairs(keras.optimizers.schedules.LearningRateSchedule):
    """`peak` times `decay` after each `every` steps: the schedule of the ASEN family."""

    def __init__(self, peak: float, every: int, decay: float) -> None:
        self.peak, self.every, self.decay = peak, every, decay

    def __call__(self, step: Tensor) -> Tensor:
        """The rate at `step`, a scalar."""
        return self.peak * self.decay ** ops.floor((ops.cast(step, "float32") + 0.5) / self.every)

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {"peak": self.peak, "every": self.every, "decay": self.decay}


def schedule(recipe: TrainingConfig, epochs: int, batches: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """The schedule of a stage of `epochs` epochs of `batches` batches each."""
    if recipe.schedule == "step":
        return Stairs(recipe.learning_rate, recipe.decay_epochs * batches, recipe.decay)
    return OneCycle(recipe.learning_rate, epochs * batches, recipe.warmup if recipe.schedule == "one_cycle" else 0.0)


@keras.saving.register_keras_serializable(package="m3net")
class ScaledAdam(keras.optimizers.Adam):
    """AdamW whose rate is multiplied by `scales`, one a trainable variable; the decay, on matrices and kernels only, with it.

    Gradients cannot be scaled instead: Adam divides by their size.
    """

    def __init__(self, scales: Sequence[float], decay: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scales = list(scales)
        self.decay = decay

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        """One variable's update."""
        rate = learning_rate * self.scales[self._get_variable_index(variable)]
        if self.decay and len(variable.shape) > 1:
            self.assign_sub(variable, variable * ops.cast(rate * self.decay, variable.dtype))
        super().update_step(gradient, variable, rate)

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {**super().get_config(), "scales": self.scales, "decay": self.decay}


def optimizer(recipe: TrainingConfig, scales: Sequence[float], epochs: int, batches: int) -> ScaledAdam:
    """The optimizer of a stage. Args: `schedule`; scales: `System.rates`."""
    return ScaledAdam(
        scales,
        recipe.weight_decay,
        learning_rate=schedule(recipe, epochs, batches),
        gradient_accumulation_steps=recipe.accumulate if recipe.accumulate > 1 else None,
        use_ema=recipe.average > 0,
        ema_momentum=recipe.average or 0.99,
    )
