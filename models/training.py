"""The training engine: one loop for every system and backend, on `keras.Model.fit`."""

import csv
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import KerasTensor as Tensor
from keras import ops

from models import metrics
from models.recipe import TrainingConfig
from models.sampling import Batches, Photos
from models.systems import System

_EMBED_BATCH = 64
_WATCHED_STEPS = 50  # between looks at the running loss: each waits for the device


class TrainingError(RuntimeError):
    """Training cannot go on; the message is one line with what to do."""


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


def embed(system: System, photos: Photos) -> np.ndarray:
    """Retrieval vectors of all photos, float32 (n, N, L)."""
    found = []
    for start in range(0, len(photos.ids), _EMBED_BATCH):
        index = np.arange(start, min(start + _EMBED_BATCH, len(photos.ids)))
        outputs = system.predict_on_batch(photos.batch(index).astype(np.float32))
        found.append(ops.convert_to_numpy(system.vectors(outputs)))
    return np.concatenate(found)


def retrieval_map(system: System, photos: Photos) -> float | None:
    """Overall MAP of the photos in role query against those in role candidate; None without a labelled query."""
    vectors, roles = embed(system, photos), np.asarray(photos.roles)
    precision = []
    for attribute, (name, classes) in enumerate(system.taxonomy.slices.items()):
        size = len(system.taxonomy[name].classes)
        rows = metrics.Rows(photos.ids, vectors[:, attribute], photos.labels[:, classes].astype(bool))
        queries, candidates = (metrics.labelled(rows.take(roles == role)) for role in ("query", "candidate"))
        if size and len(queries.ids) and len(candidates.ids):
            precision.append(metrics.measure(queries, candidates).average_precision)
    return float(np.concatenate(precision).mean()) if precision else None


class _Watch(keras.callbacks.Callback):
    """After each epoch: is the loss finite, what is the validation MAP, is this the best so far; one line to stderr."""

    def __init__(self, recipe: TrainingConfig, valid: Photos | None, images: int) -> None:
        super().__init__()
        self.recipe, self.valid, self.images = recipe, valid, images
        self.history: list[dict[str, float]] = []
        self.best = -1.0
        self.weights: list[np.ndarray] | None = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.started, self.epoch = time.perf_counter(), epoch + 1

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if batch % _WATCHED_STEPS == 0:
            self._check(logs or {}, f"epoch {self.epoch}, step {batch + 1}")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        seconds = time.perf_counter() - self.started
        row: dict[str, float] = {"epoch": epoch + 1, **{k: float(v) for k, v in (logs or {}).items()}}
        self._check(row, f"epoch {self.epoch}")
        row["images_per_second"] = self.images / seconds
        found = retrieval_map(self.model, self.valid) if self.valid else None
        if found is not None:
            row["valid_map"] = found
            if found > self.best:
                self.best, self.weights = found, self.model.get_weights()
        self.history.append(row)
        valid = "" if found is None else f"  valid MAP {found:.2%}"
        parts = " ".join(f"{k.upper()} {row[k]:.3f}" for k in self.model.parts)
        line = f"  epoch {epoch + 1}/{self.recipe.epochs}  loss {row['loss']:.3f} ({parts}){valid}"
        print(f"{line}  {row['images_per_second']:.0f} images/s", file=sys.stderr, flush=True)

    def _check(self, logs: dict[str, float], when: str) -> None:
        if not math.isfinite(loss := float(logs["loss"])):
            raise TrainingError(f"the loss is {loss} in {when}; lower training.learning_rate")


def fit(system: System, train: Photos, valid: Photos | None, recipe: TrainingConfig) -> list[dict[str, float]]:
    """Trains `system` in place and leaves it with the weights of the epoch whose validation MAP was best.

    Args:
        train: at least one photo. valid: None, or without a labelled query, keeps the last epoch.
    Returns: a row an epoch: loss and its parts, valid_map where known, images_per_second.
    Raises: ValueError for no photo; TrainingError where the loss is no number any more.
    """
    if not len(train.ids):
        raise ValueError("there is no photo to train on; give the split train some")
    keras.utils.set_random_seed(recipe.seed)
    batches = Batches(train, recipe)
    recipe = replace(recipe, epochs=max(recipe.epochs, math.ceil(recipe.min_steps / len(batches))))
    system.prepare(recipe, train.labels)
    rate = OneCycle(recipe.learning_rate, len(batches) * recipe.epochs, recipe.warmup)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay)
    optimizer.exclude_from_weight_decay(var_list=[v for v in system.trainable_variables if len(v.shape) < 2])
    # XLA's CPU convolutions are several times slower than oneDNN's; JAX knows nothing else.
    system.compile(optimizer=optimizer, jit_compile=False if keras.backend.backend() == "tensorflow" else "auto")
    watch = _Watch(recipe, valid if valid and len(valid.ids) else None, len(batches) * batches.size)
    system.fit(batches, epochs=recipe.epochs, verbose=0, shuffle=False, callbacks=[watch])
    if watch.weights is not None:
        system.set_weights(watch.weights)
    return watch.history


def write_history(history: Sequence[dict[str, float]], path: Path) -> None:
    """One CSV row an epoch."""
    columns = list(dict.fromkeys(key for row in history for key in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(history)
