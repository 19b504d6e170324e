"""The RetrievalEvaluator as TFX calls it: in one process and through Beam it writes the same, and the blessing with it; a model
that fell beside the last blessed one is held back."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tfx.dsl.components.base import base_beam_executor
from tfx.types import Artifact, standard_artifacts

from components.artifacts import TEST, Embeddings, Evaluation
from components.embedder.embed import embed
from components.retrieval_evaluator import executor
from models.taxonomy import Attribute, Taxonomy
from models.trainer import MODEL_FILE
from tests.components.direct import ONE, direct_pipeline
from tests.components.test_beam_measure import drawn
from tests.components.test_embedder import TAXONOMY, Sample


def at(kind: type[Artifact], folder: Path) -> list[Artifact]:
    artifact = kind()
    artifact.uri, artifact.id = str(folder), 7
    folder.mkdir(parents=True, exist_ok=True)
    return [artifact]


def evaluated(folder: Path, **more: Any) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Of drawn Embeddings: results.json, verdict.json, and the blessing's files."""
    inputs = {"model": at(standard_artifacts.Model, folder / "model")}
    inputs |= {"examples": at(standard_artifacts.Examples, folder / "examples")}
    inputs |= {"embeddings": at(Embeddings, folder / "embeddings")}
    Taxonomy((Attribute("details", tuple("abcdef"), True), Attribute("neckline", ("v", "round", "boat", "halter")))).save(
        folder / "examples"
    )
    pq.write_table(pa.Table.from_pylist(drawn()), folder / "embeddings" / "e.parquet")
    return judged(folder, inputs, **more)


def judged(folder: Path, inputs: dict[str, Any], **more: Any) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
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


@pytest.mark.slow
def test_an_attribute_that_fell_beside_the_last_blessed_model_holds_the_model_back(tmp_path: Path) -> None:
    sample = Sample(tmp_path, {"test": 60})
    TAXONOMY.save(Path(sample.examples))
    with direct_pipeline() as pipeline:
        embed(pipeline, sample.examples, [TEST], sample.model, str(tmp_path / "embeddings"))
    (file,) = (tmp_path / "embeddings").iterdir()
    rows = pq.read_table(file).to_pylist()
    for row in rows:  # this model's: an image and its class of the neck lie apart; the sleeve is as before
        if row["attribute"] == "neck":
            wrong = (row["labels"][0] + (row["role"] == "query")) % 2
            row["vector"] = [float(i == wrong) for i in range(len(row["vector"]))]
    pq.write_table(pa.Table.from_pylist(rows, pq.read_schema(file)), file)
    inputs: dict[str, Any] = {"model": at(standard_artifacts.Model, tmp_path / "now")}
    inputs |= {"baseline_model": at(standard_artifacts.Model, Path(sample.model).parent)}
    inputs |= {"examples": at(standard_artifacts.Examples, Path(sample.examples))}
    inputs |= {"embeddings": at(Embeddings, tmp_path / "embeddings")}
    assert Path(sample.model).name == MODEL_FILE
    _, verdict, blessing = judged(tmp_path, inputs, max_attribute_drop=0.01)
    assert verdict["fallen"] == ["neck"]
    assert verdict["beside"]["sleeve"]["difference"] == pytest.approx(0, abs=1e-6)
    neck = verdict["beside"]["neck"]
    assert neck["low"] <= neck["now"] - neck["before"] <= neck["high"] < -0.01
    assert f"neck fell from {neck['before']:.2%} to {neck['now']:.2%}" in verdict["reason"]
    assert blessing == ["NOT_BLESSED"]
    assert not (tmp_path / "evaluation" / "baseline").exists()
