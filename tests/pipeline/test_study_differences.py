"""Intervals and paired differences of a study by hand: queries whose answers are written down, seeds that are missing."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.intervals import interval
from pipeline import study_differences, study_queries, study_table
from pipeline.study import mean

IMAGES = 40  # each asked for both attributes
FLOOR = {"random_map": 0.1, "random_map_at_100": 0.2, "random_recall_at_100": 0.05}
BEFORE = 0.3 + 0.2 * np.random.default_rng(0).random(2 * IMAGES)
NOISE = np.where(np.arange(2 * IMAGES) % 2, 0.05, -0.05)  # as much up as down


def answers(precision: np.ndarray, classes: int = 1) -> pa.Table:
    """The first half of the queries asks for necks, the second for sleeves."""
    rows = [
        {"attribute": name, "id": f"{i}.jpg", "labels": [i % classes], "average_precision": precision[place * IMAGES + i]}
        for place, name in enumerate(("neck", "sleeve"))
        for i in range(IMAGES)
    ]
    return pa.Table.from_pylist(rows)


def means(**seeds: Sequence[int]) -> dict[str, Any]:
    """`study.mean` by name of systems with these seeds; its own numbers are not looked at here."""
    keys = ("map", "map_at_100", "map_at_100_of_relevant", "recall_at_100")
    values = {**dict.fromkeys(keys, 0.5), **FLOOR, "queries": 40, "candidates": 9}
    names = {"format": 1, "dataset": "mine", "protocol": "attribute", "system": "a", "split": "test"}
    one = {**names, "attributes": {"neck": values, "sleeve": values}, "overall": values, "valid_map": 0.5}
    return {name: mean([{**one, "seed": seed} for seed in own]) for name, own in seeds.items()}


def test_a_real_difference_is_marked_and_one_of_chance_is_not() -> None:
    found = means(m3net=[0], classifier=[0], asen=[0])
    better = BEFORE + NOISE + np.repeat([0.1, 0.0], IMAGES)  # at necks alone
    study_differences.add(
        found, {"m3net": {0: answers(better)}, "classifier": {0: answers(BEFORE)}, "asen": {0: answers(BEFORE - NOISE)}}
    )
    assert "against" not in found["classifier"]  # it is the one, though it stands second
    against = found["m3net"]["against"]
    assert (against["system"], against["seeds"]) == ("classifier", [0])
    assert against["attributes"]["neck"]["difference"] == pytest.approx(0.1)
    assert against["overall"]["difference"] == pytest.approx(0.05)
    marked = {name: one["sure"] for name, one in {**against["attributes"], "overall": against["overall"]}.items()}
    assert marked == {"neck": True, "sleeve": False, "overall": True}
    neck = against["attributes"]["neck"]
    assert 0.08 < neck["low"] < 0.1 < neck["high"] < 0.12
    assert not found["asen"]["against"]["overall"]["sure"]

    text = study_differences.render(found, "text")
    first, second = (text.splitlines()[i].split() for i in (4, 5))
    assert first == ["m3net", "+10.00", "*", "+0.00", "+5.00", "*", "0"]
    assert second[:3] == [f"{100 * neck['low']:+.2f}", "to", f"{100 * neck['high']:+.2f}"]
    assert text.startswith("Against classifier: ")
    assert [cell.strip() for cell in study_differences.render(found, "markdown").splitlines()[4].split("|")[1:3]] == [
        "m3net",
        "+10.00 *",
    ]
    rows = list(csv.DictReader(io.StringIO(study_differences.render(found, "csv"))))
    assert [(row["system"], row["attribute"], row["sure"]) for row in rows] == [
        ("m3net", "neck", "*"), ("m3net", "sleeve", ""), ("m3net", "overall", "*"),
        ("asen", "neck", ""), ("asen", "sleeve", ""), ("asen", "overall", ""),
    ]  # fmt: skip
    assert json.loads(study_table.render(found, "json"))[0]["against"] == against


def test_seeds_are_averaged_over_those_that_both_have() -> None:
    found = means(a=[0, 1, 2], b=[1, 2, 3])
    ours = {seed: answers(BEFORE + seed / 10) for seed in (0, 1, 2)}
    theirs = {1: answers(BEFORE), 2: answers(BEFORE + 0.1), 3: answers(BEFORE + 9)}
    study_differences.add(found, {"a": ours, "b": theirs})
    against = found["b"]["against"]  # no classifier: to the first
    assert (against["system"], against["seeds"]) == ("a", [1, 2])
    assert against["overall"]["difference"] == pytest.approx(-0.1)  # (0.0 + 0.1) / 2 - (0.1 + 0.2) / 2
    images = [f"{i}.jpg" for i in range(IMAGES)] * 2
    assert found["a"]["overall"]["map_interval"] == pytest.approx(interval(BEFORE + 0.1, images))
    assert study_differences.render(found, "text").splitlines()[4].split()[-5:] == ["*", "-10.00", "*", "1,", "2"]


def test_what_is_missing_costs_its_own_cell() -> None:
    found = means(classifier=[0, 1], a=[0, 1], b=[1], c=[0])
    other = answers(BEFORE, classes=2)  # asked for other classes: not the same queries
    kept = {"classifier": {0: answers(BEFORE)}, "a": {}, "b": {1: answers(BEFORE)}, "c": {0: other}}
    study_differences.add(found, kept)
    assert found["classifier"]["overall"]["map_interval"] is None  # of one of its seeds: another mean than the table's
    assert found["b"]["overall"]["map_interval"]
    assert not any("against" in one for one in found.values())
    assert study_differences.render(found, "text") == study_differences.render({}, "csv") == ""


def test_one_photo_has_no_interval() -> None:
    found = means(a=[0], b=[0])
    rows = [{"attribute": name, "id": "a.jpg", "labels": [0], "average_precision": 0.5} for name in ("neck", "sleeve")]
    kept = {"a": {0: pa.Table.from_pylist(rows)}}
    kept["b"] = {0: pa.Table.from_pylist([{**row, "average_precision": 0.75} for row in rows])}
    study_differences.add(found, kept)
    assert found["a"]["overall"]["map_interval"] is None
    assert found["b"]["against"]["overall"] == {"difference": 0.25, "low": None, "high": None, "p": None, "sure": False}
    assert study_differences.render(found, "text").splitlines()[4].split() == ["b", "+25.00", "+25.00", "+25.00", "0"]
    assert "b,a,0,overall,+25.00,,,," in study_differences.render(found, "csv")


def test_a_handful_of_photos_is_never_sure() -> None:
    found = means(a=[0], b=[0])
    rows = [{"attribute": name, "id": f"{i}.jpg", "labels": [0]} for name in ("neck", "sleeve") for i in range(3)]
    tables = [pa.Table.from_pylist([{**row, "average_precision": value} for row in rows]) for value in (0.5, 0.75)]
    study_differences.add(found, {"a": {0: tables[0]}, "b": {0: tables[1]}})
    overall = found["b"]["against"]["overall"]
    assert overall["low"] == overall["high"] == 0.25
    assert not overall["sure"]


def test_queries_of_another_run_are_not_read(tmp_path: Path) -> None:
    pq.write_table(answers(BEFORE).replace_schema_metadata({"key": "k"}), tmp_path / study_queries.FILE)
    table = study_queries.read(tmp_path, "k")
    assert table is not None
    assert table.num_rows == 2 * IMAGES
    assert study_queries.read(tmp_path, "other") is None
    assert study_queries.read(tmp_path / "none", "k") is None
