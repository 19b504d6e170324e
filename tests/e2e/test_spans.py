"""Two spans of photos: a spoiled second one leaves the served release alone and says why; a good one is released, warm."""

import csv
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from serving.release import versions
from tests.e2e.conftest import m3net

pytestmark = pytest.mark.slow
SETTINGS = (
    "training.epochs=1", "training.min_steps=120", "training.batch_size=32", "model.image_size=32", "training.warm_start=last",
    "evaluation.max_drop=0.2", "evaluation.max_attribute_drop=0.1",
)  # fmt: skip


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.cli", "run", "--catalogue", f"{folder}/span-{{SPAN}}/catalogue.csv"]
    command += ["--output", str(folder / "output"), *(part for one in SETTINGS for part in ("--set", one))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)
    return done


def all_train(catalogue: Path, spoil: str = "") -> None:
    """Every row to the split train, so that both models are asked the first span's queries; `spoil` under a shuffled column."""
    with catalogue.open(newline="") as file:
        rows = list(csv.DictReader(file))
    labels = [row[spoil] for row in rows] if spoil else []
    random.Random(0).shuffle(labels)
    for i, row in enumerate(rows):
        row |= {"split": "train", "role": ""} | ({spoil: labels[i]} if spoil else {})
    with catalogue.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def test_a_spoiled_span_is_held_back_and_a_good_one_released(tmp_path: Path) -> None:
    m3net("sample", str(tmp_path / "span-1"), "--photos", "240")
    assert run(tmp_path).returncode == 0
    releases = tmp_path / "output" / "releases"
    m3net("sample", str(tmp_path / "span-2"), "--photos", "480", "--seed", "1")
    all_train(tmp_path / "span-2" / "catalogue.csv", "colour")
    spoiled = run(tmp_path)
    assert spoiled.returncode == 3, spoiled.stderr
    assert "begins with the weights of the last blessed model" in spoiled.stderr
    assert "colour fell from" in spoiled.stdout
    assert "version 1 stays the newest" in spoiled.stdout
    assert versions(releases) == [1]
    newest = max((tmp_path / "output/tfx/artifacts/RetrievalEvaluator/evaluation").iterdir(), key=lambda one: int(one.name))
    verdict = json.loads((newest / "verdict.json").read_text())
    assert "colour" in verdict["fallen"]
    colour = verdict["beside"]["colour"]
    assert colour["low"] <= colour["difference"] <= colour["high"] < 0
    shutil.rmtree(tmp_path / "span-2")
    m3net("sample", str(tmp_path / "span-2"), "--photos", "480", "--seed", "1")
    all_train(tmp_path / "span-2" / "catalogue.csv")
    good = run(tmp_path)
    assert good.returncode == 0, good.stdout
    assert "begins with the weights of the last blessed model" in good.stderr
    assert versions(releases) == [1, 2]
    again = run(tmp_path)
    assert "Trainer: from cache" in again.stderr
    assert versions(releases) == [1, 2]
