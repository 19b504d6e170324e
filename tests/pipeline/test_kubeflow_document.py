"""docs/kubeflow.md and pipeline/deploy are true: commands parse, the configuration loads, the image is put together of what there is."""

import dataclasses
import json
import re
import shlex
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from packaging.requirements import Requirement

from pipeline.cli import main
from pipeline.cluster import STEPS, StepConfig, idle, unmounted
from pipeline.config import load
from tests.pipeline.kfp_api import Api

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "pipeline" / "deploy"
TEXT = (ROOT / "docs" / "kubeflow.md").read_text(encoding="utf-8")
SHOP = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)[0]
ACTS = ("create", "list", "update", "pause", "resume", "delete")
LINES = [line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]


@pytest.mark.slow
def test_the_commands_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The package of the page's configuration is written, and each line of the schedule goes to an API on loopback."""
    (tmp_path / "shop.yaml").write_text(SHOP)
    api = Api()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", api.host)
    commands, states = [line for line in LINES if line.startswith("m3net ")], []
    for line in commands:
        assert main(shlex.split(line)[1:]) == 0, capsys.readouterr().err
        states.append([(one["trigger"]["cron_schedule"]["cron"][:8], one["mode"]) for one in api.runs])
    api.shutdown()
    api.server_close()
    assert [line.split()[1:3] for line in commands[1:]] == [["schedule", act] for act in ACTS]
    assert [len(one) for one in states] == [0, 1, 1, 1, 1, 1, 0]
    assert [mode for one in states for _, mode in one] == ["ENABLE", "ENABLE", "ENABLE", "DISABLE", "ENABLE"]
    assert states[1] != states[3]  # updated


def test_every_other_command_is_of_a_cluster_or_of_another_test() -> None:
    others = {line.split()[0] for line in LINES if not line.startswith("m3net ")}
    assert others == {"kubectl", "docker", "export", "tfx"}
    assert "Lines of `docker` and `kubectl` need a cluster and were not run" in TEXT


def test_the_configuration_loads(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(SHOP)
    config = load(tmp_path / "shop.yaml", ["kubeflow.artifacts=/releases/artifacts"])
    trainer, other = config.kubeflow.of("Trainer"), config.kubeflow.of("Embedder")
    assert (trainer.gpus, trainer.retries, trainer.timeout, trainer.memory) == (2, 2, 24.0, 32.0)
    assert (other.gpus, other.cpu, other.memory, other.image) == (0, 2.0, 8.0, "")
    assert not list(unmounted(config.kubeflow, "/releases"))
    assert not list(idle(config.kubeflow, STEPS, config.training.backend))


def test_the_keys_are_all_there() -> None:
    table = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", TEXT, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(table))) == {one.name for one in dataclasses.fields(StepConfig)}


def test_every_file_named_is_there() -> None:
    for path in re.findall(r"(?<![\w/])(?:pipeline|serving|tests)/[\w./-]+\.\w+", TEXT):
        assert (ROOT / path).exists(), path


def test_the_claims_are_kubernetes_own() -> None:
    client = pytest.importorskip("kubernetes.client", reason="comes with kfp")
    api = client.ApiClient()
    claims = list(yaml.safe_load_all((DEPLOY / "claims.yaml").read_text()))
    for claim in claims:
        read = api.deserialize(SimpleNamespace(data=json.dumps(claim)), "V1PersistentVolumeClaim")
        assert api.sanitize_for_serialization(read) == claim
    assert {one["metadata"]["name"] for one in claims} == {"m3net-releases", "m3net-data"}


def test_the_image_has_all_rooms_the_lock_and_no_root() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    build, final = text.split("\nFROM ")[1:]
    assert re.search(r"--no-deps --require-hashes -r requirements\.lock$", build, re.MULTILINE)
    sources = [one for line in re.findall(r"^COPY (?!--from)(.*)$", build, re.MULTILINE) for one in line.split()[:-1]]
    assert all((ROOT / one).exists() for one in sources)
    assert {"models", "serving", "components", "pipeline", "pyproject.toml", "requirements.lock"} <= set(sources)
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert "COPY --from=build" in final
    assert "build-essential" not in final


def test_cuda_is_what_tensorflow_asks_for() -> None:
    asked = [Requirement(one) for one in metadata.requires("tensorflow") or []]
    extra = {f"{one.name}{one.specifier}" for one in asked if one.marker and "and-cuda" in str(one.marker)}
    assert extra
    assert set((DEPLOY / "cuda.txt").read_text().split()) == extra


def test_jax_of_the_image_is_the_one_that_is_tested_here() -> None:
    listed = dict(line.split("==") for line in (DEPLOY / "jax.txt").read_text().split())
    assert listed.pop("nvidia-nvshmem-cu12")  # what its plugin asks for and cuda.txt has not
    assert listed == dict.fromkeys(("jax", "jaxlib", "jax-cuda12-pjrt", "jax-cuda12-plugin"), metadata.version("jax"))
    assert "-r cuda.txt -r jax.txt" in (DEPLOY / "Dockerfile").read_text()
