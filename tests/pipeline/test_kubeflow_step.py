"""A step between Kubeflow's words and TFX's."""

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from kfp.dsl import Artifact

from pipeline.kubeflow import COMMAND
from pipeline.step import localised, main, prepared, returned

GIVEN: dict[str, Any] = {
    "inputs": {
        "parameterValues": {
            "epochs": 7.0,
            "custom_config": '{"model": {}, "training": {"epochs": 1, "backend": "tensorflow"}}',
        },
        "artifacts": {
            "examples": {"artifacts": [{"name": "12", "uri": "minio://b/m/1/examples", "metadata": {}}]},
            "baseline": {"artifacts": [{"name": "13", "uri": "minio://b/m/1/model", "metadata": {"absent": 1.0}}]},
        },
    },
    "outputs": {
        "artifacts": {
            "model": {
                "artifacts": [{"name": "model", "uri": "minio://b/m/2/model", "type": {"instanceSchema": "title: tfx.Model"}}]
            },
            "executor-logs": {"artifacts": [{"name": "l", "uri": "minio://b/l", "type": {"schemaTitle": "system.Artifact"}}]},
        },
        "outputFile": "/tmp/kfp_outputs/output_metadata.json",
    },
}
DECLARED = {"artifacts": {"examples": {"artifactType": {"instanceSchema": "title: tfx.Examples"}}}}


@pytest.mark.parametrize("uri", ["minio://bucket/a/b", "s3://bucket/a", "gs://bucket/a"])
def test_paths_are_the_launchers(uri: str) -> None:
    assert localised(uri) == Artifact(uri=uri).path


def test_paths_of_a_shared_folder_and_of_none() -> None:
    assert localised("minio://bucket/a", "/mnt/") == "/mnt/bucket/a"
    assert localised("/already/here") == "/already/here"


def test_what_tfx_is_given() -> None:
    made = prepared(GIVEN, DECLARED)
    (examples,) = made["inputs"]["artifacts"]["examples"]["artifacts"]
    assert examples == {
        "name": "12",
        "uri": "/minio/b/m/1/examples",
        "metadata": {},
        "type": {"instanceSchema": "title: tfx.Examples"},
    }
    assert set(made["inputs"]["artifacts"]) == {"examples"}
    assert set(made["outputs"]["artifacts"]) == {"model"}
    assert json.loads(made["inputs"]["parameterValues"]["custom_config"])["training"] == {"epochs": 7, "backend": "tensorflow"}
    assert "epochs" not in made["inputs"]["parameterValues"]
    assert GIVEN["inputs"]["parameterValues"]["epochs"] == 7.0


def test_what_kubeflow_gets_back() -> None:
    made = {"artifacts": {"model": {"artifacts": [{"uri": "/minio/b/m/2/model", "metadata": {"x": 1}}]}}}
    (model,) = returned(made, GIVEN)["artifacts"]["model"]["artifacts"]
    assert model == {"name": "model", "uri": "minio://b/m/2/model", "metadata": {"x": 1}}


def test_another_version_of_the_image_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(
        ["--step", "Trainer", "--compiled_by", "9.9", "--executor_class_path", "x", "--json_serialized_invocation_args", "{}"]
    )
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("m3net Trainer: the package is of m3net 9.9, the image of ")


def test_a_volume_that_cannot_be_written_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    own = ["--step", "Trainer", "--compiled_by", metadata.version("m3net"), "--executor_class_path", "x"]
    assert main([*own, "--artifacts", "/sys/kernel", "--json_serialized_invocation_args", json.dumps(GIVEN)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("m3net Trainer: /sys/kernel/b/m/2 cannot be written (")
    assert "by fsGroup" in line


def test_lines_are_json_with_run_and_step_where_the_environment_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("M3NET_LOG_FORMAT", "json")
    made = json.loads(json.dumps(GIVEN).replace("minio://b/m/2/model", "minio://b/m/run-7/Trainer/0f3c/model"))
    own = ["--step", "Trainer", "--executor_class_path", "x", "--json_serialized_invocation_args", json.dumps(made)]
    assert main([*own, "--compiled_by", "9.9"]) == 2
    del made["inputs"]["parameterValues"]["custom_config"]
    own[-1] = json.dumps(made)
    assert main([*own, "--compiled_by", metadata.version("m3net")]) == 1  # nothing that a user can mend
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first["message"].startswith("m3net Trainer: the package is of m3net 9.9")
    assert "KeyError: 'custom_config'" in second["exception"]
    assert {(one["run"], one["component"]) for one in (first, second)} == {("run-7", "Trainer")}


@pytest.mark.parametrize("python", [True, False])
def test_an_image_without_the_package_is_one_line(python: bool, tmp_path: Path) -> None:
    """A container that has Python and no m3net, and one that has not even that."""
    if python:
        (tmp_path / "python").write_text(f'#!/bin/sh\nexec {sys.executable} -S -E "$@"\n')
        (tmp_path / "python").chmod(0o755)
    (tmp_path / "sh").symlink_to("/bin/sh")
    environment = {"PATH": str(tmp_path)}
    done = subprocess.run([*COMMAND, "--step", "X"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 78
    (line,) = done.stderr.splitlines()
    assert "holds no m3net" in line
    assert os.sep in line
