"""A run of the labels alone: what it leaves out, and what it says."""

from pathlib import Path

import pytest

from pipeline.config import QUICK, load
from tests.components.layouts import ASEN, write
from tests.pipeline.test_cli import m3net


@pytest.mark.slow  # loads TFX
def test_the_pipeline_ends_with_the_judge_of_labels() -> None:
    from pipeline.create import create_pipeline

    config = load(QUICK, ["data.catalogue=/x/catalogue.csv", "data.labels_only=true"])
    names = {component.id for component in create_pipeline(config, root="/x", releases="/y").components}
    assert {"CatalogueGen", "StatisticsGen", "LabelValidator"} <= names
    assert not {"Trainer", "Embedder", "RetrievalEvaluator", "IndexBuilder", "Releaser"} & names


@pytest.mark.slow
def test_a_run_without_photos_says_what_it_counted(tmp_path: Path) -> None:
    folder = write(tmp_path / "mini", {**ASEN, "candidate_test.txt": "1 0 1\n7 0 0\n"})
    options = ["--set", "data.format=asen", "--set", "data.labels_only=true", "--set", "data.max_reject_share=0.2"]
    done = m3net("run", "--catalogue", str(folder), "--output", str(tmp_path / "out"), *options)
    assert done.returncode == 0, done.stderr
    said = "labels only, no photo opened and nothing trained: test 1 (candidate), test 2 (query), train 2; 1 rejected"
    assert said in done.stdout
    assert "no photo 7" in next((tmp_path / "out").glob("**/rejects/*.jsonl")).read_text()
