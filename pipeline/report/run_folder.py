"""What a run left behind and where: its artifacts and each component's seconds, from ML Metadata in the run's folder.

ML Metadata and not a file of our own: it also knows the runs of the `tfx` command, and how long a component took that
the last run answered from cache.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import InputError
from pipeline.lineage import Lineage, Step

_EVALUATOR = "RetrievalEvaluator"


@dataclass(frozen=True)
class RunFolder:
    """One evaluation and what it came from. All paths are folders that exist, but `history`, a file that may not."""

    results: dict[str, Any]
    verdict: dict[str, Any]
    evaluation: Path
    embeddings: Path
    examples: Path
    model: Path
    history: Path
    steps: tuple[Step, ...]
    findings: tuple[dict[str, str], ...] = ()  # what is odd about its labels: since the last run, between splits, by the schema


def read(folder: Path) -> RunFolder:
    """The last evaluation that ended well in `folder`, the --output of a run.

    Raises: InputError where there is none, or where an artifact it came from is gone.
    """
    store = Lineage(folder)
    evaluator = store.last(_EVALUATOR)
    if evaluator is None:
        raise InputError(f"{folder}: no evaluation ended there yet; run `m3net run --output {folder}` to its end first")
    inputs, outputs = store.artifacts(evaluator.id, inputs=True), store.artifacts(evaluator.id, inputs=False)
    trained = store.artifacts(store.maker(inputs["model"].id).id, inputs=False)
    places = {key: store.place(inputs[key]) for key in ("embeddings", "examples", "model")}
    evaluation = store.place(outputs["evaluation"])
    return RunFolder(
        results=json.loads((evaluation / "results.json").read_text(encoding="utf-8")),
        verdict=json.loads((evaluation / "verdict.json").read_text(encoding="utf-8")),
        evaluation=evaluation,
        history=store.place(trained["model_run"]) / "history.csv",
        steps=store.steps(evaluator.id),
        findings=tuple(store.findings(evaluator.id)),
        **places,
    )
