"""Examples to arrays: the decoding that training and serving share, and labels as they were written."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from models.features import decode_photo, decode_photos, read_photos
from models.sampling import Photos
from models.taxonomy import Taxonomy


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    image.save(out, kind, quality=95)
    return out.getvalue()


def test_a_photo_of_the_right_size_keeps_its_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    decoded = decode_photo(encoded(Image.fromarray(pixels)), 8)
    assert decoded.dtype == tf.float32
    np.testing.assert_array_equal(decoded.numpy(), pixels)


def test_shrinking_averages_what_it_leaves_out() -> None:
    # Stripes of 0 and 200, one pixel wide: without antialiasing a quarter-size photo is all of one stripe.
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, ::2] = 200
    middle = decode_photo(encoded(Image.fromarray(pixels)), 8).numpy()[:, 2:-2]
    np.testing.assert_allclose(middle, 100, atol=1)


def test_pixels_are_whole_numbers_as_in_the_training_file() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 31, 3), np.uint8)
    decoded = decode_photo(encoded(Image.fromarray(pixels), "JPEG"), 16).numpy()
    assert decoded.shape == (16, 16, 3)  # squashed to a square
    np.testing.assert_array_equal(decoded, decoded.astype(np.uint8))


@pytest.mark.parametrize(("mode", "colour"), [("L", 70), ("RGBA", (70, 70, 70, 255)), ("P", 0)])
def test_other_kinds_of_image_become_rgb(mode: str, colour: object) -> None:
    image = Image.new(mode, (8, 8), colour)  # type: ignore[arg-type]
    if mode == "P":
        image.putpalette([70] * 768)
    np.testing.assert_array_equal(decode_photo(encoded(image), 4).numpy(), np.full((4, 4, 3), 70))


def test_a_batch_mixes_sizes() -> None:
    photos = [encoded(Image.new("RGB", size, (10, 20, 30))) for size in ((9, 5), (40, 60))]
    batch = decode_photos(tf.constant(photos), 6).numpy()
    np.testing.assert_array_equal(batch, np.broadcast_to([10, 20, 30], (2, 6, 6, 3)))


def test_examples_come_back_as_written_ordered_by_id(
    taxonomy: Taxonomy, draw: Callable[[int], Photos], write_examples: Callable[[Path, Photos], None], tmp_path: Path
) -> None:
    photos = draw(7)
    photos.labels[2] = [0, 0, 0, 1, 1]  # neck unlabelled, two sleeves
    order = np.array([4, 2, 6, 0])
    for shard, part in enumerate((order, np.array([5, 1, 3]))):
        rows = [photos.ids[i] for i in part], [photos.roles[i] for i in part]
        write_examples(tmp_path / f"Split-train/data-{shard}", Photos(photos.images, part, photos.labels[part], *rows))
    read = read_photos([f"{tmp_path}/Split-train/*"], taxonomy, 32, tmp_path / "cache")
    assert list(read.ids) == list(photos.ids)
    assert list(read.roles) == list(photos.roles)
    np.testing.assert_array_equal(read.labels, photos.labels)
    np.testing.assert_array_equal(read.batch(np.arange(7)), photos.images)
    assert isinstance(read.images, np.memmap)


def test_no_example_is_no_photo(taxonomy: Taxonomy, tmp_path: Path) -> None:
    read = read_photos([f"{tmp_path}/Split-valid/*"], taxonomy, 32, tmp_path / "cache")
    assert len(read.ids) == 0
    assert read.labels.shape == (0, 5)
