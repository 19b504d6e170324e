"""A run on this machine: TFX's local runner, metadata in SQLite, and a summary in plain words."""

import csv
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config import Config
from pipeline.lock import exclusive
from pipeline.progress import log_to, quiet


@dataclass(frozen=True)
class Outcome:
    """What a run came to. `release` is None where the model was not pushed; `reason` says why it was or was not."""

    results: dict[str, Any]
    blessed: bool
    reason: str
    release: int | None
    ran: tuple[str, ...]
    cached: tuple[str, ...]
    rejected: int
    rejects: Path  # the folder that lists them


@dataclass(frozen=True)
class Ingested:
    """What a run of the labels alone came to: rows by split and role ("" in train), and what was refused."""

    counts: dict[tuple[str, str], int]
    rejected: int
    examples: Path


def run(config: Config, output: Path) -> Outcome:
    """Runs the whole pipeline into `output`: tfx/, releases/, results.json, m3net.log.

    Raises: InputError, also where another run writes there.
    """
    with exclusive(output):
        connection, progress = _execute(config, output)
        return _outcome(connection, output, progress.ran, progress.cached)


def run_evaluation(config: Config, output: Path) -> tuple[dict[str, Any], float | None]:
    """Runs the pipeline up to the evaluation. Returns: results.json, and the best validation MAP, None without validation."""
    connection, _ = _execute(config, output, release=False)
    evaluation, history = (
        Path(_last_output(connection, *of).uri) for of in (("RetrievalEvaluator", "evaluation"), ("Trainer", "model_run"))
    )
    results = json.loads((evaluation / "results.json").read_text(encoding="utf-8"))
    with (history / "history.csv").open(newline="") as file:
        maps = [float(row["valid_map"]) for row in csv.DictReader(file) if row.get("valid_map")]
    return results, max(maps, default=None)


def run_labels(config: Config, output: Path) -> Ingested:
    """`run` for a configuration with `data.labels_only`. Raises: InputError."""
    with exclusive(output):
        connection, _ = _execute(config, output)
    from pyarrow import dataset

    examples = Path(_last_output(connection, "CatalogueGen", "examples").uri)
    table = (
        dataset.dataset(examples / "items")
        .to_table(["split", "role"])
        .group_by(["split", "role"])
        .aggregate([([], "count_all")])
    )
    counts = {(row["split"], row["role"]): row["count_all"] for row in table.to_pylist()}
    return Ingested(counts, json.loads((examples / "counts.json").read_text()).get("rejected", 0), examples)


def _execute(config: Config, output: Path, release: bool = True) -> tuple[Any, Any]:
    """The connection to the metadata, and the progress with what ran and what was cached."""
    quiet()
    from components.catalogue_gen.readers.reader import reader_of
    from pipeline import runners
    from pipeline.fingerprint import fingerprint

    runners.require(config.beam.args)
    reader_of(config.data.format).columns(config.data.catalogue)  # half a minute before TFX is loaded
    progress = log_to(output / "m3net.log")
    version = fingerprint(config.data.catalogue, config.data.format)

    from tfx import v1 as tfx
    from tfx.orchestration import metadata

    from pipeline.create import create_pipeline

    database = output / "tfx" / "metadata.sqlite"
    database.parent.mkdir(parents=True, exist_ok=True)
    connection = metadata.sqlite_metadata_connection_config(str(database))
    pipeline = create_pipeline(
        config,
        root=str(output / "tfx" / "artifacts"),
        releases=config.release.folder or str(output / "releases"),
        version=version,
        metadata=connection,
        release=release,
    )
    tfx.orchestration.LocalDagRunner().run(pipeline)
    return connection, progress


def _outcome(connection: Any, output: Path, ran: list[str], cached: list[str]) -> Outcome:
    evaluation = Path(_last_output(connection, "RetrievalEvaluator", "evaluation").uri)
    shutil.copyfile(evaluation / "results.json", output / "results.json")
    verdict = json.loads((evaluation / "verdict.json").read_text(encoding="utf-8"))
    pushed = _last_output(connection, "Releaser", "pushed_model")
    infra = _last_output(connection, "ReleaseValidator", "blessing")
    examples = Path(_last_output(connection, "CatalogueGen", "examples").uri)
    counts = json.loads((examples / "counts.json").read_text())
    reason = infra.custom_properties["reason"].string_value or verdict["reason"]
    version = pushed.custom_properties["pushed_version"].string_value
    return Outcome(
        results=json.loads((output / "results.json").read_text(encoding="utf-8")),
        blessed=verdict["blessed"],
        reason=reason,
        release=int(version) if version else None,
        ran=tuple(ran),
        cached=tuple(cached),
        rejected=counts.get("rejected", 0),
        rejects=examples / "rejects",
    )


def _last_output(connection: Any, node: str, key: str) -> Any:
    """The artifact that the last execution of `node` gave under `key`, run or cached."""
    import ml_metadata as mlmd

    store = mlmd.MetadataStore(connection)
    kinds = [kind.name for kind in store.get_execution_types() if kind.name.split(".")[-1] == node]
    last = max((e for kind in kinds for e in store.get_executions_by_type(kind)), key=lambda e: e.id)
    events = [e for e in store.get_events_by_execution_ids([last.id]) if e.path.steps and e.path.steps[0].key == key]
    return store.get_artifacts_by_id([events[-1].artifact_id])[0]
