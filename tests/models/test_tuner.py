"""The search: what is searched, by what it is judged, and that its best values reach a training."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from models import systems
from models.errors import TrainingError
from models.recipe import ModelConfig, TrainingConfig, TuningConfig
from models.sampling import Photos
from models.taxonomy import Attribute, Taxonomy
from models.training import fit
from models.tuner import Search, space, with_values

TAXONOMY = Taxonomy((Attribute("neck", ("u", "v")),))
MODEL = ModelConfig(image_size=32, attention_dim=8, class_dim=4)
RECIPE = TrainingConfig(epochs=9, min_steps=600, batch_size=4, shift=0)


def photos(count: int) -> Photos:
    random = np.random.default_rng(0)
    labels = np.eye(2, dtype=np.uint8)[np.arange(count) % 2]
    ids = [str(i) for i in range(count)]
    return Photos(
        random.integers(0, 256, (count, 32, 32, 3), np.uint8),
        np.arange(count),
        labels,
        ids,
        ["query", "candidate"] * (count // 2),
    )


def test_equal_ends_leave_a_value_out_and_names_are_the_configurations() -> None:
    found = space(TuningConfig(margin=(0.2, 0.2), class_dim=(8,)))
    assert {one.name for one in found.space} == {
        "training.learning_rate", "training.instance_weight", "training.cluster_weight"}  # fmt: skip
    assert next(one for one in found.space if one.name == "training.learning_rate").sampling == "log"


def test_values_go_where_their_names_say() -> None:
    model, recipe = with_values(MODEL, RECIPE, {"model.class_dim": 16, "training.margin": 0.4})
    assert (model.class_dim, recipe.margin, recipe.epochs) == (16, 0.4, 9)


@pytest.mark.slow
def test_three_trials_differ_are_judged_by_validation_and_a_training_by_the_best_is_the_trial(tmp_path: Path) -> None:
    tuning = TuningConfig(trials=3, epochs=1, class_dim=(4, 8))
    search = Search(MODEL, RECIPE, tuning, TAXONOMY, tmp_path / "search")
    search.search(train=photos(8), valid=photos(8))
    trials = search.oracle.get_best_trials(3)
    assert len({str(one.hyperparameters.values) for one in trials}) == 3
    assert [one.score for one in trials] == sorted((one.score for one in trials), reverse=True)
    model, recipe = with_values(MODEL, RECIPE, search.get_best_hyperparameters()[0].values)
    import keras

    keras.utils.set_random_seed(recipe.seed)
    alone = TrainingConfig(**{**vars(recipe), "epochs": 1, "min_steps": 0})
    history = fit(systems.build(model, TAXONOMY), photos(8), photos(8), alone)
    assert history[0]["valid_map"] == pytest.approx(trials[0].score)


@pytest.mark.slow
def test_a_search_in_which_nothing_trains_says_so(tmp_path: Path) -> None:
    search = Search(MODEL, RECIPE, TuningConfig(trials=1, epochs=1), TAXONOMY, tmp_path / "search")
    search.search(train=photos(0), valid=photos(8))
    with pytest.raises(TrainingError, match="no trial of the search could train"):
        search.results_summary()
    assert SimpleNamespace(**search.oracle.trials["0"].get_state()).status in ("FAILED", "INVALID")
