"""A training that was stopped goes on to the same numbers; what stops it keeps the last good epoch."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import checkpoint, systems
from models.errors import TrainingError
from models.recipe import ModelConfig, TrainingConfig
from models.sampling import Batches, Photos
from models.taxonomy import Taxonomy
from models.training import fit, stage_epochs
from tests.models.tiny import CONFIG

Draw = Callable[[int], Photos]
RECIPE = TrainingConfig(epochs=3, batch_size=12, learning_rate=5e-3)
CASES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "modc": ((2,), {"views": 2, "second_stage": 0.67, "average": 0.9, "accumulate": 2}),
    "asen++": ((1,), {"sampling": "documented", "batch_size": 4, "second_stage": 0.67}),
}


def built(name: str, taxonomy: Taxonomy) -> systems.System:
    import keras

    keras.utils.set_random_seed(7)
    return systems.build(ModelConfig(system=name, **CONFIG), taxonomy)


def curve(history: checkpoint.History) -> list[dict[str, float]]:
    return [{key: value for key, value in row.items() if key != "images_per_second"} for row in history]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_stopped_it_comes_to_the_same_losses_and_weights(
    name: str, taxonomy: Taxonomy, draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops, changed = CASES[name]
    recipe = TrainingConfig(**{**RECIPE.__dict__, **changed})
    photos, valid, file = draw(36), draw(20), tmp_path / "run" / "state.npz"
    whole = built(name, taxonomy)
    expected = fit(whole, photos, valid, recipe)
    real = Batches.__getitem__

    def stopped(epoch: int) -> Callable[[Batches, int], Any]:
        def get(self: Batches, batch: int) -> Any:
            if (self.epoch, batch) == (epoch, 1 if len(self) > 1 else 0):
                raise KeyboardInterrupt
            return real(self, batch)

        return get

    for epoch in stops:  # in the middle of the first or the last epoch of the second stage
        monkeypatch.setattr("models.sampling._THREADS", 1)  # the error comes out of the thread that asks
        monkeypatch.setattr(Batches, "__getitem__", stopped(epoch))
        with pytest.raises(BaseException):  # noqa: B017, PT011  (each backend wraps it in its own)
            fit(built(name, taxonomy), photos, valid, recipe, file)
        state = checkpoint.read(file)
        assert state is not None
        assert len(state.history) == epoch
    monkeypatch.setattr(Batches, "__getitem__", real)
    resumed = built(name, taxonomy)
    got = fit(resumed, photos, valid, recipe, file)
    for one, two in zip(curve(expected), curve(got), strict=True):
        assert one == pytest.approx(two, rel=1e-5, abs=1e-6)
    for left, right in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)


def test_a_kill_while_writing_leaves_the_epoch_before(tmp_path: Path) -> None:
    file = tmp_path / "state.npz"
    checkpoint.write(file, checkpoint.State([np.ones(3)], [np.arange(2)], None, [{"epoch": 1, "loss": 0.5}]))
    code = (
        "import os, signal, sys, numpy as np; from pathlib import Path; from models import checkpoint\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "checkpoint.write(Path(sys.argv[1]), checkpoint.State([np.zeros(3)], [], None, []))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)], check=False, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
    )
    assert done.returncode == -signal.SIGKILL
    state = checkpoint.read(file)
    assert state is not None
    np.testing.assert_array_equal(state.variables[0], np.ones(3))
    np.testing.assert_array_equal(state.optimizer[0], np.arange(2))
    assert (state.best, state.history) == (None, [{"epoch": 1, "loss": 0.5}])
    assert checkpoint.read(tmp_path / "none.npz") is None


def test_patience_ends_a_stage_and_the_next_starts_from_the_best(
    taxonomy: Taxonomy, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = iter([0.3, 0.5, 0.4, 0.5, 0.6, 0.1, 0.2])
    starts: list[np.ndarray] = []
    seen: list[np.ndarray] = []

    def measured(system: systems.System, _: Photos) -> float:
        seen.append(np.array(system.embedding))
        return next(maps)

    monkeypatch.setattr("models.training.retrieval_map", measured)
    system = built("asen++", taxonomy)
    enter = type(system).enter

    def entered(self: systems.System, stage: int) -> None:
        starts.append(np.array(self.embedding))
        enter(self, stage)

    monkeypatch.setattr(type(system), "enter", entered)
    recipe = TrainingConfig(epochs=8, second_stage=0.5, batch_size=8, patience=2, sampling="documented")
    history = fit(system, draw(24), draw(9), recipe)
    # 4 epochs of stage 1 at most: after 0.5, two without a better one. Stage 2: after 0.6, two.
    assert [row["stage"] for row in history] == [1, 1, 1, 1, 2, 2, 2]
    np.testing.assert_array_equal(starts[1], seen[1])
    np.testing.assert_array_equal(np.array(system.embedding), seen[4])


def test_stages_share_the_epochs() -> None:
    assert stage_epochs(TrainingConfig(epochs=70, second_stage=20 / 70), 2) == [50, 20]
    assert stage_epochs(TrainingConfig(epochs=70, second_stage=0.5), 1) == [70]


@pytest.mark.parametrize("broken", ["memory", "nan"])
def test_what_stops_it_is_one_line_and_the_last_good_epoch_is_kept(
    broken: str, taxonomy: Taxonomy, draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, file = built("classifier", taxonomy), tmp_path / "state.npz"
    recipe = TrainingConfig(epochs=2, batch_size=8)
    with pytest.raises(TrainingError) as caught:
        fit(system, draw(16), None, recipe, file, lambda _: breaks(system, broken, monkeypatch))
    line = str(caught.value)
    assert "\n" not in line
    expected = {
        "memory": "out of memory in epoch 2, step 1; set training.batch_size=4 and training.accumulate=2",
        "nan": "the loss is nan in epoch 2, step 1; lower training.learning_rate",
    }
    assert line.startswith(expected[broken])
    assert line.endswith(f"; epoch 1 is kept in {file}")
    state = checkpoint.read(file)
    assert state is not None
    assert all(np.isfinite(value).all() for value in state.variables)


def test_a_full_disk_is_one_line_and_the_epoch_before_is_kept(taxonomy: Taxonomy, draw: Draw, tmp_path: Path) -> None:
    file, before = tmp_path / "state.npz", resource.getrlimit(resource.RLIMIT_FSIZE)

    def full(history: checkpoint.History) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(history) * file.stat().st_size // 2, before[1]))

    try:
        with pytest.raises(TrainingError, match=r"state after epoch 2 cannot be written: .*make room there") as caught:
            fit(built("classifier", taxonomy), draw(16), None, TrainingConfig(epochs=3, batch_size=8), file, full)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(f"epoch 1 is kept in {file}")
    assert [path.name for path in tmp_path.iterdir()] == ["state.npz"]
    state = checkpoint.read(file)
    assert state is not None
    assert len(state.history) == 1


def breaks(system: systems.System, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first epoch."""
    import tensorflow as tf

    if how == "nan":
        system.classifier.assign(np.full(system.classifier.shape, np.nan))
    else:

        def step(_: Any) -> Any:
            return tf.ones((1 << 24, 1 << 24))  # a pebibyte: refused by the allocator itself

        system.train_function = step
        monkeypatch.setattr(system, "make_train_function", lambda: None)
