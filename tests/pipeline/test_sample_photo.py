"""The boxes are true: a garment that differs in one attribute changes the photo inside that attribute's boxes alone."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.sample.classes import CLASSES
from pipeline.sample.garment import Garment, deal_garment
from pipeline.sample.photo import Photo, draw_photo
from pipeline.sample.pose import Box, deal_pose
from pipeline.sample.shapes import points

PHOTOS = range(40, 48)  # turned, shifted and scaled each in its own way; figures, hangers, long hair and leaves among them


def changed(first: Photo, second: Photo) -> npt.NDArray[np.bool_]:
    """(height, width): whether a pixel differs by more than an edge does that is drawn from another corner."""
    a, b = (np.asarray(photo.image, dtype=np.int16) for photo in (first, second))
    difference: npt.NDArray[np.int16] = np.abs(a - b).max(axis=2)
    return difference > 8


def boxes(photo: Photo, attribute: str) -> list[Box]:
    return [region.box for region in photo.regions if region.attribute == attribute]


def hull(found: list[Box]) -> Box:
    left, top, right, bottom = zip(*found, strict=True)
    return Box(min(left), min(top), max(right), max(bottom))


def around(mask: npt.NDArray[np.bool_]) -> Box:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def outside(mask: npt.NDArray[np.bool_], allowed: list[Box]) -> int:
    """How many changed pixels lie in no box, and not at its edge either: the camera's focus spreads one by two pixels."""
    left = mask.copy()
    for box in allowed:
        left[max(box.top - 2, 0) : box.bottom + 2, max(box.left - 2, 0) : box.right + 2] = False
    return int(left.sum())


def bare(index: int) -> Garment:
    """A garment without details, for a belt sits higher on a crop top and a pocket may lie under a collar."""
    return replace(deal_garment(0, index), details=("none",))


def with_class(garment: Garment, attribute: str, name: str) -> Garment:
    return replace(garment, neckline=name) if attribute == "neckline" else replace(garment, sleeve_length=name)


@pytest.mark.parametrize("index", PHOTOS)
@pytest.mark.parametrize("attribute", ["neckline", "sleeve_length"])
def test_another_class_changes_pixels_inside_both_boxes_alone(attribute: str, index: int) -> None:
    garment = bare(index)
    shown = garment.classes(attribute)[0]
    first = draw_photo(garment, 0, index)
    for other in CLASSES[attribute]:
        if other != shown:
            second = draw_photo(with_class(garment, attribute, other), 0, index)
            mask = changed(first, second)
            assert mask.sum() > 60, other
            assert outside(mask, boxes(first, attribute) + boxes(second, attribute)) <= 0.02 * mask.sum(), other


@pytest.mark.parametrize("index", PHOTOS)
@pytest.mark.parametrize(
    ("attribute", "one", "other"),
    [("neckline", "turtleneck", "v_neck"), ("neckline", "boat", "shirt_collar"), ("sleeve_length", "sleeveless", "short")],
)
def test_boxes_end_where_the_change_does(attribute: str, one: str, other: str, index: int) -> None:
    first, second = (draw_photo(with_class(bare(index), attribute, name), 0, index) for name in (one, other))
    mask = changed(first, second)
    seen, claimed = around(mask), hull(boxes(first, attribute) + boxes(second, attribute))
    # The margin, and what a lock of hair or a leaf hides.
    assert max(seen.left - claimed.left, claimed.right - seen.right) <= 8
    assert max(seen.top - claimed.top, claimed.bottom - seen.bottom) <= 8


@pytest.mark.parametrize("index", PHOTOS)
def test_another_length_changes_pixels_from_hem_to_hem(index: int) -> None:
    crop, knee = (draw_photo(replace(bare(index), length=length), 0, index) for length in ("crop", "knee"))
    mask = changed(crop, knee)
    between = hull(boxes(crop, "length") + boxes(knee, "length"))
    assert outside(mask, [between]) <= 0.01 * mask.sum()
    # Nothing looser than a hem's band: 0.1 above the hem and 0.05 below, so at most 40 pixels even when turned.
    assert around(mask).top - between.top < 40
    assert between.bottom - around(mask).bottom < 40


@pytest.mark.parametrize("index", PHOTOS)
@pytest.mark.parametrize("detail", [name for name in CLASSES["details"] if name != "none"])
def test_a_detail_changes_pixels_inside_its_box_and_fills_it(detail: str, index: int) -> None:
    garment = replace(bare(index), colour="red", pattern="plain")  # no cloth has a trimming's colour
    without, with_it = draw_photo(garment, 0, index), draw_photo(replace(garment, details=(detail,)), 0, index)
    mask = changed(without, with_it)
    (box,) = boxes(with_it, "details")
    assert outside(mask, [box]) == 0
    assert np.abs(np.subtract(around(mask), box)).max() <= 4


@pytest.mark.parametrize("index", PHOTOS)
def test_colour_and_pattern_show_on_the_whole_garment(index: int) -> None:
    garment = replace(bare(index), pattern="plain")
    first, second = (draw_photo(replace(garment, colour=colour), 0, index) for colour in ("green", "pink"))
    mask = changed(first, second)
    (box,) = boxes(first, "colour")
    assert boxes(first, "pattern") == [box]
    assert outside(mask, [box]) <= 0.01 * mask.sum()
    assert np.abs(np.subtract(around(mask), box)).max() <= 12


def test_pose_maps_there_and_back() -> None:
    pose = deal_pose(0, 7)
    pixels = pose.to_pixels(points((0.1, 0.7), (-0.4, 0.0)))
    x, y = pose.to_garment(Box(0, 0, pose.width, pose.height))
    for (column, row), (wanted_x, wanted_y) in zip(pixels, ((0.1, 0.7), (-0.4, 0.0)), strict=True):
        at = int(row), int(column)
        # The centre of the pixel that holds the point: at most 0.71 pixels away, and a unit has about 90.
        assert (x[at], y[at]) == pytest.approx((wanted_x, wanted_y), abs=0.71 / 60)


@pytest.mark.parametrize("attribute", CLASSES)
def test_classes_are_dealt_evenly(attribute: str) -> None:
    classes = CLASSES[attribute]
    dealt = [deal_garment(5, index).classes(attribute) for index in range(4 * len(classes))]
    for name in classes:
        count = sum(name in cell for cell in dealt)
        assert count >= 4 if attribute == "details" else count == 4
