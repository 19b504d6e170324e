"""The package says what the configuration says, in the words of Kubeflow's own messages."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp import components

from models.recipe import TrainingConfig
from pipeline.cli import main
from pipeline.cluster import STEPS
from pipeline.config import QUICK, ConfigError, load

CONFIG = """
training: {backend: jax}
beam: {args: [--runner=FlinkRunner, --flink_master=flink:8081]}
kubeflow:
  log_format: json
  image: registry.example/m3net:1
  artifacts: /releases/artifacts
  volumes: {m3net-releases: /releases, m3net-data: /data}
  secrets: {store: {access: AWS_ACCESS_KEY_ID}}
  resources:
    default: {cpu: 2, memory: 8, retries: 1}
    Trainer: {image: registry.example/m3net:1-cuda, gpus: 4, memory: 32, timeout: 1.5, node_selector: {pool: gpu},
              tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]}
"""


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    folder = tmp_path_factory.mktemp("package")
    (folder / "shop.yaml").write_text(CONFIG)
    package = folder / "m3net.yaml"
    command = ["compile", "--config", str(folder / "shop.yaml"), "--catalogue", "/data/catalogue.csv", "-o", str(package)]
    assert main(command) == 0
    assert components.load_component_from_file(str(package)).name == "m3net"
    return list(yaml.safe_load_all(package.read_text()))


pytestmark = pytest.mark.slow


def constant(value: str) -> dict[str, Any]:
    return {"runtimeValue": {"constant": value}}


def test_a_step_gets_what_it_should(documents: list[Any]) -> None:
    spec, platform = documents
    executors, tasks = spec["deploymentSpec"]["executors"], spec["root"]["dag"]["tasks"]
    trainer, embedder = (executors[f"{name}_executor"]["container"] for name in ("Trainer", "Embedder"))
    assert trainer["image"] == "registry.example/m3net:1-cuda"
    assert trainer["resources"] == {
        "cpuLimit": 2.0,
        "memoryLimit": 32.0,
        "accelerator": {"type": "nvidia.com/gpu", "count": "4"},
    }
    assert embedder["image"] == "registry.example/m3net:1"
    assert embedder["resources"] == {"cpuLimit": 2.0, "memoryLimit": 8.0}
    assert {"--runner=FlinkRunner", "--flink_master=flink:8081"} <= set(embedder["args"])
    assert all(one["container"]["env"] == [{"name": "M3NET_LOG_FORMAT", "value": "json"}] for one in executors.values())
    assert all(one["retryPolicy"]["maxRetryCount"] == 1 for one in tasks.values())
    given = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(given) == {f"{name}_executor" for name in tasks}
    claims = {"m3net-releases": "/releases", "m3net-data": "/data"}
    every = {
        "pvcMount": [{"mountPath": path, "pvcNameParameter": constant(claim)} for claim, path in claims.items()],
        "secretAsEnv": [
            {"secretNameParameter": constant("store"), "keyToEnv": [{"secretKey": "access", "envVar": "AWS_ACCESS_KEY_ID"}]}
        ],
    }
    assert given["Trainer_executor"] == {
        **every,
        "nodeSelector": {"labels": {"pool": "gpu"}},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "activeDeadlineSeconds": "5400",
    }
    assert all(one == every for name, one in given.items() if name != "Trainer_executor")


def test_it_holds_nothing_that_the_backend_refuses(documents: list[Any]) -> None:
    spec = documents[0]
    assert spec["schemaVersion"] == "2.1.0"
    assert set(spec["root"]["dag"]["tasks"]) == set(STEPS) - {"ImportSchemaGen", "Tuner"}
    assert all(set(one) == {"container"} for one in spec["deploymentSpec"]["executors"].values())  # no resolver, no importer


def test_a_run_may_change_these(documents: list[Any]) -> None:
    asked = documents[0]["root"]["inputDefinitions"]["parameters"]
    defaults = {name: one["defaultValue"] for name, one in asked.items()}
    assert defaults == {"catalogue": "/data/catalogue.csv", "version": "", "epochs": TrainingConfig().epochs}
    tasks = documents[0]["root"]["dag"]["tasks"]
    for step, parameter, name in (
        ("CatalogueGen", "version", "version"),
        ("Recall", "version", "version"),
        ("Trainer", "epochs", "epochs"),
    ):
        assert tasks[step]["inputs"]["parameters"][parameter] == {"componentInputParameter": name}


def test_kubernetes_part_is_of_kubeflows_own_message(documents: list[Any]) -> None:
    from kfp.kubernetes import kubernetes_executor_config_pb2 as messages

    for given in documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        read = json_format.ParseDict(given, messages.KubernetesExecutorConfig())
        assert json_format.MessageToDict(read) == given


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("kubeflow.resources={Traner: {cpu: 2}}", 'no step "Traner"; did you mean "Trainer"?'),
        ("kubeflow.resources={Trainer: {cpu: two}}", "kubeflow.resources.Trainer.cpu is a number; got 'two'"),
        ("kubeflow.resources={Trainer: {cpus: 2}}", 'unknown key "kubeflow.resources.Trainer.cpus"; did you mean "cpu"?'),
        ("kubeflow.resources={Trainer: {memory: -1}}", "kubeflow.resources.Trainer.memory: not negative"),
        ("kubeflow.resources={Trainer: {timeout: .inf}}", "finite"),
        ("kubeflow.resources={Trainer: 3}", "holds keys and values"),
        ("kubeflow.resources=3", "holds names, each with keys"),
        ("kubeflow.resources={Trainer: {tolerations: [gpu]}}", "tolerations: each has key"),
        ("kubeflow.resources={Trainer: {gpus: 1.5}}", "is a int"),
        ("kubeflow.image=Not An Image", "an image's name"),
        ("kubeflow.log_format=jsn", 'no format "jsn"; did you mean "json"?'),
        ("training.backend=torch", 'no backend "torch"'),
        ("kubeflow.pipeline_root=/data", "begins with minio://"),
        ("kubeflow.volumes={m3net-releases: releases}", "an absolute path"),
        ("kubeflow.secrets={store: {access: 'not a variable'}}", "kubeflow.secrets"),
    ],
)
def test_wrong_values_are_one_line(setting: str, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(QUICK, [setting])
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("release.folder=/elsewhere", "/elsewhere lies on none of kubeflow.volumes"),
        ("kubeflow.artifacts=/elsewhere", "/elsewhere lies on none of kubeflow.volumes"),
        ("beam.args=[--runner=FlinkRunner]", "kubeflow.artifacts"),
        ("beam.args=[--runner=DataflowRunner]", "Dataflow"),
        ("kubeflow.resources={Trainer: {gpus: 2}}", "TensorFlow trains on one: set training.backend to jax, or gpus to 1"),
        ("kubeflow.resources={Embedder: {gpus: 2}}", "Embedder would use one of its 2 gpus; set 1"),
    ],
)
def test_what_would_fail_in_the_cluster_is_refused(
    setting: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compile", "--catalogue", "/data/c.csv", "-o", str(tmp_path / "p.yaml"), "--set", setting]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert not list(tmp_path.iterdir())
