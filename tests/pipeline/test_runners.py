"""What a runner lacks here is one line before the run starts."""

from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from tfx.utils import dependency_utils

from components.errors import InputError
from pipeline.config import BeamConfig
from pipeline.runners import require

FLINK = ["--runner=FlinkRunner", "--flink_master=[local]"]


@pytest.mark.parametrize(("args", "words"), [
    (["--runner=PortableRunner"], "--job_endpoint=HOST:PORT"),
    ([*FLINK, "--flink_job_server_jar=/nowhere/server.jar"], "/nowhere/server.jar: no such file"),
    ([*FLINK, "--environment_type=PROCESS"], "JSON with the worker's command"),
    ([*FLINK, "--environment_type=PROCESS", '--environment_config={"command": "/nowhere/worker"}'], "/nowhere/worker is no executable"),
])  # fmt: skip
def test_one_line(args: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "java").write_text("#!/bin/sh\n")
    (tmp_path / "java").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"beam\.args: ") as found:
        require(args)
    assert words in str(found.value)
    assert "\n" not in str(found.value)


def test_without_java_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="no `java` is on PATH"):
        require(FLINK)


def test_what_needs_nothing_is_let_through(tmp_path: Path) -> None:
    (tmp_path / "worker").write_text("#!/bin/sh\n")
    (tmp_path / "worker").chmod(0o755)
    require([])
    require(["--runner=DirectRunner", "--direct_num_workers=2"])
    process = ["--environment_type=PROCESS", f'--environment_config={{"command": "{tmp_path}/worker"}}']
    require(["--runner=PortableRunner", "--job_endpoint=localhost:8099", *process])


@pytest.mark.parametrize(("args", "image"), [
    (BeamConfig().args, "m3net"),
    ((*FLINK, "--environment_type=PROCESS"), "m3net"),
    (("--runner=DataflowRunner", "--sdk_container_image=mine"), "mine"),
    ((*FLINK, "--environment_type=DOCKER"), None),
])  # fmt: skip
def test_tfx_packs_itself_only_for_workers_that_may_lack_it(
    args: tuple[str, ...], image: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dependency_utils, "build_ephemeral_package", lambda: "packed")
    options = BeamConfig(args).options()
    packed = [] if image else ["--extra_package=packed"]
    assert dependency_utils.make_beam_dependency_flags(options) == options + packed
    assert PipelineOptions(options).get_all_options()["sdk_container_image"] == image
