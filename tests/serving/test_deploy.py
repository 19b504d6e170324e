"""What `serving/deploy` ships: manifests of known fields alone, flags that the server knows, files it reads."""

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from serving import release, settings
from serving.batcher import Batching
from serving.deploy import measure_batching
from serving.deploy.subset import subset
from serving.flags import add_flags
from serving.policy import ModelConfig, Policy, configs_of
from tests.serving import drawn
from tests.serving.test_rest_api import manager, rest

__all__ = ["manager", "rest"]

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "serving" / "deploy"
KINDS = {
    "Deployment": "V1Deployment", "Service": "V1Service", "ServiceAccount": "V1ServiceAccount",
    "HorizontalPodAutoscaler": "V2HorizontalPodAutoscaler", "PodDisruptionBudget": "V1PodDisruptionBudget",
}  # fmt: skip


def manifests() -> list[dict[str, Any]]:
    files = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    return [one for file in files for one in yaml.safe_load_all(file.read_text())]


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [one for one in manifests() if one["kind"] == kind]


@pytest.mark.parametrize("manifest", manifests(), ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_every_field_is_one_that_kubernetes_knows(manifest: dict[str, Any]) -> None:
    """Through the typed classes of Kubernetes' own API and back: what they do not know would be lost on the way."""
    client = pytest.importorskip("kubernetes.client", reason="comes with kfp")
    api = client.ApiClient()
    read = api.deserialize(SimpleNamespace(data=json.dumps(manifest)), KINDS[manifest["kind"]])
    assert api.sanitize_for_serialization(read) == manifest


@pytest.mark.parametrize("manifest", manifests(), ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_every_manifest_is_valid_by_kubernetes_own_schemas(manifest: dict[str, Any]) -> None:
    """Values too: types, what is needed, what may not stand together; offline."""
    schemas = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    assert schemas.validate(manifest, "1.32", strict=True) == "1.32"


def test_a_misspelt_field_or_a_wrong_value_would_be_noticed() -> None:
    misspelt, wrong = of_kind("Deployment")[0], of_kind("Deployment")[0]
    misspelt["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(AssertionError):
        test_every_field_is_one_that_kubernetes_knows(misspelt)
    schemas = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    wrong["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["periodSeconds"] = "often"
    for manifest in (misspelt, wrong):
        with pytest.raises(schemas.ValidationError):
            schemas.validate(manifest, "1.32", strict=True)


def test_what_belongs_together_names_each_other() -> None:
    for deployment in of_kind("Deployment"):
        name, spec = deployment["metadata"]["name"], deployment["spec"]
        labels = spec["template"]["metadata"]["labels"]
        assert spec["selector"]["matchLabels"].items() <= labels.items()
        for kind in ("Service", "PodDisruptionBudget"):
            selectors = [one["spec"]["selector"] for one in of_kind(kind)]
            assert labels in [one.get("matchLabels", one) for one in selectors], (name, kind)
        assert name in [one["spec"]["scaleTargetRef"]["name"] for one in of_kind("HorizontalPodAutoscaler")]
        (container,) = spec["template"]["spec"]["containers"]
        assert {"startupProbe", "readinessProbe", "livenessProbe", "resources"} <= set(container)
        volumes = {one["name"] for one in spec["template"]["spec"]["volumes"]}
        assert {one["name"] for one in container["volumeMounts"]} == volumes
        ports = {port["name"] for port in container["ports"]} | {port["containerPort"] for port in container["ports"]}
        for service in of_kind("Service"):
            if service["spec"]["selector"] == labels:
                assert {one["targetPort"] for one in service["spec"]["ports"]} <= ports


def test_nothing_runs_as_root_or_may_become_it() -> None:
    for deployment in of_kind("Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            own = container["securityContext"]
            assert (own["allowPrivilegeEscalation"], own["readOnlyRootFilesystem"]) == (False, True)
            assert own["capabilities"] == {"drop": ["ALL"]}
    stages = (DEPLOY / "Dockerfile").read_text().split("\nFROM ")
    assert len(stages) == 3  # the text before the first, what builds, what runs
    assert re.search(r"^USER 10001:10001$", stages[-1], re.MULTILINE)
    for service in compose()["services"].values():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text()))


def commands() -> Iterator[list[str]]:
    """The arguments that our server is started with anywhere."""
    yield list(map(str, compose()["services"]["m3net"]["command"]))
    yield from (
        d["spec"]["template"]["spec"]["containers"][0]["args"]
        for d in of_kind("Deployment")
        if d["metadata"]["name"] == "m3net"
    )
    found = re.findall(r"^(?:ENTRYPOINT|CMD) (\[.*\])$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    yield [*json.loads(found[0])[3:], *json.loads(found[1])]


def test_the_server_takes_the_flags_it_is_given() -> None:
    import argparse

    for command in commands():
        parser = argparse.ArgumentParser(exit_on_error=False)
        add_flags(parser, rest_api_port=0)
        given = parser.parse_args(command)
        assert (given.rest_api_port, given.port) == (8501, 8500)
        assert (DEPLOY / given.model_config_file.name).is_file()


def test_the_retrieval_tier_asks_an_embedder_that_is_there() -> None:
    in_compose, in_kubernetes, alone = (dict(itertools.pairwise(one)).get("--embedder", "") for one in commands())
    assert in_compose.split(":") == ["tensorflow-serving", "8500"]
    assert "tensorflow-serving" in compose()["services"]
    name, port = in_kubernetes.removeprefix("dns:///").split(":")
    (service,) = (one for one in of_kind("Service") if one["metadata"]["name"] == name)
    assert (service["spec"]["clusterIP"], int(port)) == ("None", service["spec"]["ports"][0]["port"])
    assert not alone  # the image by itself has its own model


def test_the_files_that_are_mounted_are_there() -> None:
    for service in compose()["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith("./") or (DEPLOY / source).is_file(), volume


def test_the_servers_files_are_read_by_the_server() -> None:
    assert configs_of(settings.read_models(DEPLOY / "models.config")) == {
        "m3net": ModelConfig(Path("/releases"), Policy(latest=2))
    }
    batching = settings.read_batching(DEPLOY / "batching.config")
    assert batching.max_batch_size in (8, 16, 32, 64, 128)
    assert batching == Batching(batching.max_batch_size, 4, 1)
    assert settings.read_metrics_path(DEPLOY / "monitoring.config") == settings.METRICS_PATH
    paths = {one["metrics_path"] for one in prometheus()["scrape_configs"]}
    paths |= {d["spec"]["template"]["metadata"]["annotations"]["prometheus.io/path"] for d in of_kind("Deployment")}
    assert paths == {settings.METRICS_PATH}


def prometheus() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "monitoring" / "prometheus.yaml").read_text()))


# ---- the batching file


@pytest.mark.parametrize(
    ("curve", "size"),
    [
        ({1: 10.0, 2: 19.0, 4: 30.0, 8: 30.0}, 4),
        ({1: 10.0, 2: 19.1, 4: 20.0, 8: 20.0}, 2),  # 0.955 of the best
        ({1: 10.0, 2: 18.9, 4: 20.0, 8: 19.0}, 4),  # 0.945 is not enough, and more is worse
        ({1: 10.0, 2: 9.0}, 1),
    ],
)
def test_the_smallest_batch_that_is_nearly_as_fast(curve: dict[int, float], size: int, tmp_path: Path) -> None:
    assert measure_batching.chosen(curve) == size
    (tmp_path / "batching").write_text(measure_batching.text(curve, 2))
    assert settings.read_batching(tmp_path / "batching") == Batching(size, 4, 1)
    assert f"#   batch   1: {10 / max(curve.values()):.2f}\n" in (tmp_path / "batching").read_text()


def test_the_file_that_is_shipped_is_of_a_curve_with_its_end_in_sight() -> None:
    text = (DEPLOY / "batching.config").read_text()
    curve = {int(size): float(share) for size, share in re.findall(r"^#   batch +(\d+): ([\d.]+)$", text, re.MULTILINE)}
    assert tuple(curve) == measure_batching._SIZES
    assert max(curve, key=lambda size: curve[size]) < max(curve)
    assert measure_batching.text(curve, 2) == text


def test_rates_are_rows_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count()  # a second passes between any two looks at it
    monkeypatch.setattr(measure_batching.time, "perf_counter", lambda: float(next(clock)))
    assert measure_batching.rates(lambda _: None, 3) == {size: float(size) for size in measure_batching._SIZES}


def test_the_photo_to_measure_with(tmp_path: Path, compose_into: Any) -> None:
    release.push(tmp_path, compose_into)
    assert measure_batching._photo((tmp_path / "1" / release.WARM_UP).read_bytes()) == drawn.photo(0)


# ---- the image


def test_a_subset_of_a_lock_keeps_versions_and_hashes() -> None:
    lock = "# made\na-b==1 \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\n    # via x\nb==2 \\\n    --hash=sha256:3\nc==3\n"
    assert subset(lock, ["b"]) == "b==2 \\\n    --hash=sha256:3\n"
    assert subset(lock, ["c", "a-b"]) == "c==3\na-b==1 \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\n    # via x\n"
    with pytest.raises(KeyError):
        subset(lock, ["a"])


def test_the_images_packages_are_all_in_the_lock_and_need_no_other() -> None:
    """Their declared requirements are among them, but for those that TensorFlow is served without."""
    from importlib import metadata

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    names = (DEPLOY / "packages.txt").read_text().split()
    assert subset((ROOT / "requirements.lock").read_text(), names).count("==") == len(names)
    unneeded = {"tensorboard", "libclang", "tensorflow-io-gcs-filesystem"}
    for name in names:
        needed = [Requirement(one) for one in metadata.requires(name) or []]
        here = {canonicalize_name(one.name) for one in needed if not one.marker or one.marker.evaluate({"extra": ""})}
        assert here - unneeded <= set(names), name


@pytest.mark.slow
def test_the_server_imports_nothing_that_the_image_lacks() -> None:
    """In a process that hides every other package, `models` and `serving` as the image has them."""
    names = set((DEPLOY / "packages.txt").read_text().split())
    code = f"""
import importlib.abc, importlib.metadata, sys
from packaging.utils import canonicalize_name
tops = importlib.metadata.packages_distributions()
class Hide(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        owners = tops.get(name)
        if path is None and owners and not {{canonicalize_name(one) for one in owners}} & {names | {"m3net"}!r}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Hide())
import serving.serve, serving.deploy.healthy
from scann.scann_ops.py import scann_ops_pybind
print("all there", "keras" in sys.modules, "models.trainer" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("all there")


# ---- docs/deploy.md


def test_the_document_names_what_there_is() -> None:
    text = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    for path in re.findall(r"`((?:serving/deploy|kubernetes)/[\w./-]+\.\w+)`", text):
        assert (ROOT / path).is_file() or (DEPLOY / path).is_file(), path
    for line in re.findall(r"^m3net serve .*$", text, re.MULTILINE):
        from pipeline.options import parser

        parser().parse_args(line.split()[1:])
