"""The gate by attribute: a fall beyond the margin that is no chance holds a model back, with figures; others do not."""

from typing import Any

import numpy as np
import pytest

from components.retrieval_evaluator.measure import Measured
from components.retrieval_evaluator.verdict import beside, fallen, verdict
from models.metrics import QueryMetrics


def measured(values: list[float]) -> Measured:
    found = np.array(values)
    metrics = QueryMetrics(**dict.fromkeys(QueryMetrics.__dataclass_fields__, found))
    return Measured([f"{i:03}" for i in range(len(values))], np.ones((len(values), 1), bool), metrics, 9)


def row(before: float, now: float, half: float) -> dict[str, Any]:
    difference = now - before
    return {
        "before": before,
        "now": now,
        "difference": difference,
        "low": difference - half,
        "high": difference + half,
        "p": 0.5,
        "sure": abs(difference) > half,
    }


@pytest.mark.parametrize(
    ("colour", "held"),
    [
        (row(0.8, 0.6, 0.05), True),  # 20 points, surely
        (row(0.8, 0.6, 0.25), False),  # 20 points, perhaps chance
        (row(0.8, 0.77, 0.01), False),  # surely, but within the margin
        (row(0.6, 0.8, 0.05), False),
    ],
)
def test_an_attribute_that_surely_falls_beyond_the_margin_holds_back(colour: dict[str, Any], held: bool) -> None:
    found = {"colour": colour, "length": row(0.5, 0.5, 0.1), "overall": row(0.6, 0.6, 0.1)}
    assert fallen(found, 0.05) == (["colour"] if held else [])
    blessed, reason = verdict({"overall": {"map": 0.6}}, found, min_map=0.3, max_drop=0.02, max_attribute_drop=0.05)
    assert blessed is not held
    line = (
        "colour fell from 80.00% to 60.00%, by 20.00% (95 % interval 15.00% to 25.00%), more than evaluation.max_attribute_drop"
    )
    assert (line in reason) is held


def test_all_reasons_are_told() -> None:
    found = {"colour": row(0.8, 0.6, 0.05), "overall": row(0.7, 0.6, 0.05)}
    blessed, reason = verdict({"overall": {"map": 0.1}}, found, 0.3, 0.02, 0.05)
    assert not blessed
    assert [part in reason for part in ("below evaluation.min_map", "evaluation.max_drop", "colour fell")] == [True] * 3


@pytest.mark.parametrize(
    ("floor", "words"), [(0.3, "60.00% reaches 30.00%;"), (0.0, "60.00% has no floor to reach (evaluation.min_map);")]
)
def test_without_a_floor_nothing_is_said_to_be_reached(floor: float, words: str) -> None:
    assert words in verdict({"overall": {"map": 0.6}}, {}, floor, 0.02)[1]


def test_beside_is_of_the_attributes_that_both_know() -> None:
    before = {"colour": measured([0.5] * 20), "gone": measured([1.0])}
    now = {"colour": measured([0.25] * 20), "new": measured([0.0])}
    found = beside(before, now)
    assert found.keys() == {"colour", "overall"}
    told = {"before": 0.5, "now": 0.25, "difference": -0.25, "low": -0.25, "high": -0.25, "sure": True}
    assert found["colour"] == {**told, "p": pytest.approx(0, abs=0.01)}
    assert beside({}, now) == {}


@pytest.mark.parametrize(("images", "held"), [(1, False), (3, False), (5, False), (8, True)])
def test_a_fall_on_a_handful_of_photos_may_be_chance(images: int, held: bool) -> None:
    found = beside({"colour": measured([0.9] * images)}, {"colour": measured([0.5] * images)})
    assert found["colour"]["high"] < 0  # even of one photo
    assert fallen(found, 0.05) == (["colour"] if held else [])
