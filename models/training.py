"""The training engine: one loop for every system and backend, on `keras.Model.fit`, that goes on where a kill stopped it."""

import csv
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import keras
import numpy as np

from models import checkpoint as checkpoints
from models.checkpoint import History, State
from models.class_sampling import batches as batches_of
from models.errors import TrainingError
from models.optimizer import optimizer
from models.recipe import TrainingConfig
from models.retrieval import retrieval_map
from models.sampling import Batches, Photos
from models.systems import System

_WATCHED_STEPS = 50  # between looks at the running loss: each waits for the device


class _Watch(keras.callbacks.Callback):
    """After each epoch: is the loss finite, what is the validation MAP, is this the best so far; one line to stderr."""

    def __init__(self, recipe: TrainingConfig, batches: Batches, valid: Photos | None, checkpoint: Path | None) -> None:
        super().__init__()
        self.recipe, self.batches, self.valid, self.checkpoint = recipe, batches, valid, checkpoint
        self.record: Callable[[History], None] = lambda _: None
        self.history: History = []
        self.weights: Sequence[np.ndarray] | None = None  # of the best epoch, or without validation of the last
        self.stage = self.epoch = self.step = 1

    @property
    def best(self) -> float:
        """The best validation MAP so far."""
        return max((row["valid_map"] for row in self.history if "valid_map" in row), default=-1.0)

    def rows(self, stage: int) -> History:
        """The epochs of a stage."""
        return [row for row in self.history if row["stage"] == stage]

    def patient(self, stage: int) -> bool:
        """Whether the stage may go on: a better epoch than all before is `patience` epochs away at most."""
        maps = [row["valid_map"] for row in self.rows(stage) if "valid_map" in row]
        return not self.recipe.patience or not maps or len(maps) - 1 - maps.index(max(maps)) < self.recipe.patience

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.started, self.epoch, self.step = time.perf_counter(), epoch + 1, 1
        self.batches.epoch = epoch  # said here, since Keras moves it on more often than there are epochs

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.step = batch + 1
        if batch % _WATCHED_STEPS == 0:
            self._check(logs or {}, f"epoch {self.epoch}, step {batch + 1}")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        seconds = time.perf_counter() - self.started
        row: dict[str, float] = {"epoch": epoch + 1, "stage": self.stage, **{k: float(v) for k, v in (logs or {}).items()}}
        self._check(row, f"epoch {self.epoch}")
        row["images_per_second"] = len(self.batches) * self.batches.size * self.recipe.views / seconds
        with _averaged(self.model):
            found = retrieval_map(self.model, self.valid) if self.valid else None
            if found is not None:
                row["valid_map"] = found
            if found is None or found > self.best:
                self.weights = self.model.get_weights()
        self.history.append(row)
        self._say(row)
        self._keep()
        self.record(self.history)
        self.model.stop_training = not self.patient(self.stage)

    def _keep(self) -> None:
        """Writes the state of the training, where a file was given for it."""
        if not self.checkpoint:
            return
        try:
            checkpoints.write(self.checkpoint, self._state())
        except OSError as error:
            self.history.pop()  # this epoch is not kept
            why = f"{self.checkpoint}: the state after epoch {self.epoch} cannot be written: {error.strerror or error}"
            self.stop(f"{why}; make room there, then start again")

    def _state(self) -> State:
        variables, own = ([np.array(v) for v in of.variables] for of in (self.model, self.model.optimizer))
        return State(variables, own, self.weights, self.history)

    def _say(self, row: dict[str, float]) -> None:
        valid = f"  valid MAP {row['valid_map']:.2%}" if "valid_map" in row else ""
        parts = " ".join(f"{k.upper()} {row[k]:.3f}" for k in self.model.parts)
        line = f"  epoch {self.epoch}/{self.recipe.epochs}  loss {row['loss']:.3f} ({parts}){valid}"
        print(f"{line}  {row['images_per_second']:.0f} images/s", file=sys.stderr, flush=True)

    def _check(self, logs: dict[str, float], when: str) -> None:
        if not math.isfinite(loss := float(logs["loss"])):
            self.stop(f"the loss is {loss} in {when}; lower training.learning_rate")

    def stop(self, why: str) -> NoReturn:
        """One line, and where the last good epoch is."""
        kept = f"; epoch {len(self.history)} is kept in {self.checkpoint}" if self.checkpoint and self.history else ""
        raise TrainingError(why + kept) from None


@contextmanager
def _averaged(system: System) -> Iterator[None]:
    """With the moving average of the weights in their place, where one is kept."""
    raw = [np.array(v) for v in system.trainable_variables] if system.optimizer.use_ema else []
    system.optimizer.finalize_variable_values(system.trainable_variables)
    yield
    for variable, value in zip(system.trainable_variables, raw, strict=False):
        variable.assign(value)


def fit(
    system: System,
    train: Photos,
    valid: Photos | None,
    recipe: TrainingConfig,
    checkpoint: Path | None = None,
    record: Callable[[History], None] = lambda _: None,
) -> History:
    """Trains `system` in place and leaves it with the weights of the epoch whose validation MAP was best.

    A stage after the first starts from the best weights so far, with a schedule of its own.

    Args:
        train: at least one photo. valid: None, or without a labelled query, keeps the last epoch.
        checkpoint: a file written after each epoch; where it is there already, training goes on after its last epoch, to
            the same losses as if never stopped. Whoever gives it takes care that recipe and photos are the same.
        record: called after each epoch with all rows so far.
    Returns: a row an epoch: its stage, loss and its parts, valid_map where known, images_per_second.
    Raises: TrainingError for no photo, labels that the sampling cannot use, a loss that is no number, no memory.
    """
    if not len(train.ids):
        raise TrainingError("there is no photo to train on; give the split train some")
    keras.utils.set_random_seed(recipe.seed)
    batches = batches_of(train, system.taxonomy, recipe, system.value_negatives)
    recipe = replace(recipe, epochs=max(recipe.epochs, math.ceil(recipe.min_steps / len(batches))))
    system.prepare(recipe, train.labels)
    watch = _Watch(recipe, batches, valid if valid and len(valid.ids) else None, checkpoint)
    watch.record = record
    state = _restored(system, watch)
    for stage, epochs in enumerate(stage_epochs(recipe, system.stages), start=1):
        if len(watch.rows(stage)) < epochs and watch.patient(stage):
            _run(system, watch, stage, epochs, state)
    if watch.weights is not None:
        system.set_weights(watch.weights)
    system.finish(train)
    return watch.history


def stage_epochs(recipe: TrainingConfig, stages: int) -> list[int]:
    """How many epochs each stage has: all, or `second_stage` of them at the end for the second, if there are two."""
    second = round(recipe.second_stage * recipe.epochs) if stages > 1 else 0
    return [recipe.epochs - second] + [second] * (stages > 1)


def _restored(system: System, watch: _Watch) -> State | None:
    state = checkpoints.read(watch.checkpoint)
    if state:
        for variable, value in zip(system.variables, state.variables, strict=True):
            variable.assign(value)
        watch.history, watch.weights = list(state.history), state.best
        print(f"  {len(state.history)} epochs were done by a run that was stopped; it goes on", file=sys.stderr)
        watch.record(watch.history)
    return state


def _run(system: System, watch: _Watch, stage: int, epochs: int, state: State | None) -> None:
    """One stage, or what is left of it."""
    recipe, batches, done, own = watch.recipe, watch.batches, len(watch.history), len(watch.rows(stage))
    if stage > 1 and not own and watch.weights is not None:
        system.set_weights(watch.weights)
    system.enter(stage)
    chosen = optimizer(recipe, system.rates(), epochs, len(batches))
    # XLA's CPU convolutions are several times slower than oneDNN's; JAX knows nothing else.
    system.compile(optimizer=chosen, jit_compile=False if keras.backend.backend() == "tensorflow" else "auto")
    chosen.build(system.trainable_variables)
    if state and own:
        for variable, value in zip(chosen.variables, state.optimizer, strict=True):
            variable.assign(value)
    watch.stage, system.train_function = stage, None  # another stage is another function
    try:
        system.fit(batches, initial_epoch=done, epochs=done + epochs - own, verbose=0, shuffle=False, callbacks=[watch])
    except Exception as error:
        if not _out_of_memory(error):
            raise
        less = f"training.batch_size={max(1, recipe.batch_size // 2)} and training.accumulate={2 * recipe.accumulate}"
        watch.stop(
            f"out of memory in epoch {watch.epoch}, step {watch.step}; set {less} for the same number of photos an update"
        )


def _out_of_memory(error: Exception) -> bool:
    """Each backend has an error of its own, and TensorFlow's class is not to be imported here."""
    return (
        isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError" or "RESOURCE_EXHAUSTED" in str(error)
    )


def write_history(history: History, path: Path) -> None:
    """One CSV row an epoch."""
    columns = list(dict.fromkeys(key for row in history for key in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(history)
