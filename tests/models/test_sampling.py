"""Batches follow from (seed, epoch, batch); augmentation makes shifts and mirrors, and nothing else."""

import itertools

import numpy as np
import pytest

from models.recipe import TrainingConfig
from models.sampling import Batches, Photos, augment

PHOTO = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)  # no two pixels alike


def variants(shifts: tuple[int, ...], mirrors: tuple[bool, ...]) -> set[bytes]:
    """Every photo that augmentation may make of `PHOTO`, pixel by pixel."""
    found = set()
    for dy, dx, mirror in itertools.product(shifts, shifts, mirrors):
        moved = np.zeros_like(PHOTO)
        for y, x in itertools.product(range(4), range(4)):
            moved[y, x] = PHOTO[min(max(y + dy, 0), 3), min(max(x + dx, 0), 3)]
        found.add((moved[:, ::-1] if mirror else moved).tobytes())
    return found


@pytest.mark.parametrize(
    ("shift", "flip", "shifts", "mirrors"),
    [
        (1, True, (-1, 0, 1), (False, True)),
        (1, False, (-1, 0, 1), (False,)),
        (0, True, (0,), (False, True)),
        (0, False, (0,), (False,)),
    ],
)
def test_exactly_the_shifts_and_mirrors_that_were_asked_for(
    shift: int, flip: bool, shifts: tuple[int, ...], mirrors: tuple[bool, ...]
) -> None:
    recipe = TrainingConfig(shift=shift, flip=flip)
    made = augment(np.repeat(PHOTO[None], 600, axis=0), recipe, np.random.default_rng(0))
    assert {photo.tobytes() for photo in made} == variants(shifts, mirrors)


def test_zoom_stretches_height_and_width_each_by_itself_about_the_middle() -> None:
    line = np.arange(101, dtype=np.uint8)
    ramp = np.stack([*np.meshgrid(line, line, indexing="ij"), np.zeros((101, 101), np.uint8)], axis=-1)
    recipe = TrainingConfig(shift=0, flip=False, zoom=0.2)
    made = augment(np.repeat(ramp[None], 400, axis=0), recipe, np.random.default_rng(0)).astype(float)
    rows, columns = made[:, :, 0, 0], made[:, 0, :, 1]
    assert (rows[:, 50] == 50).all()
    steps = np.stack([(lines[:, 75] - lines[:, 25]) / 50 for lines in (rows, columns)])
    assert 0.8 - 0.02 <= steps.min() < 0.85
    assert 1.15 < steps.max() <= 1.2 + 0.02
    assert abs(np.corrcoef(steps)[0, 1]) < 0.2
    expected = np.clip(50 + (line - 50.0) * steps[0][:, None], 0, 100)
    assert np.abs(rows - expected).max() <= 1.51  # the nearest pixel, and the step known to a fiftieth


PLAIN = TrainingConfig(batch_size=4, flip=False, shift=0, seed=3)


def seen(batches: Batches) -> list[int]:
    """Which photos an epoch shows, in order: `images[i]` is filled with i."""
    return [int(i) for b in range(len(batches)) for i in batches[b][0]["images"][:, 0, 0, 0]]


def numbered(count: int) -> Photos:
    images = np.repeat(np.arange(count, dtype=np.uint8), 12).reshape(count, 2, 2, 3)
    text = [str(i) for i in range(count)]
    return Photos(images, np.arange(count), np.eye(count, dtype=np.uint8), text, text)


def test_an_epoch_shows_no_photo_twice_in_full_batches_and_the_next_another_order() -> None:
    batches = Batches(numbered(10), PLAIN)
    first = seen(batches)
    assert len(batches) == 2
    assert len(set(first)) == len(first) == 8
    batches.on_epoch_end()
    assert seen(batches) != first


def test_any_batch_can_be_made_again() -> None:
    one, two = (Batches(numbered(10), TrainingConfig(batch_size=4, shift=1, seed=3)) for _ in range(2))
    _ = two[1]  # asked for in another order
    for left, right in zip(one[0], two[0], strict=True):
        assert left.keys() == right.keys()
        for key in left:
            np.testing.assert_array_equal(left[key], right[key])
    assert seen(Batches(numbered(10), PLAIN)) != seen(Batches(numbered(10), TrainingConfig(batch_size=4, shift=0, seed=4)))


def test_labels_stay_with_their_photo() -> None:
    shown, told = Batches(numbered(10), PLAIN)[0]
    np.testing.assert_array_equal(shown["images"][:, 0, 0, 0], told["labels"].argmax(axis=1))
    np.testing.assert_array_equal(shown["images"][:, 0, 0, 0], told["photo"])


def test_views_show_the_same_photos_again_each_time_augmented_anew() -> None:
    recipe = TrainingConfig(batch_size=4, flip=True, shift=1, views=2)
    photos = Photos(
        np.repeat(PHOTO[None], 8, axis=0), np.arange(8), np.eye(8, dtype=np.uint8), list("abcdefgh"), list("abcdefgh")
    )
    shown, told = Batches(photos, recipe)[0]
    np.testing.assert_array_equal(told["photo"][:4], told["photo"][4:])
    np.testing.assert_array_equal(told["labels"][:4], told["labels"][4:])
    assert (shown["images"][:4] != shown["images"][4:]).any()


@pytest.mark.parametrize("count", [1, 3])
def test_fewer_photos_than_a_batch_make_one_smaller_batch(count: int) -> None:
    batches = Batches(numbered(count), PLAIN)
    assert len(batches) == 1
    assert sorted(seen(batches)) == list(range(count))


def test_place_says_where_a_photos_pixels_are() -> None:
    photos = numbered(3)
    moved = Photos(photos.images[::-1], np.array([2, 1, 0]), photos.labels, photos.ids, photos.roles)
    np.testing.assert_array_equal(moved.batch(np.array([0, 2]))[:, 0, 0, 0], [0, 2])
