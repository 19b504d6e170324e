"""The same pipeline through the `tfx` command and as a Kubeflow package."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from kfp import components

from pipeline.lineage import Lineage
from serving.release import versions

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
RUNNER = str(ROOT / "local_runner.py")
# What costs an import of TFX each as a command of its own, by the command's own entry point in one process.
SCRIPT = """
import sys
from click.testing import CliRunner
from tfx.tools.cli.cli_main import cli_group
for line in sys.argv[1:]:
    done = CliRunner().invoke(cli_group, line.split())
    print(f"== {done.exit_code} {line}", done.output, done.exception, sep="\\n")
"""


def tfx(folder: Path, catalogue: Path, command: list[str]) -> str:
    config = folder / "quick.yaml"
    config.write_text("model: {image_size: 32}\ntraining: {epochs: 1}\n")
    own = {"M3NET_CATALOGUE": str(catalogue), "M3NET_CONFIG": str(config), "M3NET_OUTPUT": str(folder / "out")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # `tfx` calls pip and python by name
    environment = {**os.environ, **own, "HOME": str(folder), "PATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.long  # the README's commands, typed in `make test`, run it as well, though from the cache
def test_the_tfx_command_creates_and_runs_it(catalogue: Path, tmp_path: Path) -> None:
    for command in (["pipeline", "create", "--pipeline_path", RUNNER], ["run", "create", "--pipeline_name", "m3net"]):
        tfx(tmp_path, catalogue, ["tfx", *command, "--engine", "local"])
    assert versions(tmp_path / "out" / "releases") == [1]
    lineage = Lineage(tmp_path / "out")  # as `m3net run` would leave it
    last = lineage.last("Releaser")
    assert last is not None
    run = lineage.run_of(last)
    assert json.loads(run.custom_properties["config"].string_value)["model"]["image_size"] == 32
    text = (tmp_path / "out" / "metrics.prom").read_text()
    assert f'm3net_run_info{{run="{run.name}"}} 1' in text
    assert "m3net_run_success 1.0" in text


@pytest.mark.long
def test_the_tfx_command_updates_lists_and_deletes_it(tmp_path: Path) -> None:
    (tmp_path / "catalogue.csv").write_text("image,split,colour\n")
    lines = [
        f"pipeline create --engine local --pipeline_path {RUNNER}",
        f"pipeline update --engine local --pipeline_path {RUNNER}",
        "pipeline list --engine local",
        "pipeline delete --engine local --pipeline_name m3net",
        "pipeline delete --engine local --pipeline_name m3net",
        f"pipeline create --engine vertex --pipeline_path {ROOT / 'kubeflow_v2_runner.py'}",
        f"pipeline create --engine kubeflow --pipeline_path {ROOT / 'kubeflow_v2_runner.py'}",
    ]
    said = tfx(tmp_path, tmp_path / "catalogue.csv", [sys.executable, "-c", SCRIPT, *lines]).split("== ")[1:]
    codes = [one.split()[0] for one in said]
    for at, word in ((0, "created"), (1, "updated"), (3, "deleted"), (5, "created")):
        assert f'Pipeline "m3net" {word} successfully' in said[at], said[at]
    assert "m3net" in said[2].splitlines()
    assert codes[4] != "0"  # it is gone
    assert next(yaml.safe_load_all((tmp_path / "out" / "m3net.yaml").read_text()))["schemaVersion"] == "2.1.0"
    assert codes[6] != "0"  # broken in TFX 1.21, as docs/kubeflow.md says; when this fails, mend the document


def test_kubeflows_runner_file_writes_a_package_that_kfp_loads(tmp_path: Path) -> None:
    said = tfx(tmp_path, Path("/data/catalogue.csv"), [sys.executable, str(ROOT / "kubeflow_v2_runner.py")])
    file = tmp_path / "out" / "m3net.yaml"
    assert said == f"{file}\n"
    assert components.load_component_from_file(str(file)).name == "m3net"
    package = next(yaml.safe_load_all(file.read_text()))
    assert package["schemaVersion"] == "2.1.0"
    assert package["root"]["inputDefinitions"]["parameters"]["catalogue"]["defaultValue"] == "/data/catalogue.csv"
    tasks = set(package["root"]["dag"]["tasks"])
    assert {"CatalogueGen", "Trainer", "Embedder", "RetrievalEvaluator", "IndexBuilder", "Releaser"} <= tasks
