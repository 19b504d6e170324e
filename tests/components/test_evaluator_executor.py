"""The RetrievalEvaluator as TFX calls it: in one process and through Beam it writes the same, and the blessing with it."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tfx.dsl.components.base import base_beam_executor
from tfx.types import Artifact, standard_artifacts

from components.artifacts import Embeddings, Evaluation
from components.retrieval_evaluator import executor
from models.taxonomy import Attribute, Taxonomy
from tests.components.direct import ONE
from tests.components.test_beam_measure import drawn


def at(kind: type[Artifact], folder: Path) -> list[Artifact]:
    artifact = kind()
    artifact.uri, artifact.id = str(folder), 7
    folder.mkdir(parents=True, exist_ok=True)
    return [artifact]


def evaluated(folder: Path, **more: Any) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    inputs = {"model": at(standard_artifacts.Model, folder / "model")}
    inputs |= {"examples": at(standard_artifacts.Examples, folder / "examples")}
    inputs |= {"embeddings": at(Embeddings, folder / "embeddings")}
    Taxonomy((Attribute("details", tuple("abcdef"), True), Attribute("neckline", ("v", "round", "boat", "halter")))).save(
        folder / "examples"
    )
    pq.write_table(pa.Table.from_pylist(drawn()), folder / "embeddings" / "e.parquet")
    outputs = {"evaluation": at(Evaluation, folder / "evaluation")}
    outputs |= {"blessing": at(standard_artifacts.ModelBlessing, folder / "blessing")}
    named = {
        "system": "s",
        "dataset": "d",
        "protocol": "attribute",
        "slices": '["class"]',
        "min_map": 0.0,
        "max_drop": 1.0,
        "max_attribute_drop": 1.0,
    }
    context = base_beam_executor.BaseBeamExecutor.Context(beam_pipeline_args=ONE, tmp_dir=str(folder), unique_id="1")
    executor.Executor(context).Do(inputs, outputs, {**named, **more})
    results, verdict = (json.loads((folder / "evaluation" / f"{name}.json").read_text()) for name in ("results", "verdict"))
    return results, verdict, [one.name for one in (folder / "blessing").iterdir()]


def test_through_beam_and_in_one_process_it_writes_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = evaluated(tmp_path / "here")
    monkeypatch.setattr(executor, "_ROWS_OF_ONE_PROCESS", 0)
    assert evaluated(tmp_path / "beam") == here
    results, verdict, blessing = here
    assert {(row["attribute"], row["value"]) for row in results["slices"]} >= {("neckline", "v"), ("details", "a")}
    assert verdict["blessed"]
    assert blessing == ["BLESSED"]


def test_below_the_least_map_nothing_is_blessed(tmp_path: Path) -> None:
    _, verdict, blessing = evaluated(tmp_path, min_map=0.99)
    assert not verdict["blessed"]
    assert "below evaluation.min_map" in verdict["reason"]
    assert blessing == ["NOT_BLESSED"]
