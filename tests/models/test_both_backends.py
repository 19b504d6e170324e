"""TensorFlow and JAX agree on losses, on every system's outputs, and on what two training steps make of the weights."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.registry import SYSTEMS

PROGRAM = Path(__file__).with_name("both_backends.py")
ROOT = PROGRAM.parents[2]


# One of each kind in `make test`: a minute of compiling goes into each half.
EACH_KIND = ("classifier", "asen_v2", "modc", "m3net", "m3net+")


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [EACH_KIND, pytest.param(tuple(sorted(SYSTEMS.keys() - EACH_KIND)), marks=pytest.mark.long)],
    ids=["each kind", "the others"],
)
def test_the_backends_agree(names: tuple[str, ...], tmp_path: Path) -> None:
    running = {}
    for backend in ("tensorflow", "jax"):
        environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
        command = [sys.executable, str(PROGRAM), str(tmp_path / f"{backend}.npz"), *names]
        running[backend] = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    for backend, process in running.items():
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, f"{backend}: {errors}"
    one, two = (dict(np.load(tmp_path / f"{backend}.npz")) for backend in running)
    assert (one.pop("backend"), two.pop("backend")) == ("tensorflow", "jax")
    assert one.keys() == two.keys()
    moved = [key for key in one if "centres" in key and one[key].any()]
    # JAX carries state only through its own scope: all but the classifier's moved.
    assert len(moved) == len({*names} - {"classifier"})
    for key, value in one.items():
        if key.startswith("loss "):
            assert float(two[key]) == pytest.approx(float(value), abs=1e-5), key
        scale = max(1.0, float(np.abs(value).max()))  # of the array: a number near 0 is a difference of large ones
        np.testing.assert_allclose(two[key], value, rtol=1e-4, atol=1e-5 * scale, err_msg=key)
