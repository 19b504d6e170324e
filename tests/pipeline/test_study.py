"""The means and the table of a study by hand, and what is run again; the runs themselves are in tests/e2e."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline import local, study, study_table
from pipeline.config import QUICK, load
from pipeline.study import mean

KEYS = ("map", "map_at_100", "map_at_100_of_relevant", "recall_at_100")
FLOOR = {"random_map": 0.1, "random_map_at_100": 0.2, "random_recall_at_100": 0.05}


def results(map_: float, seed: int = 0, valid: float | None = 0.5, dataset: str = "mine", system: str = "a") -> dict[str, Any]:
    def values(at: float) -> dict[str, Any]:
        return {**dict.fromkeys(KEYS, at), **FLOOR, "map_interval": [0, 1], "queries": 4, "candidates": 16}

    names = {"format": 1, "dataset": dataset, "protocol": "attribute", "system": system, "split": "test"}
    attributes = {"neckline_design": values(map_ - 0.1), "coat_length": values(map_ + 0.1)}
    return {**names, "attributes": attributes, "overall": values(map_), "seed": seed, "valid_map": valid}


def test_mean_and_spread_over_seeds() -> None:
    found = mean([results(0.4, 0, 0.5), results(0.6, 2, 0.7)])
    assert found["overall"]["map"] == pytest.approx(0.5)
    assert found["overall"]["map_spread"] == pytest.approx(0.02**0.5)  # sqrt((0.1^2 + 0.1^2) / 1)
    assert found["attributes"]["coat_length"]["map"] == pytest.approx(0.6)
    assert (found["seeds"], found["valid_map"]) == ([0, 2], pytest.approx(0.6))
    assert mean([results(0.4)])["overall"]["map_spread"] is None
    assert mean([results(0.4), results(0.4, 1, None)])["valid_map"] is None


def test_the_table_has_the_papers_order_floor_and_rows_and_marks_what_valid_chose() -> None:
    means = {
        "b": mean([results(0.9, valid=0.2, dataset="FashionAI")]),
        "a": mean([results(0.5, valid=0.6, dataset="FashionAI")]),
    }
    means["b"]["overall"]["map_interval"] = [0.85, 0.955]
    text = study_table.render(means, "csv")
    head, floor, first, second, *beside = list(csv.reader(io.StringIO(text)))
    # coat_length stands before neckline_design in the paper; ours has them the other way round.
    assert head == ["system", "coat_length", "neckline_design", "overall", "95 %", "MAP@100", "Recall@100", "valid"]
    assert floor == ["random", "10.00", "10.00", "10.00", "", "20.00", "5.00", ""]
    assert first == ["b", "100.00", "80.00", "90.00", "85.00 to 95.50", "90.00", "90.00", "20.00"]
    assert second == ["a *", "60.00", "40.00", "50.00", "", "50.00", "50.00", "60.00"]
    published = {row[0]: row[1:] for row in beside}
    assert published["M3-Net, published"] == ["67.90", "76.81", "75.04", "", "87.04", "32.01", ""]
    assert "published rows" in study_table.render(means, "text")
    assert "published" not in study_table.render({"a": mean([results(0.5)])}, "markdown")
    assert json.loads(study_table.render(means, "json"))[1]["overall"]["map"] == 0.5
    assert "no run" in study_table.render({}, "text")


def test_without_validation_nothing_is_chosen_and_other_seeds_are_told() -> None:
    unknown = mean([results(0.9, valid=None)])
    assert " * " not in study_table.render({"a": unknown, "b": unknown}, "text")
    text = study_table.render({"a": unknown, "b": mean([results(0.5, valid=0.1), results(0.5, 1, 0.1)])}, "text")
    assert "\nb * " in text
    assert text.endswith("\n\nOf other seeds: b (0 1)")


def test_a_study_goes_on_where_it_stopped_and_a_broken_run_costs_its_own_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from models.errors import TrainingError

    (tmp_path / "c.csv").write_text("image,neck\na.jpg,v\n")
    ran, stops = [], [True]

    def evaluated(config: Any, _: Path) -> tuple[dict[str, Any], float]:
        ran.append((config.model.system, config.training.seed))
        if ran[-1] == ("m3net", 1) and stops:
            stops.clear()
            raise KeyboardInterrupt
        if config.model.system == "asen":
            raise TrainingError("the loss is nan")
        return results(0.5, system=config.model.system), 0.4

    monkeypatch.setattr(local, "run_evaluation", evaluated)

    def planned(*more: str) -> dict[tuple[str, int], Any]:
        options = [f"data.catalogue={tmp_path / 'c.csv'}", *more]
        runs = [("m3net", 0), ("m3net", 1), ("asen", 0)]
        return {(s, i): load(QUICK, [*options, f"model.system={s}", f"training.seed={i}"]) for s, i in runs}

    with pytest.raises(KeyboardInterrupt):
        study.run(planned(), tmp_path)
    failed = study.run(planned(), tmp_path)
    assert ran == [("m3net", 0), ("m3net", 1), ("m3net", 1), ("asen", 0)]
    assert failed == {("asen", 0): "the loss is nan"}
    text = study.write([one for one in planned() if one not in failed], tmp_path, "text")
    assert "asen" not in text
    assert "m3net, seed 1: without interval and difference: " in capsys.readouterr().err  # no artifact lies here
    assert json.loads((tmp_path / "m3net" / "results.json").read_text())["seeds"] == [0, 1]
    assert {f.name for f in tmp_path.glob("study.*")} == {"study.md", "study.csv", "study.json"}
    ran.clear()
    study.run(planned("training.epochs=1"), tmp_path)  # another configuration is another run
    assert len(ran) == 3
