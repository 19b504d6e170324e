"""Calibration, curves, photos, rejects, durations and the published rows: each against numbers worked out by hand."""

import base64
import io
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipeline.progress import spoken
from pipeline.published import published, same_attribute
from pipeline.report import charts, curves, near_duplicates, rejects
from pipeline.report.calibration import calibrate
from pipeline.report.page import percent
from pipeline.report.photos import heat, read_photos, thumbnail

LISTS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "lists"


def test_calibration_error_by_hand() -> None:
    # Bin (0.5, 0.6]: two photos, confidence 0.58, accuracy 0.5, gap 0.08. Bin (0.9, 1]: two, 0.975 and 1, gap 0.025.
    found = calibrate(np.array([0.56, 0.6, 0.95, 1.0]), np.array([True, False, True, True]))
    assert [(b.low, b.photos) for b in found.bins] == [(0.5, 2), (0.9, 2)]
    assert found.error == pytest.approx((2 * 0.08 + 2 * 0.025) / 4)
    assert (found.accuracy, found.confidence) == pytest.approx((0.75, 0.7775))


def test_the_reliability_diagram_draws_accuracy_at_its_confidence() -> None:
    found = calibrate(np.repeat([0.55, 0.95], 10), np.repeat([True, True, False, True], 5))  # 100 % at 0.55, 50 % at 0.95
    svg = charts.reliability(found, "<x>")
    bars = re.findall(r'<rect class="bar" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', svg)
    (x1, _, _, tall), (x2, _, _, short) = (tuple(map(float, bar)) for bar in bars)
    assert x1 < x2
    assert short == pytest.approx(tall / 2)
    assert "&lt;x&gt;" in svg
    assert "<x>" not in svg


def test_a_bin_that_is_wrong_throughout_is_drawn() -> None:
    svg = charts.reliability(calibrate(np.array([0.55]), np.array([False])), "x")
    assert re.findall(r'height="([\d.]+)"><title>50 to 60 %: 1 photo, accuracy 0.00 %', svg) == ["2.0"]


def test_curves_of_a_history(tmp_path: Path) -> None:
    text = "epoch,loss,l_m,l_ci,valid_map\n1,4,3,0,0.25\n2,2,1.5,0,0.5\n3,1,0.5,0,\n"
    (tmp_path / "history.csv").write_text(text)
    history = curves.read_history(tmp_path / "history.csv")
    assert [line.name for line in curves.losses(history)] == ["loss", "L_M"]  # l_ci was not trained
    assert curves.kept_epoch(history) == 2
    assert curves.line(history, "valid_map", "v", 100).points == ((1, 25), (2, 50))
    svg = charts.curves(curves.losses(history), "epoch", "loss", mark=2)
    points = [tuple(map(float, p.split(","))) for p in re.search(r'class="line l0" points="([^"]+)"', svg)[1].split()]
    (x1, y1), (x2, y2), (x3, y3) = points
    assert x2 - x1 == pytest.approx(x3 - x2)
    assert y2 - y1 == pytest.approx(2 * (y3 - y2))  # down by 2, then by 1
    assert curves.read_history(tmp_path / "none.csv") == []
    assert curves.kept_epoch([{"epoch": 1, "loss": 1}]) is None


@pytest.mark.parametrize(("value", "end"), [(0, 1), (0.3, 0.5), (1, 1), (1.2, 2), (2.4, 2.5), (31, 50), (99, 100), (260, 500)])
def test_axes_end_on_numbers_people_read(value: float, end: float) -> None:
    assert charts.round_up(value) == pytest.approx(end)


def test_one_epoch_is_a_curve_too() -> None:
    points = re.search(r'class="line l0" points="([^"]+)"', charts.curves([charts.Line("loss", ((1, 2.0),))], "epoch", "loss"))[
        1
    ]
    (left, y), (right, same) = (tuple(map(float, point.split(","))) for point in points.split())
    assert left < right  # or nothing would be seen
    assert y == same


def pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1]))))


def test_heat_is_opaque_where_attention_is() -> None:
    drawn = pixels(heat(np.array([[0.0, 0.1, 0.2], [0.4, 0.1, 0.2]])))
    assert drawn.shape == (2, 3, 4)
    alpha = drawn[..., 3] / drawn[1, 0, 3]
    assert alpha == pytest.approx(np.array([[0, 0.25, 0.5], [1, 0.25, 0.5]]), abs=0.01)
    assert not pixels(heat(np.zeros((2, 2))))[..., 3].any()


def jpeg(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(out, "jpeg")
    return out.getvalue()


def test_only_the_photos_asked_for_are_read(tmp_path: Path) -> None:
    (tmp_path / "Split-test").mkdir()
    with tf.io.TFRecordWriter(str(tmp_path / "Split-test" / "data_tfrecord-00000-of-00001")) as file:
        for name, photo in (("a", jpeg(200, 400)), ("b", jpeg(10, 10)), ("c", b"")):
            texts = {"image/id": name.encode(), "image/encoded": photo}
            features = {k: tf.train.Feature(bytes_list=tf.train.BytesList(value=[v])) for k, v in texts.items()}
            file.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    found = read_photos(tmp_path, "test", {"a", "c", "nowhere"})
    assert set(found) == {"a"}  # c is stored without a photo
    small = thumbnail(found["a"])
    assert (small.width, small.height) == (72, 144)
    assert pixels(small.uri).shape == (144, 72, 3)


def test_near_duplicates_in_two_splits_come_first_then_the_least_alike(tmp_path: Path) -> None:
    assert near_duplicates.read(tmp_path) is None
    lines = [
        ("a", "b", 0, "train", "train"),
        ("c", "d", 5, "test", "test"),
        ("e", "f", 1, "test", "train"),
        ("g", "h", 6, "train", "rejected"),
    ]
    made = [{"ids": [one, other], "distance": bits, "splits": [left, right]} for one, other, bits, left, right in lines]
    made += [{"ids": [f"x{i}", f"y{i}"], "distance": 0, "splits": ["train", "train"]} for i in range(20)]
    (tmp_path / "near_duplicates").mkdir()
    (tmp_path / "near_duplicates" / "pairs.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in made))
    found = near_duplicates.read(tmp_path)
    assert found
    assert (found.pairs, found.apart, len(found.shown)) == (24, 1, 12)
    assert [pair.ids[0] for pair in found.shown[:4]] == ["e", "g", "c", "a"]


def test_rejects_are_counted_by_sort_of_reason(tmp_path: Path) -> None:
    reasons = ['image "a.jpg": not there', "too few fields: 2, the header has 9", 'image "b.jpg": not there']
    (tmp_path / "rejects").mkdir()
    lines = [json.dumps({"file": "c.csv", "row": 7 + i, "reason": reason}) for i, reason in enumerate(reasons)]
    (tmp_path / "rejects" / "r.jsonl").write_text("\n".join(lines))
    common, rare = rejects.kinds(tmp_path)
    assert (common.count, common.file, common.row, common.reason) == (2, "c.csv", 7, reasons[0])
    assert (rare.count, rare.row) == (1, 8)


@pytest.mark.parametrize(("value", "text"), [(0.04, "0.0 s"), (59.94, "59.9 s"), (725, "12 min 05 s"), (12_010, "3 h 20 min")])
def test_durations_for_people(value: float, text: str) -> None:
    assert spoken(value) == text


def test_fractions_are_percent_with_two_decimals() -> None:
    assert percent(0.46801) == "46.80"


@pytest.mark.skipif(not LISTS.is_dir(), reason="the public lists are not in ../shared/data")
@pytest.mark.parametrize(("dataset", "tolerance"), [("FashionAI", 0.011), ("DARN", 0.13), ("DeepFashion", 0.36)])
def test_published_attributes_average_to_the_published_overall(dataset: str, tolerance: float) -> None:
    """By the queries of the public lists: exactly on FashionAI; the paper's DARN and DeepFashion had other lists."""
    lines = (LISTS / dataset / "query_test.txt").read_text().splitlines()
    counted = Counter(int(line.split()[1]) for line in lines if line.strip())
    queries = [counted[i] for i in sorted(counted)]
    rows = [row for row in published(dataset) if row.by_attribute]
    assert len(rows) == 7
    for row in rows:
        values = list(row.by_attribute.values())
        assert len(values) == len(queries)
        assert np.average(values, weights=queries) == pytest.approx(row.overall[0], abs=tolerance)


def test_published_rows_are_for_the_papers_data_sets_alone() -> None:
    assert {row.protocol for row in published("fashionai")} == {"attribute"}
    assert {row.protocol for row in published("DeepFashion") if row.by_attribute} == {"pair"}
    assert published("sample") == []
    assert published("FashionAI-mine") == []


def test_attributes_are_matched_however_they_are_spelt() -> None:
    assert same_attribute("clothes color", "clothes_color")
    assert same_attribute("texture", "texture-related")
    assert not same_attribute("sleeve length", "sleeve shape")
