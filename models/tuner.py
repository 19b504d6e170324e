"""What TFX's Tuner calls: KerasTuner searches learning rate, loss weights, margin and embedding size by validation MAP."""

import contextlib
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import keras
import keras_tuner  # type: ignore[import-untyped,unused-ignore]
import numpy as np

from models import systems
from models.errors import TrainingError
from models.features import read_photos
from models.recipe import ModelConfig, TrainingConfig, TuningConfig
from models.sampling import Photos
from models.taxonomy import Taxonomy
from models.trainer import state_key
from models.training import fit

OBJECTIVE = "valid_map"
_LOGARITHMIC = ("learning_rate",)
_RANGES = ("learning_rate", "instance_weight", "cluster_weight", "margin")


class TunerFnResult(NamedTuple):
    """What TFX expects of a tuner_fn; TFX's own class is not imported in this room."""

    tuner: Any
    fit_kwargs: dict[str, Any]


def tuner_fn(fn_args: Any) -> TunerFnResult:
    """The Tuner's user function.

    A search that was killed goes on after its last finished trial: its state waits in a folder named by recipe, ranges and
    Examples, <Tuner>/search/<key>, and is removed when the search is over.

    Args:
        fn_args: as `trainer.run_fn`'s; `custom_config` also holds the fields of `TuningConfig` under "tuning".
    Raises: TrainingError where no photo of the split valid can be a query.
    """
    model = ModelConfig(**fn_args.custom_config["model"])
    recipe = TrainingConfig(**fn_args.custom_config["training"])
    given: dict[str, Any] = fn_args.custom_config["tuning"]  # through JSON, which knows no tuples
    typed: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in given.items()}
    tuning = TuningConfig(**typed)
    taxonomy = Taxonomy.load(Path(fn_args.train_files[0]).parent.parent)
    work = Path(fn_args.working_dir)
    train, valid = (
        read_photos(files, taxonomy, model.photo_size or model.image_size, work / f"{name}.cache")
        for name, files in (("train", fn_args.train_files), ("valid", fn_args.eval_files))
    )
    if not len(valid.ids):
        raise TrainingError("tuning.trials: the split valid is empty, and nothing else may choose; give it photos, or set 0")
    search = _begun(model, recipe, tuning, taxonomy, _home(work) / "search" / state_key(fn_args))
    return TunerFnResult(search, {"train": train, "valid": valid})


def _home(work: Path) -> Path:
    """The Tuner's own folder: TFX's local runner gives each try <Tuner>/.system/... to work in. `work` where it is another."""
    return next((one.parent for one in work.parents if one.name == ".system"), work)


def _begun(model: ModelConfig, recipe: TrainingConfig, tuning: TuningConfig, taxonomy: Taxonomy, folder: Path) -> "Search":
    """The search in `folder`, new or as it was left."""
    try:
        found = Search(model, recipe, tuning, taxonomy, folder)
    except (ValueError, KeyError, RuntimeError):  # KerasTuner does not write aside: a kill may leave half a file
        print("  what a search that was stopped had found cannot be read; it begins anew", file=sys.stderr)
        shutil.rmtree(folder)
        return Search(model, recipe, tuning, taxonomy, folder)
    if done := len(found.oracle.end_order):
        print(f"  {done} trials were done by a run that was stopped; the search goes on", file=sys.stderr)
    return found


def space(tuning: TuningConfig) -> keras_tuner.HyperParameters:
    """What is searched: names are those of the configuration, part.key."""
    found = keras_tuner.HyperParameters()
    for name in _RANGES:
        low, high = getattr(tuning, name)
        if low < high:
            sampling = "log" if name in _LOGARITHMIC else "linear"
            found.Float(f"training.{name}", low, high, sampling=sampling)
    if len(tuning.class_dim) > 1:
        found.Choice("model.class_dim", list(tuning.class_dim))
    return found


def with_values(model: ModelConfig, recipe: TrainingConfig, values: Mapping[str, Any]) -> tuple[ModelConfig, TrainingConfig]:
    """The two with `values` in their places. Args: values: by part.key, as `space` names them."""
    parts: dict[str, dict[str, Any]] = {"model": {}, "training": {}}
    for name, value in values.items():
        part, _, key = name.partition(".")
        parts[part][key] = value
    return replace(model, **parts["model"]), replace(recipe, **parts["training"])


class Search(keras_tuner.BayesianOptimization):  # type: ignore[misc,unused-ignore]
    """Bayesian optimisation; a trial trains a system and returns the best validation MAP of its epochs."""

    def __init__(
        self, model: ModelConfig, recipe: TrainingConfig, tuning: TuningConfig, taxonomy: Taxonomy, folder: Path
    ) -> None:
        self.model, self.recipe, self.tuning, self.taxonomy = model, recipe, tuning, taxonomy
        with contextlib.redirect_stdout(None):  # KerasTuner says there what it reloads
            self._prepare(tuning, folder)
        self.oracle.verbose = 0  # its own table of every trial is not for a run's log

    def _prepare(self, tuning: TuningConfig, folder: Path) -> None:
        super().__init__(
            hyperparameters=space(tuning),
            tune_new_entries=False,
            objective=keras_tuner.Objective(OBJECTIVE, "max"),
            max_trials=tuning.trials,
            seed=tuning.seed + 1,  # 0 would be any
            directory=str(folder.parent),
            project_name=folder.name,
            max_consecutive_failed_trials=tuning.trials + 1,  # or it would raise, with no word of what to do
        )

    def pre_create_trial(self) -> None:
        """Each trial draws by its number: KerasTuner does not keep how far its generator was, and a search may go on."""
        self.oracle._random_state = np.random.RandomState([self.tuning.seed, len(self.oracle.trials)])

    def run_trial(self, trial: Any, train: Photos, valid: Photos) -> dict[str, float]:
        """Returns: the objective. Raises: FailedTrialError where this recipe cannot train; the search goes on."""
        values = trial.hyperparameters.values
        model, recipe = with_values(self.model, self.recipe, values)
        recipe = replace(recipe, epochs=self.tuning.epochs, min_steps=0)
        said = ", ".join(f"{name.split('.')[1]} {value:.3g}" for name, value in values.items())
        print(f"  trial {int(trial.trial_id) + 1}/{self.tuning.trials}: {said}", file=sys.stderr, flush=True)
        try:
            keras.utils.set_random_seed(recipe.seed)
            history = fit(systems.build(model, self.taxonomy, recipe.precision), train, valid, recipe)
        except TrainingError as error:
            raise keras_tuner.errors.FailedTrialError(str(error)) from None
        found = [row[OBJECTIVE] for row in history if OBJECTIVE in row]
        if not found:
            raise keras_tuner.errors.FatalTypeError("tuning.trials: no labelled query in the split valid; label some, or set 0")
        return {OBJECTIVE: max(found)}

    def search_space_summary(self, extended: bool = False) -> None:
        """TFX asks for it; the lines of the trials say it."""

    def results_summary(self, num_trials: int = 10) -> None:
        """One line, and the search's folder goes. Raises: TrainingError where no trial came through."""
        best = self.oracle.get_best_trials(1)
        shutil.rmtree(self.project_dir)
        if not best or best[0].score is None:
            raise TrainingError("no trial of the search could train; lower the highest tuning.learning_rate")
        print(f"  best: trial {int(best[0].trial_id) + 1}, valid MAP {best[0].score:.2%}", file=sys.stderr, flush=True)
