"""Boxes and crops by eye, and against Pillow's resize."""

import numpy as np
import pytest
from PIL import Image

from models.cropping import boxes, crop


def spot(rows: slice, columns: slice) -> np.ndarray:
    map_ = np.zeros((1, 1, 8, 8), np.float32)
    map_[..., rows, columns] = 1
    return map_


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        # At the map's own size nothing is enlarged: the box is the spot, its longer side the square's.
        (slice(2, 4), slice(3, 7), (1, 3, 4)),  # rows 2..3 grow around their middle to 1..4
        (slice(0, 1), slice(2, 5), (0, 2, 3)),  # moved into the frame at the top
        (slice(7, 8), slice(6, 8), (6, 6, 2)),  # and at the bottom
        (slice(0, 8), slice(0, 8), (0, 0, 8)),  # a flat map: 0 of its range everywhere, so nothing is inside; see below
    ],
)
def test_the_square_around_a_spot(rows: slice, columns: slice, expected: tuple[int, int, int]) -> None:
    got = np.asarray(boxes(spot(rows, columns), 8))[0, 0] * 8
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_a_tenth_of_the_range_is_the_border() -> None:
    map_ = np.full((1, 1, 8, 8), 5, np.float32)
    map_[0, 0, 2, 2], map_[0, 0, 5, 5], map_[0, 0, 7, 7] = 15, 6.1, 5.9  # 1, 0.11 and 0.09 of the range
    np.testing.assert_allclose(np.asarray(boxes(map_, 8))[0, 0] * 8, [2, 2, 4], atol=1e-6)


def test_the_map_is_enlarged_before_it_is_cut() -> None:
    map_ = np.zeros((1, 1, 2, 2), np.float32)
    map_[0, 0, 0, 0] = 1
    # Enlarged to 8, bilinear: along an axis 1 1 7/8 5/8 3/8 1/8 0 0, above a tenth on the first 6 (where the other is 1).
    np.testing.assert_allclose(np.asarray(boxes(map_, 8))[0, 0] * 8, [0, 0, 6], atol=1e-6)


@pytest.mark.parametrize(("box", "size"), [((0, 0, 40), 20), ((8, 12, 20), 20), ((3, 5, 30), 10), ((0, 16, 24), 48)])
def test_a_crop_is_pillows(box: tuple[int, int, int], size: int) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    top, left, side = box
    got = np.asarray(crop(photo[None].astype(np.float32), np.float32([[box]]) / 40, size))[0, 0]
    channels = [Image.fromarray(photo[..., c].astype(np.float32)) for c in range(3)]
    window = (left, top, left + side, top + side)
    cut = [one.resize((size, size), Image.Resampling.BILINEAR, box=window) for one in channels]
    inner = slice(size // 5, -size // 5)  # at the border Pillow looks at the window alone, this at the photo around it
    np.testing.assert_allclose(got[inner, inner], np.stack([np.asarray(c) for c in cut], -1)[inner, inner], atol=0.01)
