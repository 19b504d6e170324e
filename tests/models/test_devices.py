"""One device and four train the same: virtual devices of JAX, on this machine's CPU."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.devices import use_all

PROGRAM = Path(__file__).with_name("devices.py")


@pytest.mark.slow
def test_four_devices_come_to_the_losses_of_one(tmp_path: Path) -> None:
    running = {}
    for count in (1, 4):
        environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(PROGRAM.parents[2]), "JAX_PLATFORMS": "cpu",
                       "XLA_FLAGS": f"--xla_force_host_platform_device_count={count}"}  # fmt: skip
        command = [sys.executable, str(PROGRAM), str(tmp_path / f"{count}.npz"), "modc"]
        running[count] = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    for count, process in running.items():
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, f"{count}: {errors}"
    one, four = (dict(np.load(tmp_path / f"{count}.npz")) for count in running)
    assert (int(one.pop("devices")), int(four.pop("devices"))) == (1, 4)
    np.testing.assert_allclose(four["losses"], one["losses"], rtol=1e-5)
    for key, value in one.items():
        np.testing.assert_allclose(four[key], value, rtol=1e-4, atol=1e-5, err_msg=key)


def test_one_device_needs_nothing_of_a_batch() -> None:
    assert use_all(7) == 1
