"""The engine: it learns, keeps the best epoch, writes its history, and stops with one line when the loss breaks."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models import systems
from models.errors import TrainingError
from models.recipe import ModelConfig, TrainingConfig
from models.registry import SYSTEMS
from models.retrieval import retrieval_map
from models.sampling import Photos
from models.taxonomy import Taxonomy
from models.training import fit, write_history
from tests.models.tiny import CONFIG

RECIPE = TrainingConfig(epochs=4, batch_size=16, learning_rate=5e-3, flip=False, shift=1)
Draw = Callable[[int], Photos]


@pytest.fixture
def system(taxonomy: Taxonomy) -> systems.System:
    return systems.build(ModelConfig(image_size=32, attention_dim=8, class_dim=4), taxonomy)


def take(photos: Photos, count: int) -> Photos:
    return Photos(photos.images, photos.place[:count], photos.labels[:count], photos.ids[:count], photos.roles[:count])


def test_it_learns_and_says_so(system: systems.System, draw: Draw, capsys: pytest.CaptureFixture[str]) -> None:
    history = fit(system, draw(160), draw(60), RECIPE)
    assert history[-1]["l_m"] < 0.5 * history[0]["l_m"]
    best = max(row["valid_map"] for row in history)
    assert best > 0.9
    assert retrieval_map(system, draw(60)) == pytest.approx(best, abs=1e-6)  # the best epoch's weights are left in it
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[:2] for line in lines] == [["epoch", f"{i}/4"] for i in (1, 2, 3, 4)]
    assert "valid MAP" in lines[0]
    assert "images/s" in lines[0]


def test_one_photo_and_no_validation(system: systems.System, draw: Draw) -> None:
    history = fit(system, take(draw(9), 1), None, TrainingConfig(epochs=1))
    assert "valid_map" not in history[0]
    assert np.isfinite(history[0]["loss"])


@pytest.mark.parametrize("name", list(SYSTEMS))
def test_a_class_seen_only_in_test_trains_and_is_ranked(taxonomy: Taxonomy, draw: Draw, name: str) -> None:
    system = systems.build(ModelConfig(system=name, **CONFIG), taxonomy)
    everything = draw(90)
    seen = np.flatnonzero(everything.labels[:, 4] == 0)
    train = Photos(everything.images, *(np.asarray(part)[seen] for part in (everything.place, everything.labels)),
                   [everything.ids[i] for i in seen], [everything.roles[i] for i in seen])  # fmt: skip
    history = fit(system, train, None, TrainingConfig(epochs=2, batch_size=16, flip=False))
    assert all(np.isfinite(row["loss"]) for row in history)
    assert 0 < (retrieval_map(system, everything) or 0) < 1


def test_without_validation_the_averaged_weights_of_the_last_epoch_stay_and_patience_waits_for_nothing(
    system: systems.System, draw: Draw
) -> None:
    raw: list[np.ndarray] = []
    history = fit(system, draw(16), None, replace(RECIPE, epochs=3, average=0.5, patience=1),
                  record=lambda _: raw.append(np.array(system.classifier)))  # fmt: skip
    assert len(history) == 3
    # One step an epoch: the average starts as the first weights.
    expected = 0.5 * (0.5 * raw[0] + 0.5 * raw[1]) + 0.5 * raw[2]
    np.testing.assert_allclose(np.asarray(system.classifier), expected, atol=1e-6)
    assert np.abs(raw[2] - expected).max() > 1e-4


def test_no_photo_is_one_clear_error(system: systems.System, draw: Draw) -> None:
    with pytest.raises(TrainingError, match="no photo to train on"):
        fit(system, take(draw(9), 0), None, RECIPE)


def test_a_broken_loss_stops_at_once(system: systems.System, draw: Draw) -> None:
    system.classifier.assign(np.full(system.classifier.shape, np.nan))
    with pytest.raises(TrainingError, match=r"the loss is nan in epoch 1, step 1; lower training\.learning_rate"):
        fit(system, draw(32), None, RECIPE)


def test_weight_decay_leaves_biases_alone(system: systems.System, draw: Draw) -> None:
    # Without a label there is no gradient: only the decay moves a weight, and only matrices and kernels.
    photos = draw(16)
    blank = Photos(photos.images, photos.place, np.zeros_like(photos.labels), photos.ids, photos.roles)
    system.bias.assign(np.ones(system.bias.shape))
    before = np.asarray(system.classifier).copy()
    fit(system, blank, None, TrainingConfig(epochs=1, batch_size=16, learning_rate=0.1, weight_decay=0.5))
    np.testing.assert_allclose(np.asarray(system.classifier), before * (1 - 0.1 * 0.5), rtol=1e-5)
    np.testing.assert_array_equal(np.asarray(system.bias), 1)


def test_retrieval_map_by_hand(system: systems.System, monkeypatch: pytest.MonkeyPatch) -> None:
    # neck alone is labelled. Query 0 scores its candidates 1, 2, 3 as 3, 2, 1; of these 2 and 3 share its class.
    labels = np.array([[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [1, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0] * 5], np.uint8)
    vectors = np.zeros((5, 2, 1), np.float32)
    vectors[:, 0, 0] = [1, 3, 2, 1, 9]  # the last is unlabelled, no candidate, and must not rank
    monkeypatch.setattr("models.retrieval.embed", lambda *_: vectors)
    roles = ["query", "candidate", "candidate", "candidate", "candidate"]
    photos = Photos(np.zeros((5, 1, 1, 3), np.uint8), np.arange(5), labels, list("abcde"), roles)
    assert retrieval_map(system, photos) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert retrieval_map(system, Photos(photos.images, photos.place, labels, photos.ids, ["candidate"] * 5)) is None


def test_history_is_a_table(tmp_path: Path) -> None:
    write_history([{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0, "valid_map": 0.5}], tmp_path / "history.csv")
    with (tmp_path / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[1] == {"epoch": "2", "loss": "1.0", "valid_map": "0.5"}
    assert rows[0]["valid_map"] == ""
