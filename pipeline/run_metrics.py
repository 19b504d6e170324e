"""metrics.prom in a run's folder: what it came to, for the textfile collector of Prometheus' node exporter.

Written whole and renamed, as that collector asks for; after a run that failed too, when the time of the last good one stays.
"""

import csv
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.errors import InputError
from pipeline.lineage import Lineage

FILE = "metrics.prom"
_LAST = "m3net_run_last_success_timestamp_seconds"
_HELP = {
    "m3net_run_info": "Which run this is; always 1.",
    "m3net_run_success": "Whether it came to its end, released or not.",
    "m3net_run_start_timestamp_seconds": "When it started.",
    "m3net_run_end_timestamp_seconds": "When it ended.",
    _LAST: "When a run last came to its end.",
    "m3net_component_seconds": "How long the component took in this run; from cache next to nothing.",
    "m3net_component_cached": "Whether its answer came from cache.",
    "m3net_component_failed": "Whether it failed.",
    "m3net_catalogue_rows": "Rows of the catalogue by split, rejected ones among them.",
    "m3net_training_epochs": "Epochs of the training that the model came from.",
    "m3net_training_loss": "Loss of its last epoch.",
    "m3net_training_valid_map": "MAP of the best epoch on the split valid, a fraction.",
    "m3net_training_images_per_second": "Of its last epoch.",
    "m3net_map": "MAP@all on the split test, a fraction; of all attributes as overall.",
    "m3net_blessed": "Whether the model passed its thresholds.",
    "m3net_release_version": "The version that the run stands behind; 0 where it released none.",
}

Sample = tuple[str, dict[str, str], float]


def write(folder: Path, run: str, started: float, success: bool) -> Path:
    """Writes `folder`/metrics.prom for the run called `run`, which began at `started` (Unix seconds). Returns: the file."""
    samples: list[Sample] = [
        ("m3net_run_info", {"run": run}, 1),
        ("m3net_run_success", {}, success),
        ("m3net_run_start_timestamp_seconds", {}, started),
        ("m3net_run_end_timestamp_seconds", {}, time.time()),
    ]
    if last := time.time() if success else _before(folder / FILE):
        samples.append((_LAST, {}, last))
    samples += _of_run(Lineage(folder), run)
    partial = folder / f".{FILE}.partial"
    partial.write_text(page(samples), encoding="utf-8")
    partial.replace(folder / FILE)
    return folder / FILE


def page(samples: list[Sample]) -> str:
    """Prometheus' text format, all samples of a metric together."""
    lines = []
    for name, text in _HELP.items():
        found = [(labels, value) for other, labels, value in samples if other == name]
        if found:
            lines += [f"# HELP {name} {text}", f"# TYPE {name} gauge"]
            lines += [f"{name}{_labels(labels)} {float(value)!r}" for labels, value in found]
    return "\n".join(lines) + "\n"


def _labels(labels: dict[str, str]) -> str:
    escaped = {k: v.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for k, v in labels.items()}
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped.items()) + "}" if labels else ""


def _before(file: Path) -> float:
    found = re.search(rf"^{_LAST} (\S+)$", file.read_text(encoding="utf-8"), re.MULTILINE) if file.is_file() else None
    return float(found[1]) if found else 0.0


def _of_run(lineage: Lineage, run: str) -> Iterator[Sample]:
    outputs: dict[tuple[str, str], Any] = {}
    for execution in lineage.executions(run):
        component = lineage.name(execution)
        seconds = (execution.last_update_time_since_epoch - execution.create_time_since_epoch) / 1000
        yield "m3net_component_seconds", {"component": component}, seconds
        yield "m3net_component_cached", {"component": component}, lineage.cached(execution)
        yield "m3net_component_failed", {"component": component}, lineage.failed(execution)
        if not lineage.failed(execution):
            outputs |= {(component, k): a for k, a in lineage.artifacts(execution.id, inputs=False).items()}
    places = {}
    for key, artifact in outputs.items():
        try:
            places[key] = lineage.place(artifact)
        except InputError:  # deleted since: one number fewer
            continue
    yield from _data(places.get(("CatalogueGen", "examples")))
    yield from _training(places.get(("Trainer", "model_run")))
    yield from _quality(places.get(("RetrievalEvaluator", "evaluation")))
    if pushed := outputs.get(("Releaser", "pushed_model")):
        yield "m3net_release_version", {}, float(pushed.custom_properties["pushed_version"].string_value or 0)


def _data(examples: Path | None) -> Iterator[Sample]:
    if examples and (file := examples / "counts.json").is_file():
        counts = {"rejected": 0, **json.loads(file.read_text(encoding="utf-8"))}
        yield from (("m3net_catalogue_rows", {"split": split}, count) for split, count in counts.items())


def _training(run: Path | None) -> Iterator[Sample]:
    if not run or not (run / "history.csv").is_file():
        return
    with (run / "history.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    yield "m3net_training_epochs", {}, len(rows)
    yield from ((f"m3net_training_{key}", {}, float(rows[-1][key])) for key in ("loss", "images_per_second") if rows)
    if maps := [float(row["valid_map"]) for row in rows if row.get("valid_map")]:
        yield "m3net_training_valid_map", {}, max(maps)


def _quality(evaluation: Path | None) -> Iterator[Sample]:
    if not evaluation:
        return
    results = json.loads((evaluation / "results.json").read_text(encoding="utf-8"))
    every = {**results["attributes"], "overall": results["overall"]}
    yield from (("m3net_map", {"attribute": name}, values["map"]) for name, values in every.items())
    yield "m3net_blessed", {}, json.loads((evaluation / "verdict.json").read_text(encoding="utf-8"))["blessed"]
