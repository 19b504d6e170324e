"""The runner files at the project's root, where TFX's templates have theirs: a mistake in what they read is one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.lock import exclusive

ROOT = Path(__file__).parents[2]


def started(file: str, folder: Path, **given: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("M3NET_")}
    return subprocess.run(
        [sys.executable, str(ROOT / file)], env=environment | given, capture_output=True, text=True, cwd=folder, check=False
    )


@pytest.mark.parametrize("file", ["local_runner.py", "kubeflow_v2_runner.py"])
def test_without_a_catalogue(file: str, tmp_path: Path) -> None:
    done = started(file, tmp_path)
    assert done.returncode == 2
    assert (
        done.stderr == f"{file}: no catalogue; set M3NET_CATALOGUE to path/catalogue.csv, or data.catalogue in $M3NET_CONFIG\n"
    )
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use(tmp_path: Path) -> None:
    with exclusive(tmp_path / "out"):
        done = started("local_runner.py", tmp_path, M3NET_CATALOGUE="nowhere.csv", M3NET_OUTPUT="out")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"local_runner.py: {tmp_path / 'out'} is in use by another run (process {os.getpid()})")
