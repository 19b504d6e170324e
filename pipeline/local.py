"""A run on this machine: TFX's local runner, its metadata, and a summary in plain words."""

import csv
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import InputError
from models.backend import choose
from pipeline import steps
from pipeline.config import Config
from pipeline.lock import exclusive
from pipeline.progress import Progress, log_to, quiet

_EXAMPLES, _EVALUATION = ("CatalogueGen", "examples"), ("RetrievalEvaluator", "evaluation")
_EVALUATED = ("RetrievalEvaluator", "ReleaseValidator", "Releaser")  # after one of them there are results


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    `results` is None where it ended before them, as it was asked to. `release` is None where the model was not pushed;
    `reason` says why it was or was not, and is empty where that was not asked for.
    """

    results: dict[str, Any] | None
    reason: str
    release: int | None
    rejected: int
    rejects: Path  # the folder that lists them
    time: str  # in words
    seconds: dict[str, float]  # inside each component that ran


@dataclass(frozen=True)
class Ingested:
    """What a run of the labels alone came to: rows by split and role ("" in train), and what was refused."""

    counts: dict[tuple[str, str], int]
    rejected: int
    examples: Path


def run(config: Config, output: Path, first: str = "", last: str = "") -> Outcome:
    """Runs the whole pipeline into `output`: tfx/, releases/, results.json, m3net.log.

    Args: first, last: steps of `steps.names`; the first runs anew with all that follows from it, and after the last it ends.
    Raises: ConfigError for steps that cannot be chosen; InputError, also where another run writes there.
    """
    steps.require(config, first, last)
    if first and not (output / "tfx").is_dir():
        raise InputError(f"--from {first}: {output} holds no run whose earlier steps could be taken; leave --from out")
    with exclusive(output):
        progress = _execute(config, output, first=first, last=last)
        return _outcome(output, progress, last)


def run_evaluation(config: Config, output: Path) -> tuple[dict[str, Any], float | None]:
    """Runs the pipeline up to the evaluation. The caller holds the folder's lock, over all runs of its study.

    Returns: results.json, and the best validation MAP, None without validation.
    """
    _execute(config, output, release=False)
    evaluation, history = (Path(_made(output, *of).uri) for of in (_EVALUATION, ("Trainer", "model_run")))
    results = json.loads((evaluation / "results.json").read_text(encoding="utf-8"))
    with (history / "history.csv").open(newline="") as file:
        maps = [float(row["valid_map"]) for row in csv.DictReader(file) if row.get("valid_map")]
    return results, max(maps, default=None)


def run_labels(config: Config, output: Path, first: str = "", last: str = "") -> Ingested:
    """`run` for a configuration with `data.labels_only`."""
    steps.require(config, first, last)
    with exclusive(output):
        _execute(config, output, first=first, last=last)
    from pyarrow import dataset

    examples = Path(_made(output, *_EXAMPLES).uri)
    table = (
        dataset.dataset(examples / "items")
        .to_table(["split", "role"])
        .group_by(["split", "role"])
        .aggregate([([], "count_all")])
    )
    counts = {(row["split"], row["role"]): row["count_all"] for row in table.to_pylist()}
    return Ingested(counts, json.loads((examples / "counts.json").read_text()).get("rejected", 0), examples)


def pipeline_of(config: Config, output: Path, release: bool = True) -> Any:
    """The pipeline of a run into `output`, for `RecordedRunner`. Its catalogue is read, and its database tried.

    Raises: InputError where one of them cannot be used, TrainingError where the backend is not installed.
    """
    from pipeline import metadata
    from pipeline.fingerprint import fingerprint

    choose(config.training.backend)  # of all steps: they share this process
    version = fingerprint(config.data.catalogue, config.data.format)
    connection = metadata.prepare(config.metadata, output)

    from pipeline.create import create_pipeline
    from pipeline.recorded import ARTIFACTS

    return create_pipeline(
        config,
        root=str(output / ARTIFACTS),
        releases=config.release.folder or str(output / "releases"),
        version=version,
        metadata=connection,
        release=release,
    )


def _execute(config: Config, output: Path, release: bool = True, first: str = "", last: str = "") -> Progress:
    """The progress, with what ran and what was cached."""
    quiet()
    from components.catalogue_gen.readers.reader import reader_of
    from pipeline import runners

    runners.require(config.beam.args)
    reader_of(config.data.format, config.data.catalogue).columns(config.data.catalogue)  # half a minute before TFX is loaded
    progress = log_to(output / "m3net.log")
    pipeline = pipeline_of(config, output, release)

    from tfx.dsl.compiler import compiler

    from pipeline.recorded import RecordedRunner

    ir = compiler.Compiler().compile(pipeline)
    steps.select(ir, first, last)
    RecordedRunner(config, output).run_with_ir(ir)
    return progress


def _outcome(output: Path, progress: Progress, last: str) -> Outcome:
    examples = Path(_made(output, *_EXAMPLES).uri)
    counts = json.loads((examples / "counts.json").read_text())
    results, reason, release = None, "", None
    if not last or last in _EVALUATED:
        evaluation = Path(_made(output, *_EVALUATION).uri)
        shutil.copyfile(evaluation / "results.json", output / "results.json")
        results = json.loads((output / "results.json").read_text(encoding="utf-8"))
        reason = json.loads((evaluation / "verdict.json").read_text(encoding="utf-8"))["reason"]
    if last in ("", "Releaser"):
        infra = _made(output, "ReleaseValidator", "blessing")
        reason = infra.custom_properties["reason"].string_value or reason
        pushed = _made(output, "Releaser", "pushed_model").custom_properties["pushed_version"].string_value
        release = int(pushed) if pushed else None
    rejected = counts.get("rejected", 0)
    return Outcome(results, reason, release, rejected, examples / "rejects", progress.summary(), progress.work)


def _made(output: Path, component: str, key: str) -> Any:
    """The artifact that the last execution of `component` gave under `key`, run or cached."""
    from pipeline.lineage import Lineage

    lineage = Lineage(output)
    last = lineage.last(component)
    assert last is not None  # the run that has just ended well had it
    return lineage.artifacts(last.id, inputs=False)[key]
