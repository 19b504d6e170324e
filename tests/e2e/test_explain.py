"""A release is explained from its run, and from itself alone once it is far from it."""

import csv
import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.plan import rates_of
from serving.release import MODEL_CARD, read_manifest, verify
from tests.e2e.conftest import m3net

pytestmark = pytest.mark.slow


def test_metadata_tells_what_made_it(output: Path, catalogue: Path) -> None:
    found = json.loads(m3net("explain-release", "1", str(output), "--format", "json").stdout)
    results = json.loads((output / "tfx/artifacts/RetrievalEvaluator/evaluation").joinpath(
        found["steps"][-3]["outputs"]["evaluation"][0].rsplit("/", 1)[1], "results.json").read_text())  # fmt: skip
    assert found["source"] == "metadata"
    assert found["missing"] == []
    assert found["data"]["catalogue"] == str(catalogue)
    assert found["data"]["rows"] == {"train": 52, "valid": 8, "test": 20}
    assert found["metrics"]["overall"] == results["overall"]
    assert found["config"]["training"]["epochs"] == found["recipe"]["epochs"] == 1
    assert found["run"]["id"] == read_manifest(output / "releases" / "1").run
    steps = {one["component"]: one for one in found["steps"]}
    assert next(iter(steps)) == "CatalogueGen"
    assert list(steps)[-1] == "Releaser"
    assert steps["Embedder"]["inputs"]["model"] == steps["Trainer"]["outputs"]["model"]
    assert all(Path(uri).is_dir() for one in found["steps"] for uris in one["outputs"].values() for uri in uris)
    with sqlite3.connect(output / "tfx" / "metadata.sqlite") as database:  # beside our own reading of it
        (run,) = database.execute("SELECT Context.name FROM Context JOIN Type ON Type.id = type_id WHERE Type.name = 'pipeline_run'"
                                  " ORDER BY Context.id LIMIT 1").fetchone(),  # fmt: skip
    assert run[0] == steps["CatalogueGen"]["run"]


def test_a_plan_goes_by_what_the_run_measured(output: Path) -> None:
    rates = rates_of(output)
    with sqlite3.connect(output / "tfx" / "metadata.sqlite") as database:
        times = "(last_update_time_since_epoch - create_time_since_epoch) / 1000.0"
        query = (
            f"SELECT {times} FROM Execution JOIN Type ON Type.id = type_id WHERE Type.name LIKE '%.' || ? ORDER BY Execution.id"
        )
        ingest, embed = (database.execute(query, (one,)).fetchone()[0] for one in ("CatalogueGen", "Embedder"))
    assert (80 / rates.ingest, 80 / rates.embed) == (pytest.approx(ingest), pytest.approx(embed))
    (history,) = (output / "tfx/artifacts/Trainer/model_run").glob("*/history.csv")
    with history.open(newline="") as file:
        (epoch,) = csv.DictReader(file)
    assert (rates.epochs, rates.train) == (1, float(epoch["images_per_second"]))


def test_a_copy_far_from_its_run_tells_what_its_manifest_holds_and_says_so(output: Path, tmp_path: Path) -> None:
    shutil.copytree(output / "releases" / "1", tmp_path / "copied" / "1")
    verify(tmp_path / "copied" / "1")  # the card is among what the manifest covers
    assert MODEL_CARD in read_manifest(tmp_path / "copied" / "1").files
    found = json.loads(m3net("explain-release", "1", str(tmp_path / "copied"), "--format", "json").stdout)
    assert found["source"] == "manifest"
    assert "from its manifest alone" in found["missing"][0]
    assert found["data"]["rows"]["train"] == 52
    assert found["recipe"]["training"]["epochs"] == 1
    assert "note: told from its manifest alone" in m3net("explain-release", "1", str(tmp_path / "copied" / "1")).stdout


def test_a_version_that_never_was_is_one_line(output: Path) -> None:
    command = [sys.executable, "-m", "pipeline.cli", "explain-release", "9", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "holds no version 9; it holds: 1" in done.stderr
