"""What an operator sees of a run: metrics.prom, JSON logs, a failure with its component; and the pages' commands are true."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from serving.release import read_manifest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
# Prometheus' text format: a comment, or a name, labels with escaped values, and a number.
LINE = re.compile(
    r'(# (HELP|TYPE) m3net_\w+ .+|m3net_[a-z_]+(\{\w+="([^"\\\n]|\\["\\n])*"(,\w+="[^"]*")*\})? -?[\d.]+(e[+-]?\d+)?)'
)


def test_metrics_of_a_run_are_in_prometheus_format_and_agree_with_its_results(watched: tuple[Path, str, str]) -> None:
    output, metrics, _ = watched
    lines = metrics.splitlines()
    assert all(LINE.fullmatch(line) for line in lines), [line for line in lines if not LINE.fullmatch(line)]
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    results = json.loads((output / "results.json").read_text())
    assert float(values['m3net_map{attribute="overall"}']) == results["overall"]["map"]
    assert float(values['m3net_catalogue_rows{split="train"}']) == 52
    assert float(values["m3net_release_version"]) == 1
    assert float(values["m3net_run_success"]) == 1
    assert float(values['m3net_component_seconds{component="Trainer"}']) >= 0
    start, end, last = (float(values[f"m3net_run_{one}_timestamp_seconds"]) for one in ("start", "end", "last_success"))
    assert start < end == pytest.approx(last, abs=1)


def test_every_line_of_a_run_and_its_server_is_json_with_the_run(watched: tuple[Path, str, str]) -> None:
    output, _, said = watched
    lines = [json.loads(line) for line in said.splitlines()]
    assert {one["component"] for one in lines if "component" in one} >= {"CatalogueGen", "Trainer", "Releaser"}
    assert len({one["run"] for one in lines if "run" in one}) == 1
    command = [sys.executable, "-m", "serving.serve", str(output / "releases"), "--port", "0", "--log-format", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        first = json.loads(server.stdout.readline())
        server.terminate()
    assert first["version"] == 1
    assert first["run"] == read_manifest(output / "releases" / "1").run


def test_a_failure_names_component_input_and_what_to_do(catalogue: Path, tmp_path: Path) -> None:
    (tmp_path / "schema.pbtxt").write_text("no schema {")
    (tmp_path / "out").mkdir()  # where a run came through once, which the failed one's metrics still say
    (tmp_path / "out" / "metrics.prom").write_text("m3net_run_last_success_timestamp_seconds 1700000000.5\n")
    command = ["run", "--catalogue", str(catalogue), "--output", str(tmp_path / "out"), "--set",
               f"validation.schema={tmp_path}/schema.pbtxt"]  # fmt: skip
    done = subprocess.run([sys.executable, "-m", "pipeline.cli", *command], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert "m3net run: ImportSchemaGen, which read " in last
    assert "run again, what is finished is kept" in last
    text = (tmp_path / "out" / "metrics.prom").read_text()
    assert "m3net_run_success 0.0" in text
    assert "\nm3net_run_last_success_timestamp_seconds 1700000000.5\n" in text
    assert 'm3net_component_failed{component="ImportSchemaGen"} 1.0' in text


@pytest.mark.parametrize("page", ["provenance", "observability"])
def test_the_commands_of_the_pages_work(page: str, output: Path, catalogue: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "first").symlink_to(output)
    (tmp_path / "photos").symlink_to(catalogue.parent)
    (tmp_path / "m3net").write_text(f'#!/bin/sh\nexec {sys.executable} -m pipeline.cli "$@"\n')
    (tmp_path / "m3net").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-e", "-c", "\n".join(blocks)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert blocks
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
