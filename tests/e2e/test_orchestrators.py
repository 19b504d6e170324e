"""The same pipeline through the `tfx` command and as a Kubeflow package."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from kfp import components

from serving.release import versions
from tests.e2e.conftest import m3net

pytestmark = pytest.mark.slow
RUNNER = Path(__file__).parents[2] / "pipeline" / "local_runner.py"


def test_the_tfx_command_creates_and_runs_it(catalogue: Path, tmp_path: Path) -> None:
    config = tmp_path / "quick.yaml"
    config.write_text("model: {image_size: 32}\ntraining: {epochs: 1}\n")
    own = {"M3NET_CATALOGUE": str(catalogue), "M3NET_CONFIG": str(config), "M3NET_OUTPUT": str(tmp_path / "out")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # `tfx` calls pip and python by name
    environment = {**os.environ, **own, "HOME": str(tmp_path), "PATH": path}
    for command in (["pipeline", "create", "--pipeline_path", str(RUNNER)], ["run", "create", "--pipeline_name", "m3net"]):
        done = subprocess.run(
            ["tfx", *command, "--engine", "local"], env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert versions(tmp_path / "out" / "releases") == [1]


def test_the_kubeflow_package_compiles_and_kfp_loads_it(tmp_path: Path) -> None:
    file = tmp_path / "m3net.yaml"
    m3net("compile", "--catalogue", "/data/catalogue.csv", "-o", str(file))
    assert components.load_component_from_file(str(file)).name == "m3net"
    package = yaml.safe_load(file.read_text())
    assert package["schemaVersion"] == "2.1.0"
    tasks = set(package["root"]["dag"]["tasks"])
    assert {"CatalogueGen", "Trainer", "Embedder", "RetrievalEvaluator", "IndexBuilder", "Releaser"} <= tasks
