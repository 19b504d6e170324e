"""Odd labels are found and said in a line; chance is not; what stopped a run is no measure for the next."""

import json
from pathlib import Path
from typing import Any

import pytest
from tfx.types import standard_artifacts

from components import artifacts
from components.catalogue_gen.span_counts import SpanCount, write_spans
from components.errors import InputError
from components.label_validator import executor
from components.label_validator.baseline import CHECKED, PASSED, StatisticsBefore
from components.label_validator.findings import against_schema, drift, shares, skew
from components.label_validator.newest_span import span_drift

import pandas as pd  # isort: skip  (TFDV after TFX)
import tensorflow_data_validation as tfdv  # isort: skip


def statistics(**columns: list[str | None]) -> Any:
    frame = pd.DataFrame({f"label/{name}": values for name, values in columns.items()})
    return tfdv.generate_statistics_from_dataframe(frame)


def schema(found: Any) -> Any:
    return tfdv.infer_schema(found, infer_feature_shape=False)


BEFORE = statistics(colour=["red"] * 100 + ["blue"] * 900, neckline=["v"] * 500 + ["round"] * 400 + [None] * 100)


def test_shares_are_those_of_the_labelled() -> None:
    found = shares(BEFORE)
    assert found["colour"].classes == {"red": 0.1, "blue": 0.9}
    assert found["neckline"].labelled == pytest.approx(0.9)
    assert found["neckline"].classes["v"] == pytest.approx(5 / 9)


def test_drift_names_what_moved_what_came_and_what_went() -> None:
    now = statistics(colour=["red"] * 400 + ["blue"] * 600, sleeve=["long"] * 1000)
    lines = [one.text for one in drift("train", BEFORE, now, schema(now), 0.1)]
    assert lines == [
        'train, colour: "blue" is 90.0% of the labels in the last run, 60.0% now',
        "train, neckline: the attribute is gone since the last run",
        "train, sleeve: the attribute is new since the last run",
    ]


def test_drift_of_classes_and_of_the_labelled_share() -> None:
    now = statistics(colour=["red"] * 100 + ["green"] * 900, neckline=["v"] * 250 + ["round"] * 200 + [None] * 550)
    lines = [one.text for one in drift("train", BEFORE, now, schema(now), 0.1)]
    assert "train, colour: classes new since the last run: green" in lines
    assert "train, colour: classes gone since the last run: blue" in lines
    assert "train, neckline: 90.0% of the photos were labelled in the last run, 45.0% now" in lines


def test_what_chance_does_to_a_small_split_is_no_finding() -> None:
    small = statistics(colour=["red"] * 6 + ["blue"] * 14, neckline=["v"] * 9 + ["round"] * 11)  # 30 % of 20, not 10 %
    assert not list(skew("valid", BEFORE, small, schema(BEFORE), 0.1))
    large = statistics(colour=["red"] * 600 + ["blue"] * 1400, neckline=["v"] * 1000 + ["round"] * 1000)
    assert [one.attribute for one in skew("test", BEFORE, large, schema(BEFORE), 0.1)] == ["colour"]


def test_a_class_outside_the_given_schema_is_named() -> None:
    now = statistics(colour=["red"] * 10 + ["grene"] * 90, neckline=["v"] * 100)
    found = list(against_schema("test", tfdv.validate_statistics(now, schema(BEFORE))))
    assert [(one.kind, one.attribute) for one in found] == [("schema", "colour")]
    assert "grene" in found[0].text


def counted(span: int, unlabelled: int = 0, split: str = "train", **classes: int) -> list[SpanCount]:
    labelled = sum(classes.values())
    rows = [SpanCount(split, span, "", "", labelled + unlabelled), SpanCount(split, span, "colour", "", labelled)]
    return [*rows, *(SpanCount(split, span, "colour", name, count) for name, count in classes.items())]


def test_the_newest_span_is_held_against_the_earlier_ones_alone() -> None:
    before = [
        *counted(1, red=50, blue=225, green=225),
        *counted(2, red=50, blue=225, green=225),
        *counted(1, split="test", red=9, blue=1),
    ]
    odd = counted(3, red=80, blue=10, green=10)  # in all spans together red moves by 6 points, from 10 % to 16.4 %
    assert [one.text for one in span_drift("train", [*odd, *before], 0.1)] == [
        'train, colour: "red" is 10.0% of the labels in the earlier spans, 80.0% in span 3'
    ]
    assert not list(span_drift("test", [*odd, *before], 0.1))  # no photo of the newest span there
    assert not list(span_drift("train", [*counted(3, red=3, blue=4, green=5), *before], 0.1))  # chance
    assert not list(span_drift("train", before, 0.1))
    assert not list(span_drift("train", [], 0.1))


def test_a_span_without_labels_is_found_and_a_rare_class_may_be_absent() -> None:
    before = counted(1, red=500, blue=480, green=20)
    assert [one.text for one in span_drift("train", [*before, *counted(2, unlabelled=100)], 0.1)] == [
        "train, colour: 100.0% of the photos were labelled in the earlier spans, 0.0% in span 2"
    ]
    assert not list(span_drift("train", [*before, *counted(2, red=51, blue=49)], 0.1))


def artifact(kind: Any, uri: Path, ident: int, **properties: int) -> Any:
    made = kind()
    made.uri, made.id = str(uri), ident
    for name, value in properties.items():
        made.set_int_custom_property(name, value)
    return made


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, list[Any]]:
    """A run whose labels drifted: statistics 2 against statistics 1, schema and anomalies of TFX's own writers."""
    from tfx.utils import io_utils, writer_utils

    now = statistics(colour=["red"] * 900 + ["blue"] * 100, neckline=["v"] * 1000)
    found = {"labels": [artifact(standard_artifacts.Examples, tmp_path / "labels", 0)]}
    for key, ident, proto in (("baseline_statistics", 1, BEFORE), ("statistics", 2, now)):
        found[key] = [artifact(standard_artifacts.ExampleStatistics, tmp_path / key, ident)]
        found[key][0].split_names = '["train", "valid", "test"]'
        for split in ("train", "valid", "test"):
            (tmp_path / key / f"Split-{split}").mkdir(parents=True)
            empty = statistics(colour=[], neckline=[])
            text = (proto if split == "train" else empty).SerializeToString()
            (tmp_path / key / f"Split-{split}" / "FeatureStats.pb").write_bytes(text)
    found["schema"] = [artifact(standard_artifacts.Schema, tmp_path / "schema", 3)]
    io_utils.write_pbtxt_file(str(tmp_path / "schema" / "schema.pbtxt"), schema(now))
    found["anomalies"] = [artifact(standard_artifacts.ExampleAnomalies, tmp_path / "anomalies", 4)]
    found["anomalies"][0].split_names = '["train", "valid", "test"]'
    file = tmp_path / "anomalies" / "Split-train" / "SchemaDiff.pb"
    file.parent.mkdir(parents=True)
    writer_utils.write_anomalies(str(file), tfdv.validate_statistics(now, schema(now)))
    return found


@pytest.mark.parametrize("on_anomaly", ["warn", "stop"])
def test_it_warns_or_stops_as_told(
    inputs: dict[str, list[Any]], tmp_path: Path, on_anomaly: str, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = artifact(artifacts.LabelChecks, tmp_path / "checks", 5)
    properties = {"max_skew": 0.1, "max_drift": 0.1, "on_anomaly": on_anomaly}
    if on_anomaly == "stop":
        with pytest.raises(InputError, match=r"not as expected.*validation\.on_anomaly=warn") as caught:
            executor.Executor().Do(inputs, {"checks": [checks]}, properties)
        assert "\n" not in str(caught.value)
        assert not checks.has_custom_property(PASSED)
    else:
        executor.Executor().Do(inputs, {"checks": [checks]}, properties)
        assert checks.get_int_custom_property(CHECKED) == 2
    found = json.loads((tmp_path / "checks" / "findings.json").read_text())
    assert {(one["kind"], one["attribute"]) for one in found} == {("drift", "colour"), ("drift", "neckline")}
    assert "drift: train, colour" in capsys.readouterr().err


def test_the_newest_spans_drift_is_among_the_findings(inputs: dict[str, list[Any]], tmp_path: Path) -> None:
    checks = artifact(artifacts.LabelChecks, tmp_path / "checks", 5)
    spans = [*counted(1, red=900), *counted(2, blue=100)]
    write_spans({one[:4]: one.photos for one in spans}, str(tmp_path / "labels"))
    properties = {"max_skew": 1.0, "max_drift": 0.1, "on_anomaly": "warn"}
    executor.Executor().Do({**inputs, "baseline_statistics": []}, {"checks": [checks]}, properties)
    found = json.loads((tmp_path / "checks" / "findings.json").read_text())
    text = 'train, colour: "blue" is 0.0% of the labels in the earlier spans, 100.0% in span 2'
    assert found == [{"kind": "drift", "split": "train", "attribute": "colour", "text": text}]


def test_the_last_run_is_the_last_that_passed_before_this_one(tmp_path: Path) -> None:
    all_of = [artifact(standard_artifacts.ExampleStatistics, tmp_path, ident) for ident in (1, 4, 7, 9)]
    checks = [artifact(artifacts.LabelChecks, tmp_path, 10 + i, **{CHECKED: i, PASSED: 1}) for i in (1, 4, 9)]
    for current, expected in ((9, [4]), (7, [4]), (4, [1]), (1, [])):
        at_hand = [one for one in all_of if one.id == current]
        asked = {"statistics": all_of, "checks": checks, StatisticsBefore.CURRENT: at_hand}
        assert [one.id for one in StatisticsBefore().resolve_artifacts(None, asked)["statistics"]] == expected
