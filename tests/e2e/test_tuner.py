"""TFX's Tuner in a run: its best trial's values are those that the Trainer trains with."""

import json
from pathlib import Path

import pytest

from models.recipe import TrainingConfig
from tests.e2e.conftest import QUICK, m3net

pytestmark = pytest.mark.long
SEARCH = ["--set", "tuning.trials=2", "--set", "tuning.epochs=1", "--set", "tuning.class_dim=[8,16]"]


def test_the_training_takes_the_best_trials_values(catalogue: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    done = m3net("run", "--catalogue", str(catalogue), "--output", str(output), *QUICK, *SEARCH, "--until", "Trainer")
    assert "trial 2/2: " in done.stderr
    made = output / "tfx" / "artifacts"
    (results,) = (made / "Tuner" / "tuner_results").glob("*/tuner_results.json")
    trials = json.loads(results.read_text())
    assert len(trials) == 2
    best = max(trials, key=lambda one: one["score"])
    (recipe,) = (json.loads(file.read_text()) for file in (made / "Trainer" / "model").glob("*/recipe.json"))
    values = {key: value for key, value in best.items() if "." in key}
    assert {part for key in values for part in key.split(".")[:1]} == {"model", "training"}
    assert {key: recipe[key.split(".")[0]][key.split(".")[1]] for key in values} == values
    assert recipe["training"]["learning_rate"] != TrainingConfig().learning_rate
    assert recipe["training"]["epochs"] == 1  # its own, not the search's alone
    assert not list((made / "Tuner" / "search").iterdir())
