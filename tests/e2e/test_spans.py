"""Two spans of photos: a spoiled second one leaves the served release alone and says why; a good one is released, warm."""

import csv
import json
import logging
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from absl import logging as absl_logging
from PIL import Image

from pipeline.cli import main
from pipeline.explain import explain
from serving.release import read_manifest, versions

pytestmark = pytest.mark.long
COLOURS = {"blue": (40, 60, 210), "green": (30, 200, 60), "red": (220, 30, 30)}
SETTINGS = (
    "training.epochs=1", "training.min_steps=60", "training.batch_size=32", "model.image_size=32", "training.warm_start=last",
    'data.near_duplicates="off"', "evaluation.max_drop=0.2", "evaluation.max_attribute_drop=0.1",
)  # fmt: skip


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """The command runs in this process, where it turns all logs into its folder."""
    root, absl = logging.getLogger(), logging.getLogger("absl")
    before = [*root.handlers], [*absl.handlers], absl.propagate, absl_logging.get_verbosity()
    yield
    root.handlers, absl.handlers, absl.propagate = before[:3]
    absl_logging.set_verbosity(before[3])
    logging.captureWarnings(False)


def run(folder: Path) -> int:
    """The exit code of `m3net run` over all spans in `folder`."""
    command = ["run", "--catalogue", f"{folder}/span-{{SPAN}}/catalogue.csv", "--output", str(folder / "output")]
    return main([*command, *(part for one in SETTINGS for part in ("--set", one))])


def draw(folder: Path, train: int, valid: int, test: int, seed: int, called: tuple[str, ...] = ()) -> None:
    """Photos of one colour, bright or dark. Args: called: what the colours are called at random, where it is not the truth."""
    folder.mkdir()
    drawn, rows = random.Random(seed), []
    for i in range(train + valid + test):
        colour, tone = drawn.choice([*COLOURS]), drawn.choice(["bright", "dark"])
        pixel = tuple(max(0, value // (1 + 2 * (tone == "dark")) - drawn.randrange(20)) for value in COLOURS[colour])
        Image.new("RGB", (32, 32), pixel).save(folder / f"{i}.png")
        split = "train" if i < train else "valid" if i < train + valid else "test"
        role = "" if split == "train" else ("query", "candidate")[i % 2]
        rows.append((f"{i}.png", split, role, drawn.choice(called) if called else colour, tone))
    with (folder / "catalogue.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "split", "role", "colour", "tone"), *rows])


def newest(output: Path, artifact: str) -> Path:
    return max((output / "tfx" / "artifacts" / artifact).iterdir(), key=lambda one: int(one.name))


def test_a_spoiled_span_is_held_back_and_a_good_one_released(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output, releases = tmp_path / "output", tmp_path / "output" / "releases"
    draw(tmp_path / "span-1", 120, 8, 90, seed=1)
    assert run(tmp_path) == 0
    draw(tmp_path / "span-2", 360, 0, 0, seed=2, called=("blue", "blue", "blue", "red"))
    capfd.readouterr()
    assert run(tmp_path) == 3
    said = capfd.readouterr()
    assert "begins with the weights of the last blessed model" in said.err
    percent = r"[\d.]+%"
    fall = rf"colour fell from {percent} to {percent}, by {percent} \(95 % interval {percent} to {percent}\), more than"
    assert re.search(fall, said.out)
    assert "version 1 stays the newest" in said.out
    assert versions(releases) == [1]
    verdict = json.loads((newest(output, "RetrievalEvaluator/evaluation") / "verdict.json").read_text())
    assert verdict["fallen"] == ["colour"]
    colour = verdict["beside"]["colour"]
    assert colour["low"] <= colour["difference"] <= colour["high"] < 0
    drift = re.search(r'train, colour: "blue" is [\d.]+% of the labels in the earlier spans, [\d.]+% in span 2', said.err)
    assert drift
    findings = json.loads((newest(output, "LabelValidator/checks") / "findings.json").read_text())
    assert ("drift", drift[0]) in {(one["kind"], one["text"]) for one in findings}
    assert drift[0].replace('"', "&#34;") in (output / "report.html").read_text()
    shutil.rmtree(tmp_path / "span-2")
    draw(tmp_path / "span-2", 360, 0, 0, seed=2)
    assert run(tmp_path) == 0
    said = capfd.readouterr()
    assert "begins with the weights of the last blessed model" in said.err
    assert versions(releases) == [1, 2]
    assert read_manifest(releases / "2").provenance["data"]["span"] == explain(2, output).data["span"] == "1-2"
