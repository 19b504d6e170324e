"""The compiled package runs, step by step as containers would, and comes to the release of a local run.

In `make test-long` one step runs by its own command, the others forked; M3NET_REAL_STEPS=1, as `make test-kubeflow` sets it,
runs every step by its command, in a process of its own that imports all it needs.
"""

import json
import os
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from pipeline.cluster import STEPS
from serving.release import verify, versions
from tests.e2e.conftest import QUICK, m3net
from tests.e2e.kfp_backend import Backend

pytestmark = pytest.mark.long
REAL = set(STEPS) if os.environ.get("M3NET_REAL_STEPS") else {"Recall"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def backend(catalogue: Path, cluster: Path) -> Backend:
    """One run: CatalogueGen's default path is wrong on purpose, for a run gives its own."""
    package, volume = cluster / "m3net.yaml", cluster / "volume"
    parts = ("image=m3net:test", f"artifacts={volume}/artifacts", f"volumes={{m3net-releases: {volume}}}")
    settings = [
        *(f"kubeflow.{one}" for one in parts),
        f"release.folder={volume}/releases",
        "data.name=photos",
        "kubeflow.log_format=json",
        "training.epochs=9",
    ]
    options = [word for one in settings for word in ("--set", one)]
    m3net("compile", "--catalogue", "/nowhere/catalogue.csv", "-o", str(package), *QUICK[2:], *options)
    backend = Backend(cluster / "tmp")
    backend.run(package, "1", {"catalogue": str(catalogue), "version": "one", "epochs": 1}, REAL)
    return backend


def lines(backend: Backend, step: str) -> list[dict[str, Any]]:
    """What the step said as JSON. What TensorFlow's C++ and, in a forked process, absl's first handler write is none."""
    return [json.loads(line) for line in backend.said[step].splitlines() if line.startswith("{")]


def _embeddings(folder: Path) -> list[dict[str, Any]]:
    rows = ds.dataset(folder, format="parquet").to_table().to_pylist()
    return sorted(rows, key=lambda row: (row["split"], row["id"], row["attribute"]))


def test_it_comes_to_the_release_of_a_local_run(backend: Backend, cluster: Path, output: Path) -> None:
    releases = cluster / "volume" / "releases"
    assert versions(releases) == [1]
    ours, local = verify(releases / "1"), verify(output / "releases" / "1")
    assert (ours.system, ours.taxonomy, ours.counts, ours.metrics) == (
        local.system,
        local.taxonomy,
        local.counts,
        local.metrics,
    )
    here = next((output / "tfx" / "artifacts" / "Embedder" / "embeddings").iterdir())
    there = cluster / "volume" / "artifacts" / backend.outputs["Embedder"]["embeddings"]["uri"].partition("://")[2]
    assert _embeddings(there) == _embeddings(here)
    index = Path("assets.extra") / "index"
    files = sorted(one.relative_to(releases / "1") for one in (releases / "1" / index).rglob("*") if one.is_file())
    assert files == sorted(
        one.relative_to(output / "releases/1") for one in (output / "releases/1" / index).rglob("*") if one.is_file()
    )
    vectors = [one for one in files if one.suffix == ".npy"]
    assert vectors
    assert all((releases / "1" / one).read_bytes() == (output / "releases/1" / one).read_bytes() for one in vectors)


def test_what_a_step_says_names_the_run_and_the_step(backend: Backend) -> None:
    said = lines(backend, "Trainer")
    assert any("epoch 1/1" in one["message"] for one in said)
    assert {(one["run"], one["component"]) for one in said} == {("1", "Trainer")}
    if len(REAL) > 1:
        assert len(said) == len(backend.said["Trainer"].splitlines())


def test_what_a_run_leaves_is_found_by_the_next(backend: Backend, cluster: Path, catalogue: Path) -> None:
    """As the next night would, but for what the catalogue's version alone makes anew."""
    first = backend.outputs["Recall"]
    assert first["model"]["metadata"]["absent"] == first["statistics"]["metadata"]["absent"] == 1.0
    memory = cluster / "volume" / "releases" / ".memory"
    assert [one.name for one in (memory / "model").glob("*/*")] == ["model.keras"]
    assert {one.name for one in (memory / "statistics").glob("*/*")} == {"Split-train", "Split-valid", "Split-test"}
    before, parameters = dict(backend.outputs), {"catalogue": str(catalogue), "version": "two"}
    anew = {"Recall", "LabelValidator", "RetrievalEvaluator", "Remember"}
    backend.run(cluster / "m3net.yaml", "2", parameters, REAL if len(REAL) > 1 else frozenset(), anew)
    assert "absent" not in backend.outputs["Recall"]["model"]["metadata"]
    assert backend.outputs["Embedder"] == before["Embedder"]
    evaluation = cluster / "volume/artifacts" / backend.outputs["RetrievalEvaluator"]["evaluation"]["uri"].partition("://")[2]
    assert json.loads((evaluation / "verdict.json").read_text())["reason"] != _reason(cluster, before)
    assert len(list((memory / "model").iterdir())) == 1


def _reason(cluster: Path, outputs: dict[str, Any]) -> str:
    folder = cluster / "volume/artifacts" / outputs["RetrievalEvaluator"]["evaluation"]["uri"].partition("://")[2]
    return str(json.loads((folder / "verdict.json").read_text())["reason"])


def test_a_users_mistake_in_a_step_is_one_line(backend: Backend, cluster: Path, tmp_path: Path) -> None:
    (tmp_path / "catalogue.csv").write_text("image,split,neckline\n")
    parameters = {"catalogue": str(tmp_path / "catalogue.csv"), "version": "three"}
    with pytest.raises(AssertionError, match="CatalogueGen: exit 2"):
        backend.run(cluster / "m3net.yaml", "3", parameters, REAL, anew={"CatalogueGen"})
    (line,) = (one for one in lines(backend, "CatalogueGen") if one["message"].startswith("m3net"))
    assert line["message"].startswith("m3net CatalogueGen: ")
    assert "has no row" in line["message"]
    assert (line["run"], line["component"]) == ("3", "CatalogueGen")
    assert "Traceback" not in backend.said["CatalogueGen"]
