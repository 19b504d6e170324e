"""The model card: its sections, the numbers that it was given, the caveats that they call for, and names that stay text."""

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from markupsafe import escape

from components.releaser.model_card import render
from models.taxonomy import Attribute, Taxonomy

SECTIONS = (
    "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data", "Quantitative analyses",
    "Ethical considerations", "Caveats and recommendations",
)  # fmt: skip
HOSTILE = "<script>alert(1)</script>\"'&{{7*7}}"
GOOD = {
    "map": 0.6543, "map_at_100": 0.7011, "recall_at_100": 0.8122, "random_map": 0.3344, "queries": 250, "candidates": 999,
    "map_interval": [0.6012, 0.7034],
}  # fmt: skip


def card(folder: Path, colour: dict[str, Any] = GOOD, weights: str = "imagenet", commit: str = "0a1b", red: str = "red") -> str:
    """The page of a model with two attributes, of which `colour` has those numbers; no training photo is blue."""
    taxonomy = Taxonomy((Attribute("colour", ("blue", red)), Attribute("hem", ("frill", "lace"), True)))
    rows = [{"id": "a", "split": "train", "label/colour": [1], "label/hem": [0, 1]}] * 3
    rows += [{"id": "b", "split": "test", "label/colour": [0], "label/hem": []}] * 2
    pq.write_table(pa.Table.from_pylist(rows), folder / "items.parquet")
    results = {
        "system": "m3net+", "dataset": f"shop {red}", "split": "test", "protocol": "attribute", "overall": {**GOOD, "map": 0.4321},
        "attributes": {"colour": colour, "hem": GOOD},
        "slices": [{"slice": "class", "attribute": "colour", "value": red, **GOOD, "map": 0.1234}],
    }  # fmt: skip
    recipe = {
        "model": {"backbone": "resnet50", "image_size": 224, "weights": weights}, "parameters": 12345, "epochs": 7,
        "training": {"sampling": "in_batch", "batch_size": 64, "learning_rate": 0.005, "seed": 3},
    }  # fmt: skip
    made_by = {
        "recipe": recipe, "code": {"m3net": "0.1.0", "commit": commit, "tensorflow": "2.20", "keras": "3"}, "verdict": "because",
        "data": {"catalogue": "c.csv", "format": "catalogue", "fingerprint": "f00", "span": "1-2", "rows": {"train": 3000, "test": 2}},
    }  # fmt: skip
    return render(4, "run-1", results, made_by, taxonomy, folder / "items.parquet")


def cells(page: str, *first: str) -> list[str]:
    """Of the table row that begins with the cells `first`."""
    start = re.escape("</td><td>".join(first))
    return re.findall(r"<td>(.*?)</td>", re.search(rf"<tr[^>]*><td>{start}</td>.*?</tr>", page, re.DOTALL)[0])  # type: ignore[index]


def test_the_nine_sections_hold_the_numbers_of_the_results(tmp_path: Path) -> None:
    page = card(tmp_path)
    assert tuple(re.findall(r"<h2>(.*?)</h2>", page)) == SECTIONS
    assert cells(page, "hem", "65.43") == ["hem", "65.43", "60.12 to 70.34", "33.44", "70.11", "81.22", "250", "999"]
    assert cells(page, "overall")[1] == "43.21"
    assert cells(page, "colour", "red", "12.34")  # the worst class
    assert cells(page, "colour", "blue")[2:] == ["0", "2"]  # photos in train and test
    for text in ("train 3,000, test 2 photos", "span 1-2", "resnet50 at 224 pixels, 12,345 parameters", "Decision: because"):
        assert text in page


@pytest.mark.parametrize(("given", "words"), [
    ({"colour": {**GOOD, "map": 0.3}}, "colour: ranked no better than at random."),
    ({"colour": {**GOOD, "queries": 99}}, "colour: only 99 test queries"),
    ({"weights": ""}, "trained from random weights"),
    ({"commit": "0a1b-dirty"}, "differs from its commit"),
])  # fmt: skip
def test_a_caveat_stands_where_the_numbers_call_for_it(tmp_path: Path, given: dict[str, Any], words: str) -> None:
    def caveats(page: str) -> list[str]:
        return re.findall(r"<li>(.*?)</li>", page)

    calm = caveats(card(tmp_path))
    assert calm[0] == "Not one training photo shows: colour blue."
    assert len(calm) == 3
    (more,) = set(caveats(card(tmp_path, **given))) - set(calm)
    assert words in more


def test_a_hostile_class_stays_text(tmp_path: Path) -> None:
    page = card(tmp_path, red=HOSTILE)
    assert "<script" not in page
    assert "49" not in re.findall(r"<h1>(.*?)</h1>", page)[0]
    assert cells(page, "colour", str(escape(HOSTILE)))[2:] == ["3", "0"]
