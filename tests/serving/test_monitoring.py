"""The alert rules and the dashboard: metrics, labels and values that a server really exports, in Prometheus' own language."""

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from serving import release, settings
from serving.call import Code
from serving.client import Client, ClientError
from serving.deploy.healthy import healthy
from tests.serving import drawn

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "serving" / "deploy" / "monitoring"
Exported = dict[str, dict[str, set[str]]]  # of each metric its labels, and of each label its values
PROMTOOL = pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool here; apt-get install prometheus")


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    return list(group["rules"])


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    board = json.loads((MONITORING / "grafana.json").read_text())
    yield from (target["expr"] for panel in board["panels"] for target in panel["targets"])


def labels_of(text: str) -> dict[str, str]:
    return dict(re.findall(r'(\w+)="([^"]*)"', text))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, compose_into: Any) -> str:
    """The metrics of a real server that has answered and refused over gRPC and over REST."""
    folder, port = tmp_path_factory.mktemp("exported"), drawn.free_port()
    release.push(folder, compose_into)
    running = drawn.Running(folder, "--rest_api_port", str(port))
    at = f"http://127.0.0.1:{port}"
    try:
        address = running.said(r"^serving m3net version 1 on (\S+)$").group(1)
        assert healthy(address)
        assert healthy(address, "m3net")
        with Client(address) as client:
            client.classify(drawn.photo(1))
            with pytest.raises(ClientError):
                client.classify(b"no photo")
        body = {"signature_name": "search_by_id", "inputs": {"id": ["v1-3"], "attribute": ["pocket"], "k": 3}}
        urllib.request.urlopen(f"{at}/v1/models/m3net:predict", json.dumps(body).encode(), timeout=10).read()
        read: str = urllib.request.urlopen(f"{at}{settings.METRICS_PATH}", timeout=10).read().decode()
    finally:
        running.end()
    assert not healthy(address)
    return read


@pytest.fixture(scope="module")
def exported(page: str) -> Exported:
    found: Exported = {}
    for name, labels in re.findall(r"^([\w:]+)\{(.*)\} \S+$", page, re.MULTILINE):
        for label, value in labels_of(labels).items():
            found.setdefault(name, {}).setdefault(label, set()).add(value)
    # Codes of mishaps that no test brings about at will; `test_alerts_watch_codes_there_are` holds them.
    found[":tensorflow:serving:request_count"]["status"] |= {code.name for code in Code}
    return found


def unknown(expression: str, exported: Exported) -> list[str]:
    """What an expression names and no server exports: metrics, labels, values."""
    found = []
    for name, matchers in re.findall(r"(:[\w:]+|\bup\b)(\{[^}]*\})?", expression):
        labels = exported.get(name, {})
        found += [] if labels else [name]
        for label, values in labels_of(matchers.replace("=~", "=")).items():
            found += [f"{name}{{{label}={one}}}" for one in values.split("|") if one not in labels.get(label, ())]
        for grouped in re.findall(r"\bby \(([^)]*)\)", expression):
            found += [f"{name} by {one}" for one in re.split(r",\s*", grouped) if one not in labels]
    return found


def test_alerts_and_dashboard_name_what_the_server_exports(exported: Exported) -> None:
    jobs = {one["job_name"] for one in yaml.safe_load((MONITORING / "prometheus.yaml").read_text())["scrape_configs"]}
    known = {**exported, "up": {"job": jobs}}  # Prometheus' own
    assert {expression: unknown(expression, known) for expression in expressions()} == {one: [] for one in expressions()}
    assert sum(one.count(":tensorflow:serving:") + one.count(":m3net:") for one in expressions()) >= 15


def test_a_name_or_value_that_is_not_exported_would_be_noticed(exported: Exported) -> None:
    latency, counts = ":tensorflow:serving:request_latency_bucket", ":tensorflow:serving:request_count"
    assert unknown(f'rate({latency}{{entrypoint="Predict"}}[5m])', exported) == [f"{latency}{{entrypoint=Predict}}"]
    assert unknown(f'rate({counts}{{status=~"OK|GONE"}}[5m])', exported) == [f"{counts}{{status=GONE}}"]
    assert unknown(f"sum by (API) (rate({counts}[5m]))", exported) == [f"{counts} by API"]
    assert unknown(":m3net:x > 1", exported) == [":m3net:x"]


def test_alerts_watch_codes_there_are() -> None:
    codes = {one for text in expressions() for found in re.findall(r'status=~?"([^"]+)"', text) for one in found.split("|")}
    assert codes <= {code.name for code in Code}
    assert {"INTERNAL", "RESOURCE_EXHAUSTED"} <= codes


def test_every_alert_says_what_is_wrong() -> None:
    for rule in rules():
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]


def test_the_document_names_what_the_server_exports(exported: Exported) -> None:
    text = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| `(:[\w:]+)` \| (.*?) \|", text, re.MULTILINE))
    there = {re.sub(r"_(bucket|sum|count)$", "", name) if "request_count" not in name else name for name in exported}
    assert set(table) == there
    for name, labels in table.items():
        of = exported.get(name) or exported[f"{name}_sum"]
        assert set(re.findall(r"`(\w+)`", labels)) == set(of), name


# ---- asked of Prometheus itself


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@PROMTOOL
def test_prometheus_reads_every_file_and_expression(tmp_path: Path) -> None:
    promtool("check", "rules", MONITORING / "alerts.yaml")
    promtool("check", "config", "--syntax-only", MONITORING / "prometheus.yaml")
    panels = [one.replace("$__rate_interval", "5m") for one in expressions()]
    recorded = [{"record": f"panel:{place}", "expr": one} for place, one in enumerate(panels)]
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))
    promtool("check", "rules", tmp_path / "panels.yaml")


def grown(page: str, seconds: float) -> Iterator[dict[str, str]]:
    """The series of `page` as Prometheus would have read them, every minute, while each Predict took `seconds`."""
    for name, labels in re.findall(r"^(:tensorflow:serving:request_latency_bucket)\{(.*)\} \S+$", page, re.MULTILINE):
        above = float(labels_of(labels)["le"]) >= seconds * 1e6
        yield {"series": f'{name}{{{labels},instance="a:8501",job="m3net"}}', "values": f"0+{60 if above else 0}x30"}


@PROMTOOL
@pytest.mark.parametrize(("seconds", "fires"), [(3.0, True), (0.1, False)])
def test_slow_answers_raise_the_alert(page: str, tmp_path: Path, seconds: float, fires: bool) -> None:
    (rule,) = (one for one in rules() if one["alert"] == "M3netSlow")
    told = {"summary": rule["annotations"]["summary"].replace("{{ $labels.model_name }}", "m3net")}
    alert = {"exp_labels": {**rule["labels"], "model_name": "m3net"}, "exp_annotations": told}
    test = {
        "interval": "1m",
        "input_series": list(grown(page, seconds)),
        "alert_rule_test": [{"eval_time": "20m", "alertname": "M3netSlow", "exp_alerts": [alert] if fires else []}],
    }
    asked = {"rule_files": [str(MONITORING / "alerts.yaml")], "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "asked.yaml").write_text(yaml.safe_dump(asked))
    promtool("test", "rules", tmp_path / "asked.yaml")
