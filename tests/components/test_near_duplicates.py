"""Near-duplicates: what counts as one, each pair found once, and both sides of a pair in one split."""

import io
import json
from itertools import combinations
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from PIL import Image

from components.catalogue_gen.chunks import ROWS
from components.catalogue_gen.ingest import Near, ingest
from components.catalogue_gen.near_duplicates import BITS, PHOTO, SIGNATURE, Pair, bands, components, pairs, parts, signature
from components.catalogue_gen.shards import Folders
from tests.components.test_catalogue import encoded, examples, rejects

RANDOM = np.random.default_rng(3)


def picture(seed: int) -> Image.Image:
    """A smooth picture unlike any of another seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), np.uint8)
    return Image.fromarray(coarse).resize((200, 240), Image.Resampling.BICUBIC)


def again(photo: Image.Image, quality: int, size: tuple[int, int]) -> Image.Image:
    """As another shop would store it."""
    return Image.open(io.BytesIO(encoded(photo.resize(size, Image.Resampling.LANCZOS), quality=quality)))


def signed(*photos: bytes) -> np.ndarray:
    rows = np.zeros(len(photos), PHOTO)
    rows["place"] = rows["key"] = np.arange(len(photos))
    rows["signature"] = np.frombuffer(b"".join(photos), SIGNATURE)
    return rows


def apart(one: bytes, other: bytes) -> tuple[int, int]:
    """Bits that differ in the hash, and the largest difference of a colour: with Python's integers alone."""
    bits = int.from_bytes(one[: BITS // 8]) ^ int.from_bytes(other[: BITS // 8])
    return bits.bit_count(), max(abs(a - b) for a, b in zip(one[BITS // 8 :], other[BITS // 8 :], strict=True))


def search(rows: np.ndarray, bits: int) -> list[tuple[int, int, int]]:
    """All pairs, as the workers of all parts find them together."""
    found = [pair for (band, _), photos in parts(rows, bits) for pair in pairs(photos, band, bits)]
    return sorted((pair.first, pair.second, pair.distance) for pair in found)


def test_a_hash_says_where_brightness_rises_by_more_than_noise() -> None:
    ramp = np.zeros((8, 17, 3), np.uint8)
    ramp[0] = np.arange(17)[:, None] * 10  # rises at each of 16 steps
    ramp[1, 8:] = 200  # rises once, at the eighth
    ramp[2, 8:] = 3  # no more than noise
    ramp[3, :8] = 200  # falls
    assert signature(Image.fromarray(ramp))[: BITS // 8].hex() == "ffff" + "0100" + "0000" * 6


def test_stored_again_is_near_and_another_colour_or_picture_is_not() -> None:
    photo = picture(1)
    copies = [again(photo, 50, (200, 240)), again(photo, 90, (100, 120)), again(photo, 30, (400, 480))]
    for copy in copies:
        bits, colour = apart(signature(photo), signature(copy))
        assert bits <= 6
        assert colour <= 8
    red = Image.merge(
        "RGB", [band.point(lambda v, up=up: min(255, v + up)) for band, up in zip(photo.split(), (40, 0, 0), strict=True)]
    )
    assert apart(signature(photo), signature(red))[1] > 8
    assert apart(signature(photo), signature(picture(2)))[0] > 6


@pytest.mark.parametrize("bits", [0, 1, 3, 6, 20])
def test_bands_find_every_pair_that_comparing_all_finds_and_each_once(bits: int) -> None:
    base = [bytes(RANDOM.integers(0, 256, 16, np.uint8)) for _ in range(4)]
    photos = []
    for number in range(120):  # few bits of one of four hashes turned, so that all distances to 2 * 12 show
        turned = sum(1 << int(bit) for bit in RANDOM.choice(BITS, RANDOM.integers(0, 13), replace=False))
        colours = bytes(RANDOM.integers(100, 106 if number % 3 else 112, SIGNATURE["colours"].itemsize, np.uint8))
        photos.append((int.from_bytes(base[number % 4]) ^ turned).to_bytes(16) + colours)
    distances = {(i, j): apart(photos[i], photos[j]) for i, j in combinations(range(len(photos)), 2)}
    expected = sorted((i, j, d) for (i, j), (d, colour) in distances.items() if d <= bits and colour <= 8)
    assert search(signed(*photos), bits) == expected
    assert expected or bits == 0


def test_a_band_has_at_most_64_bits_and_they_share_all_128() -> None:
    zero, one = bytes(SIGNATURE.itemsize), bytearray(SIGNATURE.itemsize)
    for bit in range(BITS):
        one[bit // 8] = 1 << bit % 8
        shared = [values[0] == values[1] for values in bands(signed(zero, bytes(one)), 6)]
        assert shared.count(False) == 1  # each bit in exactly one band of 7
        one[bit // 8] = 0
    assert len(bands(signed(zero), 0)) == 3


def test_components_are_named_by_their_first_photo() -> None:
    found = [Pair(5, 50, 7, 70, 1), Pair(2, 20, 7, 70, 3), Pair(8, 80, 9, 90, 0), Pair(10, 80, 11, 80, 0)]
    assert components(found) == {50: 20, 70: 20, 90: 80}
    assert components(reversed(found)) == {50: 20, 70: 20, 90: 80}


class Shop:
    """Pictures a, b, c; a2 and a3 are a stored again, b2 is b's file under another name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        photos = {"a": picture(1), "b": picture(2), "c": picture(3)}
        photos |= {"a2": again(photos["a"], 60, (100, 120)), "a3": again(photos["a"], 40, (200, 240)), "b2": photos["b"]}
        for name, photo in photos.items():
            (folder / f"{name}.jpg").write_bytes(encoded(photo))

    def ingest(self, rows: str, mode: str = "report", chunk: int = ROWS) -> Path:
        (self.folder / "catalogue.csv").write_text(f"image,id,group,split,neck\n{rows}")
        output = self.folder / f"{mode}-{chunk}"
        folders = Folders(*(str(output / name) for name in ("examples", "labels", "staging")), 1)
        with beam.Pipeline() as pipeline:
            ingest(pipeline, str(self.folder / "catalogue.csv"), folders, near=Near(mode), chunk=chunk)
        return output / "examples"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def report(folder: Path) -> set[tuple[str, ...]]:
    lines = [json.loads(line) for file in (folder / "near_duplicates").iterdir() for line in file.read_text().splitlines()]
    assert all(0 <= line["distance"] <= 6 for line in lines)
    found = [(*line["ids"], *line["splits"]) for line in lines]
    assert len(found) == len(set(found))
    return set(found)


GIVEN = "a.jpg,a,,train,v\nb.jpg,b,,test,u\na2.jpg,a2,,test,v\nb2.jpg,b2,,test,u\nc.jpg,c,,train,v\na.jpg,a,,test,v\n"


def test_given_splits_are_kept_and_reported(shop: Shop) -> None:
    folder = shop.ingest(GIVEN, chunk=2)
    assert report(folder) == {("a", "a2", "train", "test"), ("b", "b2", "test", "test")}
    assert set(examples(folder, "test")) == {"b", "a2", "b2"}
    assert set(rejects(folder)) == {7}  # its id is taken; it is in no pair


def test_reject_refuses_the_later_side(shop: Shop) -> None:
    folder = shop.ingest(GIVEN, "reject")
    assert report(folder) == {("a", "a2", "train", "rejected"), ("b", "b2", "test", "test")}
    assert "near-duplicate of photos that are in train by row 2, here in test" in rejects(folder)[4]
    assert set(examples(folder, "test")) == {"b", "b2"}


def test_off_looks_for_none(shop: Shop) -> None:
    folder = shop.ingest(GIVEN, "off")
    assert report(folder) == set()
    assert set(examples(folder, "test")) == {"b", "a2", "b2"}


def test_drawn_splits_follow_their_near_duplicates_and_groups_in_any_chunks(shop: Shop) -> None:
    ids = iter(range(1000))
    rows = "".join(f"{name}.jpg,{name}-{next(ids)},,,v\n" for name in ("a", "c", "b", "a2", "b2", "a3"))
    rows += "".join(f"c.jpg,tied-{i},g,,v\n" for i in range(3)) + "a.jpg,far,g,,v\n"  # g holds a c and an a: all one side
    found = []
    for chunk in (1, 3, ROWS):
        folder = shop.ingest(rows, chunk=chunk)
        splits = {name: split for split in ("train", "valid", "test") for name in examples(folder, split)}
        assert len(splits) == 10
        assert len({split for name, split in splits.items() if not name.startswith("b")}) == 1
        assert len({split for name, split in splits.items() if name.startswith("b")}) == 1
        found.append((splits, report(folder)))
    assert found[0] == found[1] == found[2]
