"""docs/operation.md: its commands are typed, its configuration is one, its steps are the pipeline's."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config import load
from pipeline.steps import names

TEXT = (Path(__file__).parents[2] / "docs" / "operation.md").read_text()


def test_the_configuration_is_one_and_the_steps_are_named(tmp_path: Path) -> None:
    (tmp_path / "m3net.yaml").write_text(re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)[0])
    config = load(tmp_path / "m3net.yaml")
    assert config.training.warm_start == "last"
    assert config.dataset == "photos"
    assert all(f"`{name}`" in TEXT for name in names(config))
    for path in re.findall(r"`(pipeline/deploy/[\w.-]+)`", TEXT):
        assert (Path(__file__).parents[2] / path).is_file()


@pytest.mark.long
def test_the_commands_work(tmp_path: Path) -> None:
    script = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)[0]
    (tmp_path / "m3net").write_text(f'#!/bin/sh\nexec {sys.executable} -m pipeline.cli "$@"\n')
    (tmp_path / "m3net").chmod(0o755)
    own = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        ["bash", "-e", "-c", script], cwd=tmp_path, env={**os.environ, **own}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "stopped after Trainer, as asked" in done.stdout
    assert "released as version 1" in done.stdout
    assert "released as version 2" in done.stdout
