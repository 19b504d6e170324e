"""Ingestion, embedding and evaluation on a real Flink, held record by record against the direct runner's."""

import csv
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.cluster import parts
from tests.cluster.flink import LOOPBACK, Cluster, wait
from tests.cluster.records import embeddings, ingested
from tests.components.direct import ONE

ROOT = Path(__file__).resolve().parents[2]
COPIES = 60  # of every photo, in the job that is long enough to be hit


def start(step: str, **arguments: Any) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.cluster.steps", step, json.dumps(arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: "subprocess.Popen[str]", seconds: float = 500) -> None:
    try:
        said = process.communicate(timeout=seconds)[0]
    finally:
        process.kill()
    assert process.returncode == 0, said[-3000:]


def run(step: str, **arguments: Any) -> None:
    finish(start(step, **arguments))


class Direct:
    """Catalogue, untrained model, and what the direct runner makes of them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.model = folder, folder / "model"
        subprocess.run(
            [sys.executable, "-m", "pipeline.cli", "sample", str(folder / "photos"), "--photos", "80"], cwd=ROOT, check=True
        )
        self.catalogue = folder / "photos" / "catalogue.csv"
        self.steps(ONE, folder)

    def steps(self, args: list[str], output: Path) -> None:
        """The three steps on the same inputs, whoever runs them: only then must outputs agree to the last bit."""
        run("ingest", args=args, catalogue=str(self.catalogue), output=str(output / "ingested"))
        if not self.model.exists():
            self._save_model()
        same = {"args": args, "examples": str(self.folder / "ingested" / "examples"), "model": str(self.model)}
        run("embed", **same, output=str(output / "embedder" / "embeddings" / "1"))
        run("evaluate", **same, embeddings=str(self.folder / "embedder" / "embeddings" / "1"), output=str(output / "evaluated"))

    def made(self, output: Path) -> list[Any]:
        results = json.loads((output / "evaluated" / "evaluation" / "results.json").read_text())
        return [*ingested(output / "ingested"), embeddings(output / "embedder" / "embeddings" / "1"), results]

    def _save_model(self) -> None:
        from models import systems
        from models.recipe import ModelConfig
        from models.taxonomy import Taxonomy
        from models.trainer import MODEL_FILE

        self.model.mkdir()
        taxonomy = Taxonomy.load(self.folder / "ingested" / "examples")
        systems.save(systems.build(ModelConfig(image_size=32), taxonomy), self.model / MODEL_FILE)


@pytest.fixture(scope="module")
def direct(tmp_path_factory: pytest.TempPathFactory) -> Direct:
    return Direct(tmp_path_factory.mktemp("direct"))


@pytest.fixture(scope="module")
def flink_args(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    worker = tmp_path_factory.mktemp("worker") / "worker"
    worker.write_text(f'#!/bin/sh\ncd {ROOT} && exec {sys.executable} -m pipeline.beam_worker "$@"\n')
    worker.chmod(0o755)
    config = json.dumps({"command": str(worker)})
    chosen = ["--runner=FlinkRunner", f"--flink_job_server_jar={parts.job_server()}", "--parallelism=2"]
    return [*chosen, "--environment_type=PROCESS", f"--environment_config={config}", "--beam_plugins=tfx"]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(parts.flink(), tmp_path / "flink") as started:
        yield started


def test_the_mini_cluster_gives_the_direct_runners_records(direct: Direct, flink_args: list[str], tmp_path: Path) -> None:
    direct.steps([*flink_args, "--flink_master=[local]"], tmp_path)
    assert direct.made(tmp_path) == direct.made(direct.folder)


def test_two_task_managers_give_the_direct_runners_records(
    direct: Direct, flink_args: list[str], cluster: Cluster, tmp_path: Path
) -> None:
    direct.steps([*flink_args, f"--flink_master={cluster.address}"], tmp_path)
    assert direct.made(tmp_path) == direct.made(direct.folder)
    states = Counter(job["state"] for job in cluster.ask("/jobs/overview")["jobs"])
    assert set(states) == {"FINISHED"}
    assert states["FINISHED"] >= 4  # ingestion, embedding, and two of evaluation: the model and its baseline
    assert listening(cluster) <= {LOOPBACK, "::1", "::ffff:127.0.0.1"}


def test_a_task_manager_killed_in_the_middle_changes_nothing(
    direct: Direct, flink_args: list[str], cluster: Cluster, tmp_path: Path
) -> None:
    catalogue = repeated(direct.catalogue, tmp_path / "catalogue.csv")
    run("ingest", args=ONE, catalogue=str(catalogue), output=str(tmp_path / "direct"))
    args = [*flink_args, f"--flink_master={cluster.address}"]
    job = start("ingest", args=args, catalogue=str(catalogue), output=str(tmp_path / "hit"))
    try:
        name = wait("a photo read on two task managers", lambda: reading_photos(cluster), 240)
        killed = cluster.kill_worker()
        assert cluster.ask(f"/jobs/{name}")["state"] == "RUNNING", f"the kill of {killed} came too late"
    except BaseException:
        job.kill()
        raise
    finish(job)
    ended = cluster.ask(f"/jobs/{name}")
    assert ended["state"] == "FINISHED"
    assert cluster.ask("/overview")["taskmanagers"] == 1
    assert ended["timestamps"]["RESTARTING"] > 0 or restarted(cluster, name), "the kill hit no task"
    assert ingested(tmp_path / "hit") == ingested(tmp_path / "direct")


def repeated(catalogue: Path, output: Path) -> Path:
    """The same photos `COPIES` times, each row with an id of its own."""
    with catalogue.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with output.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", *(key for key in rows[0] if key not in ("id", "group"))])
        writer.writeheader()
        for copy in range(COPIES):
            for row in rows:
                image = str((catalogue.parent / row["image"]).resolve())
                kept = {key: value for key, value in row.items() if key in writer.fieldnames}
                writer.writerow(kept | {"image": image, "id": f"{copy} {row['image']}"})
    return output


def reading_photos(cluster: Cluster) -> str:
    """The running job's name once its photos are being read on both task managers."""
    for job in cluster.ask("/jobs/overview").get("jobs", []):
        for vertex in cluster.ask(f"/jobs/{job['jid']}").get("vertices", []):
            if "Decode" not in vertex["name"] or vertex["status"] != "RUNNING":
                continue
            subtasks = cluster.ask(f"/jobs/{job['jid']}/vertices/{vertex['id']}").get("subtasks", [])
            # Read by Flink; a bundle of a batch job goes on until its input ends.
            busy = {one["taskmanager-id"] for one in subtasks if one["status"] == "RUNNING" and one["metrics"]["read-records"]}
            if len(busy) == 2:
                return str(job["jid"])
    return ""


def restarted(cluster: Cluster, job: str) -> bool:
    return bool(cluster.ask(f"/jobs/{job}/exceptions")["exceptionHistory"]["entries"])


def listening(cluster: Cluster) -> set[str]:
    """The addresses that Flink's processes, and the workers they started, listen on."""
    found = [psutil.Process(one.pid) for one in cluster.processes if one.poll() is None]
    found += [child for one in found for child in one.children(recursive=True)]
    return {port.laddr.ip for one in found for port in one.net_connections("tcp") if port.status == psutil.CONN_LISTEN}
