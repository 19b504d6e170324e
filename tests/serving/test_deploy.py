"""What deploys the server names flags, ports, paths, users and metrics that are really there."""

import argparse
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from serving import settings
from serving.batcher import Batching
from serving.flags import add_flags
from serving.metrics import Metrics

FOLDER = Path(__file__).parents[2] / "serving" / "deploy"
ROOT = FOLDER.parents[1]


def parsed(arguments: list[str]) -> argparse.Namespace:
    made = argparse.ArgumentParser()
    add_flags(made, rest_api_port=8501)
    return made.parse_args(arguments)


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    """The manifests by kind."""
    return {one["kind"]: one for one in yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text())}


@pytest.fixture(scope="module")
def container(cluster: dict[str, Any]) -> dict[str, Any]:
    (found,) = cluster["Deployment"]["spec"]["template"]["spec"]["containers"]
    return dict(found)


def test_the_image_starts_the_server_as_nobody_in_particular() -> None:
    lines = (FOLDER / "Dockerfile").read_text().splitlines()
    entry = [yaml.safe_load(line.split(" ", 1)[1]) for line in lines if line.startswith(("ENTRYPOINT", "CMD"))]
    program, verb, *arguments = entry[0] + entry[1]
    assert (program, verb, parsed(arguments).host) == ("m3net", "serve", "0.0.0.0")
    assert lines.index("USER 10001") > max(number for number, line in enumerate(lines) if line.startswith(("RUN", "COPY")))
    for line in lines:
        if line.startswith("COPY"):
            *sources, _ = shlex.split(line)[1:]
            assert all((ROOT / source).exists() for source in sources)


def test_the_pods(container: dict[str, Any], cluster: dict[str, Any]) -> None:
    given = parsed(container["args"])
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert ports == {"grpc": given.port, "http": given.rest_api_port}
    mounts = {one["mountPath"] for one in container["volumeMounts"]}
    assert {str(given.releases), str(given.batching_parameters_file.parent)} <= mounts
    probe = container["readinessProbe"]["grpc"]
    assert (probe["port"], probe["service"]) == (given.port, given.model_name)
    pod = cluster["Deployment"]["spec"]["template"]
    assert pod["metadata"]["annotations"]["prometheus.io/path"] == settings.METRICS_PATH
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == str(given.rest_api_port)
    assert pod["spec"]["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert pod["spec"]["terminationGracePeriodSeconds"] > 5 + 10  # preStop, and what the server takes


def test_everything_speaks_of_the_same_pods(cluster: dict[str, Any]) -> None:
    labels = cluster["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert cluster["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert cluster["Service"]["spec"]["selector"] == labels
    assert cluster["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert cluster["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    assert cluster["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == cluster["Deployment"]["metadata"]["name"]
    assert cluster["PodDisruptionBudget"]["spec"]["minAvailable"] < cluster["HorizontalPodAutoscaler"]["spec"]["minReplicas"]
    assert {one["name"] for one in cluster["Service"]["spec"]["ports"]} == {"grpc", "http"}


def test_the_batching_files_are_read(cluster: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "batching.txt").write_text(cluster["ConfigMap"]["data"]["batching.txt"])
    assert settings.read_batching(FOLDER / "batching.txt") == settings.read_batching(tmp_path / "batching.txt") == Batching()


def test_compose() -> None:
    services = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
    given = parsed(services["m3net"]["command"])
    assert all(port.startswith("127.0.0.1:") for one in services.values() for port in one["ports"])
    targets = {volume.rsplit(":", 2)[-2] for volume in services["m3net"]["volumes"]}
    assert {str(given.releases), str(given.batching_parameters_file)} == targets
    assert services["m3net"]["read_only"]
    scrape = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())["scrape_configs"][0]
    assert scrape["metrics_path"] == settings.METRICS_PATH
    assert scrape["static_configs"][0]["targets"] == [f"m3net:{given.rest_api_port}"]


def test_alerts_ask_for_metrics_and_labels_that_are_shown() -> None:
    metrics = Metrics(lambda: ["m"], {":m3net:model_ready": lambda: {"m": 1}})
    metrics.request("m", "Predict", "GRPC", "OK", 1.0)
    page = metrics.page()
    rules = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"][0]["rules"]
    assert len(rules) == 4
    for rule in rules:
        names = re.findall(r":\w+(?::\w+)+", rule["expr"])
        assert names
        for name in names:
            line = next(line for line in page.splitlines() if line.startswith(f"{name}{{"))
            for label in re.findall(r"by \(([^)]*)\)", rule["expr"]):
                assert all(f'{one.strip()}="' in line for one in label.split(","))
