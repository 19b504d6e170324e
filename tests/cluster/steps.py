"""One step of the pipeline as TFX calls it, in a process of its own: `python -m tests.cluster.steps STEP JSON`.

A process a step, because Beam stops the job server that it started only when the process ends.
"""

import json
import sys
from pathlib import Path
from typing import Any

from tfx.dsl.components.base import base_beam_executor
from tfx.types import Artifact, standard_artifacts

from components.artifacts import Embeddings, Evaluation


def at(kind: type[Artifact], folder: str) -> list[Artifact]:
    artifact = kind()
    artifact.uri = folder
    Path(folder).mkdir(parents=True, exist_ok=True)
    return [artifact]


def context(args: list[str], folder: str) -> Any:
    return base_beam_executor.BaseBeamExecutor.Context(beam_pipeline_args=args, tmp_dir=folder, unique_id="1")


def ingest(args: list[str], catalogue: str, output: str) -> None:
    from components.catalogue_gen.executor import Executor

    given: dict[str, Any] = {"catalogue": catalogue, "format": "catalogue", "taxonomy": "", "version": ""}
    outputs = {key: at(standard_artifacts.Examples, f"{output}/{key}") for key in ("examples", "labels")}
    sizes = {"long_side": 96, "shards": 2, "max_reject_share": 0.1, "labels_only": 0}
    near = {"near_duplicates": "report", "near_duplicate_bits": 6}
    Executor(context(args, output)).Do({}, outputs, given | sizes | near)


def embed(args: list[str], examples: str, model: str, output: str) -> None:
    from components.embedder.executor import Executor

    inputs = {"examples": at(standard_artifacts.Examples, examples), "model": at(standard_artifacts.Model, model)}
    Executor(context(args, output)).Do(inputs, {"embeddings": at(Embeddings, output)}, {})


def evaluate(args: list[str], examples: str, model: str, embeddings: str, output: str) -> None:
    """Also the model as its own baseline, and every evaluation through Beam, however small."""
    from components.retrieval_evaluator import executor

    executor._ROWS_OF_ONE_PROCESS = 0
    inputs = {"examples": at(standard_artifacts.Examples, examples), "model": at(standard_artifacts.Model, model)}
    inputs |= {"embeddings": at(Embeddings, embeddings), "baseline_model": at(standard_artifacts.Model, model)}
    outputs = {
        "evaluation": at(Evaluation, f"{output}/evaluation"),
        "blessing": at(standard_artifacts.ModelBlessing, f"{output}/blessing"),
    }
    named: dict[str, Any] = {"system": "m3net+", "dataset": "drawn", "protocol": "attribute", "slices": "[]"}
    named |= {"min_map": 0.0, "max_drop": 1.0}
    executor.Executor(context(args, output)).Do(inputs, outputs, named)


if __name__ == "__main__":
    globals()[sys.argv[1]](**json.loads(sys.argv[2]))
