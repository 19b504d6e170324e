"""What TFX's Trainer calls: Examples in, a trained system, its SavedModel and its history out."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import keras

from models import systems
from models.export import export
from models.features import read_photos
from models.recipe import ModelConfig, TrainingConfig
from models.taxonomy import Taxonomy
from models.training import fit, write_history

MODEL_FILE = "model.keras"


def run_fn(fn_args: Any) -> None:
    """The Trainer's user function.

    Args:
        fn_args: TFX's FnArgs. `custom_config` holds the fields of `ModelConfig` under "model" and of `TrainingConfig`
            under "training"; taxonomy.json lies beside the splits of `train_files`.
    Writes: the SavedModel into `serving_model_dir`, model.keras beside it, history.csv into `model_run_dir`.
    Raises: ValueError where the split train has no photo, or for a name the recipe does not know.
    """
    model = ModelConfig(**fn_args.custom_config["model"])
    recipe = TrainingConfig(**fn_args.custom_config["training"])
    taxonomy = Taxonomy.load(Path(fn_args.train_files[0]).parent.parent)
    keras.utils.set_random_seed(recipe.seed)  # before the system draws its weights
    system = systems.build(model, taxonomy)
    run = Path(fn_args.model_run_dir)
    run.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=run) as cache:
        train, valid = (
            read_photos(files, taxonomy, model.image_size, Path(cache) / name)
            for name, files in (("train", fn_args.train_files), ("valid", fn_args.eval_files))
        )
        history = fit(system, train, valid, recipe)
    if not any("valid_map" in row for row in history):
        print("  no labelled query in the split valid: the last epoch is kept, not the best", file=sys.stderr)
    write_history(history, run / "history.csv")
    serving = Path(fn_args.serving_model_dir)
    serving.parent.mkdir(parents=True, exist_ok=True)
    systems.save(system, serving.parent / MODEL_FILE)
    export(system, serving)
