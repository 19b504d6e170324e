"""Slices: by class, by another attribute and by a column, each against a sum by hand over the queries."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.errors import InputError
from components.retrieval_evaluator.measure import measure_all
from components.retrieval_evaluator.slices import slices
from models.taxonomy import Attribute, Taxonomy
from tests.components.test_beam_measure import drawn
from tests.slow_metrics import slow_map

TAXONOMY = Taxonomy((Attribute("neckline", ("v", "round", "boat", "halter")), Attribute("details", tuple("abcdef"), True)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    table = pa.Table.from_pylist(drawn())
    brands = [None if photo.endswith("8") else f"brand {int(photo[1:]) % 2}" for photo in table["id"].to_pylist()]
    pq.write_table(table.append_column("brand", pa.array(brands)), tmp_path / "e.parquet")
    return tmp_path / "e.parquet"


def cut(path: Path, *columns: str, taxonomy: Taxonomy | None = TAXONOMY) -> dict[tuple[str, str, str], dict[str, float]]:
    rows = slices(measure_all(path), path, "test", columns, taxonomy)
    return {(row["slice"], row["value"], row["attribute"]): row for row in rows}


def by_hand(path: Path, attribute: str, keep: set[str]) -> float:
    """MAP of the queries in `keep`, the gallery whole."""
    rows = [row for row in pq.read_table(path).to_pylist() if row["attribute"] == attribute]
    return slow_map([row for row in rows if row["role"] == "candidate" or row["id"] in keep])["overall"]


def queries(path: Path, attribute: str) -> dict[str, list[int]]:
    rows = pq.read_table(path).to_pylist()
    wanted = [r for r in rows if r["attribute"] == attribute and r["role"] == "query" and r["split"] == "test" and r["labels"]]
    return {row["id"]: row["labels"] for row in wanted}


def test_by_class_a_query_counts_in_each_of_its_classes(path: Path) -> None:
    found = cut(path, "class")
    for attribute in ("neckline", "details"):
        asked = queries(path, attribute)
        for place in {label for labels in asked.values() for label in labels}:
            keep = {photo for photo, labels in asked.items() if place in labels}
            row = found.pop(("class", TAXONOMY[attribute].classes[place], attribute))
            assert row["queries"] == len(keep)
            assert (row["map_interval"] is None) == (len(keep) == 1)
            assert row["map"] == pytest.approx(by_hand(path, attribute, keep), abs=1e-9)
    assert not found


def test_by_another_attribute_and_by_a_column(path: Path) -> None:
    found = cut(path, "neckline", "brand")
    necklines = queries(path, "neckline")
    round_ones = {photo for photo, labels in necklines.items() if 1 in labels} & set(queries(path, "details"))
    assert found["neckline", "round", "details"]["map"] == pytest.approx(by_hand(path, "details", round_ones), abs=1e-9)
    even = {photo for photo in necklines if int(photo[1:]) % 2 == 0 and not photo.endswith("8")}
    assert found["brand", "brand 0", "neckline"]["map"] == pytest.approx(by_hand(path, "neckline", even), abs=1e-9)
    parts = [found["brand", "brand 0", name] for name in ("neckline", "details")]
    whole = np.average([part["map"] for part in parts], weights=[part["queries"] for part in parts])
    assert found["brand", "brand 0", "overall"]["map"] == pytest.approx(whole)
    assert not any(value == "None" for _, value, _ in found)


def test_without_a_taxonomy_classes_are_numbers_and_all_is_json(path: Path) -> None:
    assert ("class", "0", "neckline") in cut(path, "class", taxonomy=None)
    json.dumps(slices(measure_all(path), path, "test", ["class", "brand", "details"]))


def test_an_unknown_slice_names_those_there_are(path: Path) -> None:
    with pytest.raises(InputError, match='no slice "gender"; there are: class, details, neckline, brand'):
        cut(path, "gender")
