"""The search: what is searched, by what it is judged, that its best values reach a training, and that it goes on after a kill."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from models import systems, tuner
from models.errors import TrainingError
from models.recipe import ModelConfig, TrainingConfig, TuningConfig
from models.sampling import Photos
from models.taxonomy import Attribute, Taxonomy
from models.training import fit
from models.tuner import Search, space, tuner_fn, with_values

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


def searched(folder: Path, execution: int) -> list[tuple[str, dict[str, Any], float]]:
    """Every trial with its values and score, of a search as TFX's executor runs it in that execution."""
    ranges = TuningConfig(trials=9, epochs=1, instance_weight=(1, 1), cluster_weight=(1, 1), class_dim=(4,))
    parts = {"model": asdict(MODEL), "training": asdict(RECIPE), "tuning": asdict(ranges)}
    home = folder / "Tuner" / ".system" / "executor_execution" / str(execution) / ".temp" / "1"
    home.mkdir(parents=True)
    files = {
        f"{kind}_files": [f"{folder.parent}/examples/Split-{split}/*"]
        for kind, split in (("train", "train"), ("eval", "valid"))
    }
    found, named = tuner_fn(SimpleNamespace(**files, custom_config=parts, working_dir=str(home), hyperparameters=None))
    found.search(**named)
    found.results_summary()
    return [(one.trial_id, one.hyperparameters.values, one.score) for one in found.oracle.get_best_trials(9)]


@pytest.mark.slow
def test_a_search_that_was_killed_trains_what_is_missing_and_ends_as_if_undisturbed(
    tmp_path: Path,
    taxonomy: Taxonomy,
    draw: Callable[[int], Photos],
    write_examples: Callable[[Path, Photos], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for split, count in (("train", 6), ("valid", 3)):
        write_examples(tmp_path / "examples" / f"Split-{split}" / "data_tfrecord-00000-of-00001", draw(count))
    taxonomy.save(tmp_path / "examples")
    tried: list[float] = []
    stops: list[int] = []

    def instead(*given: Any) -> list[dict[str, float]]:
        """In the place of a training, which another test has: a score that follows from the values."""
        recipe = given[-1]
        if len(tried) in stops:
            stops.remove(len(tried))
            raise KeyboardInterrupt
        tried.append(recipe.learning_rate)
        return [{"valid_map": 1 / (1 + abs(recipe.learning_rate - 0.003) + recipe.margin)}]

    monkeypatch.setattr(tuner, "fit", instead)
    monkeypatch.setattr(systems, "build", lambda *_: None)
    whole = searched(tmp_path / "whole", 1)
    undisturbed = tried.copy()
    tried.clear()
    stops += [1, 7]  # in the second trial, and in one that is no longer drawn at random
    for execution in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            searched(tmp_path / "cut", execution)
        assert len(list((tmp_path / "cut" / "Tuner" / "search").iterdir())) == 1
    # To the last digit but one: the search's own linear algebra may sum otherwise from one process to the next.
    for cut, uncut in zip(searched(tmp_path / "cut", 3), whole, strict=True):
        assert (cut[0], cut[1], cut[2]) == (uncut[0], pytest.approx(uncut[1]), pytest.approx(uncut[2]))
    assert tried == pytest.approx(undisturbed)
    said = capsys.readouterr()
    assert "7 trials were done by a run that was stopped" in said.err
    assert "Reloading" not in said.out
    assert not list((tmp_path / "cut" / "Tuner" / "search").iterdir())


def test_half_a_file_begins_anew(tmp_path: Path, taxonomy: Taxonomy, capsys: pytest.CaptureFixture[str]) -> None:
    given = (MODEL, RECIPE, TuningConfig(trials=2), taxonomy, tmp_path / "search")
    Search(*given).save()
    file = tmp_path / "search" / "oracle.json"
    file.write_text(file.read_text()[:40])
    assert not tuner._begun(*given).oracle.trials
    assert "it begins anew" in capsys.readouterr().err
