"""Ingestion through Beam's own job service, over its protocol, gives the direct runner's records."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.sample.catalogue import draw_sample
from tests.cluster.flink import free_port, wait
from tests.cluster.records import ingested
from tests.cluster.steps import ingest
from tests.components.direct import ONE

pytestmark = pytest.mark.slow


@pytest.fixture
def job_service() -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "apache_beam.runners.portability.local_job_service_main", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers() -> bool:
        with socket.socket() as asked:
            return asked.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait("Beam's job service", answers, 120)
        yield f"localhost:{port}"
    finally:
        process.kill()
        process.wait()


def test_the_records_are_the_direct_runners(job_service: str, tmp_path: Path) -> None:
    draw_sample(tmp_path / "photos", photos=30, seed=0)
    catalogue = str(tmp_path / "photos" / "catalogue.csv")
    ingest(ONE, catalogue, str(tmp_path / "direct"))
    portable = ["--runner=PortableRunner", f"--job_endpoint={job_service}", "--environment_type=LOOPBACK", "--beam_plugins=tfx"]
    ingest(portable, catalogue, str(tmp_path / "portable"))
    found = ingested(tmp_path / "portable")
    assert found == ingested(tmp_path / "direct")
    assert sum(sum(records.values()) for records in found[0].values()) == 30
