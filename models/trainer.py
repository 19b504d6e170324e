"""What TFX's Trainer calls: Examples in, a trained system, its SavedModel and its history out."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from models import systems
from models.backend import require
from models.checkpoint import History
from models.devices import use_all
from models.export import export
from models.features import read_photos
from models.recipe import RECIPE_FILE, ModelConfig, TrainingConfig
from models.taxonomy import Taxonomy
from models.training import fit, write_history
from models.warm_start import warm

MODEL_FILE = "model.keras"


def run_fn(fn_args: Any) -> None:
    """The Trainer's user function.

    A training that was killed goes on after its last epoch: its state waits in a folder named by recipe and Examples,
    <Trainer>/training/<key>, and is removed after success.

    Args:
        fn_args: TFX's FnArgs. `custom_config` holds the fields of `ModelConfig` under "model" and of `TrainingConfig`
            under "training", `hyperparameters` a Tuner's best, by part.key, which replace them; taxonomy.json lies beside
            the splits of `train_files`.
    Writes: the SavedModel into `serving_model_dir`, model.keras and recipe.json beside it; history.csv and TensorBoard's events into
        `model_run_dir`, after each epoch.
    Raises: ValueError for a name the recipe does not know; TrainingError where Keras has another backend than the recipe's, or the split train has no photo, and as `fit`.
    """
    model = ModelConfig(**fn_args.custom_config["model"])
    recipe = TrainingConfig(**fn_args.custom_config["training"])
    if tuned := (fn_args.hyperparameters or {}).get("values"):
        from models.tuner import with_values  # here: without a search, nobody pays for KerasTuner

        model, recipe = with_values(model, recipe, tuned)
    require(recipe.backend, keras.backend.backend())
    taxonomy = Taxonomy.load(Path(fn_args.train_files[0]).parent.parent)
    if keras.backend.backend() != "tensorflow":
        tf.config.set_visible_devices([], "GPU")  # it decodes photos alone, and would take the memory
    use_all(recipe.batch_size * (3 if recipe.sampling == "documented" else 1) * recipe.views)
    keras.utils.set_random_seed(recipe.seed)  # before the system draws its weights
    system = systems.build(model, taxonomy, recipe.precision)
    if base := _base(fn_args):
        fresh = warm(system, systems.load(base))
        new = f"; new, and so without: {', '.join(fresh[:8])}{' ...' * (len(fresh) > 8)}" if fresh else ""
        print(f"  begins with the weights of the last blessed model{new}", file=sys.stderr)
    run = Path(fn_args.model_run_dir)
    run.mkdir(parents=True, exist_ok=True)
    state = run.parent.parent / "training" / state_key(fn_args) / "state.npz"
    with tempfile.TemporaryDirectory(dir=run) as cache:
        train, valid = (
            read_photos(files, taxonomy, system.photo_size, Path(cache) / name)
            for name, files in (("train", fn_args.train_files), ("valid", fn_args.eval_files))
        )
        history = fit(system, train, valid, recipe, state, _Record(run))
    keras.distribution.set_distribution(None)  # whoever asks a model in this process asks with batches of its own
    if not any("valid_map" in row for row in history):
        print("  no labelled query in the split valid: the last epoch is kept, not the best", file=sys.stderr)
    _publish(system, model, Path(fn_args.serving_model_dir))
    _write_recipe(Path(fn_args.serving_model_dir).parent / RECIPE_FILE, system, model, recipe, history)
    shutil.rmtree(state.parent)


def _publish(system: systems.System, model: ModelConfig, serving: Path) -> None:
    """Saves `system` in float32 and without its optimizer: whoever loads it only asks it."""
    trained = systems.build(replace(model, weights="", local_weights=""), system.taxonomy)
    trained.set_weights(system.get_weights())
    serving.parent.mkdir(parents=True, exist_ok=True)
    systems.save(trained, serving.parent / MODEL_FILE)
    if keras.backend.backend() == "tensorflow":
        export(trained, serving)
    else:  # another backend's operations are not TensorFlow's own: TensorFlow reads the file and exports it
        command = [sys.executable, "-m", "models.export", str(serving.parent / MODEL_FILE), str(serving)]
        subprocess.run(command, env={**os.environ, "KERAS_BACKEND": "tensorflow"}, check=True)


def _base(fn_args: Any) -> Path | None:
    """The file of the model to begin with: TFX names the SavedModel beside it."""
    folder = getattr(fn_args, "base_model", None)
    return Path(folder).parent / MODEL_FILE if folder else None


def _write_recipe(file: Path, system: systems.System, model: ModelConfig, recipe: TrainingConfig, history: History) -> None:
    """What the weights follow from beside the photos, for whoever asks later; `valid_map` is the kept epoch's, or null."""
    maps = [row["valid_map"] for row in history if "valid_map" in row]
    found = {
        "model": asdict(model),
        "training": asdict(recipe),
        "parameters": system.count_params(),
        "epochs": len(history),
        "valid_map": max(maps, default=None),
    }
    file.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def state_key(fn_args: Any) -> str:
    """What a training or a search follows from: the recipe, every file of Examples as it lies there, and the model it begins with."""
    told = [fn_args.custom_config, (fn_args.hyperparameters or {}).get("values")]
    digest = hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=12)
    base = _base(fn_args)
    for pattern in [*fn_args.train_files, *fn_args.eval_files, *([str(base)] if base else [])]:
        for file in sorted(tf.io.gfile.glob(pattern)):
            state = tf.io.gfile.stat(file)
            digest.update(f"\n{file} {state.length} {state.mtime_nsec}".encode())
    return digest.hexdigest()


class _Record:
    """Writes the history after each epoch: history.csv, and events that TensorBoard reads."""

    def __init__(self, run: Path) -> None:
        self.run, self.written = run, 0
        self.events = tf.summary.create_file_writer(str(run))

    def __call__(self, history: History) -> None:
        """Args: history: all epochs so far, those of a run that was stopped among them."""
        write_history(history, self.run / "history.csv")
        with self.events.as_default():
            for row in history[self.written :]:
                for name in sorted(set(row) - {"epoch", "stage"}):
                    tf.summary.scalar(name, row[name], step=int(row["epoch"]))
        self.events.flush()
        self.written = len(history)
