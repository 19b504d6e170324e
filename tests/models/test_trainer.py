"""`run_fn` as TFX's Trainer calls it, on Examples in a folder laid out as ingestion leaves it."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from models import systems, trainer
from models.backend import choose
from models.errors import TrainingError
from models.recipe import ModelConfig
from models.sampling import Photos
from models.taxonomy import Taxonomy
from models.trainer import MODEL_FILE, run_fn
from tests.models.tiny import CONFIG

Write = Callable[[Path, Photos], None]
MODEL = {"system": "m3net+", **CONFIG}


@pytest.fixture
def examples(tmp_path: Path, taxonomy: Taxonomy, draw: Callable[[int], Photos], write_examples: Write) -> Path:
    folder = tmp_path / "examples"
    for split, count in (("train", 24), ("valid", 9)):
        write_examples(folder / f"Split-{split}/data_tfrecord-00000-of-00001", draw(count))
    taxonomy.save(folder)
    return folder


def arguments(examples: Path, valid: str = "valid", train: str = "train") -> SimpleNamespace:
    return SimpleNamespace(
        train_files=[f"{examples}/Split-{train}/*"],
        eval_files=[f"{examples}/Split-{valid}/*"],
        custom_config={"model": MODEL, "training": {"epochs": 1, "batch_size": 8}},
        hyperparameters=None,
        serving_model_dir=f"{examples.parent}/model/Format-Serving",
        model_run_dir=f"{examples.parent}/run",
    )


def test_a_run_leaves_the_model_both_ways_and_its_history(examples: Path, taxonomy: Taxonomy) -> None:
    given = arguments(examples)
    run_fn(given)
    model = examples.parent / "model"
    assert set(tf.saved_model.load(str(model / "Format-Serving")).signatures) >= {"serving_default", "embed", "classify"}
    assert systems.load(model / MODEL_FILE).taxonomy == taxonomy
    left = sorted(path.name.split(".")[0] for path in (examples.parent / "run").iterdir())
    assert left == ["events", "history"]  # no decoded photo is left
    header = (examples.parent / "run/history.csv").read_text().splitlines()[0]
    assert {"epoch", "loss", "l_m", "l_ci", "l_cc", "valid_map"} <= set(header.split(","))


def test_without_validation_the_last_epoch_is_kept_and_that_is_said(examples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_fn(arguments(examples, valid="none"))
    assert "the last epoch is kept" in capsys.readouterr().err
    assert (examples.parent / "model" / MODEL_FILE).is_file()


def test_an_empty_split_train_is_one_clear_error(examples: Path) -> None:
    with pytest.raises(ValueError, match="no photo to train on"):
        run_fn(arguments(examples, train="none"))


def test_an_unknown_system_stops_before_any_photo_is_read(examples: Path) -> None:
    given = arguments(examples)
    given.custom_config["model"] = {"system": "m4net"}
    with pytest.raises(ValueError, match=r'did you mean "m3net'):
        run_fn(given)


def test_a_training_that_was_stopped_goes_on_in_the_next_executions_folder(
    examples: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def tried(number: int) -> SimpleNamespace:
        given = arguments(examples)
        given.custom_config["training"]["epochs"] = 2
        given.model_run_dir = f"{examples.parent}/Trainer/model_run/{number}"  # as TFX numbers them
        given.serving_model_dir = f"{examples.parent}/Trainer/model/{number}/Format-Serving"
        return given

    class Stopped(trainer._Record):
        def __call__(self, history: trainer.History) -> None:
            raise KeyboardInterrupt

    real = trainer._Record
    monkeypatch.setattr(trainer, "_Record", Stopped)
    with pytest.raises(KeyboardInterrupt):
        run_fn(tried(1))
    states = examples.parent / "Trainer" / "training"
    assert len(list(states.glob("*/state.npz"))) == 1
    monkeypatch.setattr(trainer, "_Record", real)
    run_fn(tried(2))
    assert "1 epochs were done by a run that was stopped" in capsys.readouterr().err
    with (examples.parent / "Trainer/model_run/2/history.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]
    assert not list(states.iterdir())


@pytest.mark.slow
def test_a_base_model_is_where_it_begins(examples: Path, taxonomy: Taxonomy, capsys: pytest.CaptureFixture[str]) -> None:
    before = systems.build(ModelConfig(**MODEL), taxonomy)
    (first := examples.parent / "first").mkdir()
    systems.save(before, first / MODEL_FILE)
    given = arguments(examples)
    given.custom_config["training"]["learning_rate"] = 0.0  # it ends where it began, but for batch statistics
    given.base_model = f"{first}/Format-Serving"
    run_fn(given)
    assert "begins with the weights of the last blessed model" in capsys.readouterr().err
    found = systems.load(examples.parent / "model" / MODEL_FILE)
    for one, other in zip(before.trainable_variables, found.trainable_variables, strict=True):
        np.testing.assert_array_equal(np.array(one), np.array(other), err_msg=one.path)


def test_another_backend_than_the_recipes_is_refused(examples: Path) -> None:
    given = arguments(examples)
    given.custom_config["training"]["backend"] = "jax"
    with pytest.raises(TrainingError, match="jax is asked for, and Keras was started with tensorflow"):
        run_fn(given)


def test_a_backend_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    with pytest.raises(TrainingError, match="jax is not installed here; pip install jax"):
        choose("jax")
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


@pytest.mark.long
def test_on_two_devices_of_jax_it_leaves_the_same_files(examples: Path) -> None:
    given = arguments(examples)
    given.custom_config["training"]["backend"] = "jax"
    given.custom_config["model"] = {**MODEL, "backbone": "small"}  # the tests' own is not known where it is exported
    code = (
        "import json, sys; from types import SimpleNamespace; from models.backend import choose; choose('jax')\n"
        "import keras; from models import trainer; used = []; real = trainer.use_all\n"
        "trainer.use_all = lambda batch: used.append(real(batch))\n"
        "trainer.run_fn(SimpleNamespace(**json.loads(sys.argv[1])))\n"
        "assert (keras.backend.backend(), used) == ('jax', [2])\n"
        "assert keras.distribution.distribution() is None"
    )
    devices = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    environment = {**os.environ, **devices, "PYTHONPATH": str(Path.cwd())}
    subprocess.run([sys.executable, "-c", code, json.dumps(vars(given))], check=True, env=environment)
    model = examples.parent / "model"
    photo = tf.io.encode_png(np.full((32, 32, 3), 90, np.uint8))[None]
    signatures = tf.saved_model.load(str(model / "Format-Serving")).signatures
    got = signatures["embed"](image=photo, attribute=tf.constant(["neck"]))["vector"]
    loaded = systems.load(model / MODEL_FILE)
    expected = np.asarray(loaded.vectors(loaded(np.full((1, 32, 32, 3), 90, np.float32))))[:, 0]
    np.testing.assert_allclose(got, expected, atol=1e-5)
