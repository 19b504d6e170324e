"""`m3net study` as it is typed, on drawn photos in the layout of the paper's lists, with the configuration shipped for it."""

import csv
import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

NAMES = ("coat_length", "neckline_design")
CLASSES = 3
SMALL = ["model.backbone=small", "model.weights=", "model.image_size=32", "training.epochs=1", "training.triplets=24",
         "training.batch_size=4", "data.shards=1", "training.precision=float32", "model.attention_dim=8"]  # fmt: skip


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos whose colour tells both classes, in the ASEN family's lists."""
    folder = tmp_path_factory.mktemp("study") / "FashionAI"
    (folder / "img").mkdir(parents=True)
    (folder / "meta.json").write_text(
        json.dumps({"FashionAI": {"ATTRIBUTES": list(NAMES), "ATTRIBUTES_NUM": dict.fromkeys(NAMES, CLASSES)}})
    )
    draw = random.Random(0)
    for split, count in (("train", 36), ("valid", 20), ("test", 20)):
        rows: dict[str, list[str]] = {"label": [], "query": [], "candidate": []}
        names = []
        for i in range(count):
            own = [draw.randrange(CLASSES) for _ in NAMES]
            colour = tuple(min(255, 110 * one + draw.randrange(30)) for one in (*own, 1))
            names.append(f"img/{split}{i}.jpg")
            Image.new("RGB", (30, 40), colour).save(folder / names[-1])
            rows["label"].append(f"{i} " + " ".join(f"{a} {c}" for a, c in enumerate(own)))
            a = (i // 4 + i) % len(NAMES)  # in valid and test a photo stands for one attribute
            rows["query" if i % 4 == 0 else "candidate"].append(f"{i} {a} {own[a]}")
        (folder / f"filenames_{split}.txt").write_text("\n".join(names))
        for kind in ["label"] if split == "train" else ["query", "candidate"]:
            (folder / f"{kind}_{split}.txt").write_text("\n".join(rows[kind]))
    return folder


def command_of(lists: Path, *more: str) -> list[str]:
    changed = [part for one in SMALL for part in ("--set", one)]
    command = ["study", "--config", "pipeline/configs/fashionai.yaml", "--catalogue", str(lists), "--systems", "classifier,asen_v2",
               "--output", str(lists.parent / "out"), *changed, *more]  # fmt: skip
    return [sys.executable, "-m", "pipeline.cli", *command]


def study(lists: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command_of(lists, *more), capture_output=True, text=True, check=False)


def test_one_ingestion_one_table_and_nothing_twice(lists: Path) -> None:
    done = study(lists)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("CatalogueGen: from cache") == 1
    table, against, _ = done.stdout.partition("Against classifier: ")
    assert against
    lines = {line.split("  ")[0]: line for line in table.splitlines()}
    assert {"random", "M3-Net, published"} <= set(lines)
    assert {"classifier", "asen_v2"} == {name.removesuffix(" *") for name in lines} & {"classifier", "asen_v2"}
    out = lists.parent / "out"
    found = json.loads((out / "runs" / "asen_v2-0" / "results.json").read_text())
    assert f"{100 * found['overall']['map']:.2f}" in lines["asen_v2" if "asen_v2" in lines else "asen_v2 *"]
    kept = {name: pq.read_table(out / "runs" / f"{name}-0" / "queries.parquet") for name in ("classifier", "asen_v2")}
    precision = {name: float(np.mean(table["average_precision"])) for name, table in kept.items()}
    assert precision["asen_v2"] == pytest.approx(found["overall"]["map"])
    difference = json.loads((out / "asen_v2" / "results.json").read_text())["against"]["overall"]["difference"]
    assert difference == pytest.approx(precision["asen_v2"] - precision["classifier"])
    (out / "runs" / "asen_v2-0" / "queries.parquet").unlink()  # as a study left it that kept none
    again = study(lists, "--format", "markdown")
    assert again.stderr.count("finished before") == 2
    assert again.stderr.count("its queries are read again") == 1
    assert "Trainer" not in again.stderr
    assert "| random" in again.stdout
    assert pq.read_table(out / "runs" / "asen_v2-0" / "queries.parquet").equals(kept["asen_v2"], check_metadata=True)
    assert json.loads((out / "asen_v2" / "results.json").read_text())["against"]["overall"]["difference"] == difference


def curve(output: Path) -> list[list[float]]:
    """Loss and validation MAP by epoch, of the last training."""
    files = sorted(
        (output / "tfx" / "artifacts" / "Trainer" / "model_run").glob("*/history.csv"), key=lambda f: int(f.parent.name)
    )
    with files[-1].open() as file:
        return [[float(row["loss"]), float(row["valid_map"])] for row in csv.DictReader(file)]


@pytest.mark.long
def test_killed_in_the_middle_of_a_training_it_goes_on_to_the_same_curve(lists: Path) -> None:
    options = ["--systems", "classifier", "--set", "training.epochs=4", "--set", "training.patience=0"]
    whole, killed = (lists.parent / name for name in ("whole", "killed"))
    assert study(lists, *options, "--output", str(whole)).returncode == 0
    with subprocess.Popen(command_of(lists, *options, "--output", str(killed)), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        assert any("epoch 2/4" in line for line in process.stderr)
        process.send_signal(signal.SIGKILL)
    done = study(lists, *options, "--output", str(killed))
    assert done.returncode == 0, done.stderr
    assert "epochs were done by a run that was stopped; it goes on" in done.stderr
    assert "CatalogueGen: from cache" in done.stderr
    one, two = curve(whole), curve(killed)
    assert len(one) == 4
    for expected, got in zip(one, two, strict=True):
        assert got == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert not list((killed / "tfx" / "artifacts" / "Trainer" / "training").iterdir())
