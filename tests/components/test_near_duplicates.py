"""Near-duplicates: what counts as one, each pair found once, and both sides of a pair in one split."""

import io
import json
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.catalogue_gen.chunks import CHUNK_ROWS
from components.catalogue_gen.ingest import NearPolicy, ingest
from components.catalogue_gen.near_duplicates import (
    BITS,
    PAIR,
    PHOTO,
    SIGNATURE,
    alike,
    bands,
    by_band,
    component_of,
    connected_components,
    near_pairs,
    signature,
)
from components.catalogue_gen.shards import Folders
from tests.components.direct import direct_pipeline
from tests.components.test_catalogue import examples, rejects
from tests.components.test_photo import encoded

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


def of_contrast(one: bytes, other: bytes) -> Fraction:
    """The mean square difference of two photos' colours, over the lesser variance of either; exact."""
    a, b = ([list(photo[BITS // 8 + band :: 3]) for band in range(3)] for photo in (one, other))
    difference = Fraction(sum((x - y) ** 2 for p, q in zip(a, b, strict=True) for x, y in zip(p, q, strict=True)), 64)
    variance = min(sum(Fraction(sum(x * x for x in p), 64) - Fraction(sum(p), 64) ** 2 for p in photo) for photo in (a, b))
    return difference / variance


def search(rows: np.ndarray, bits: int) -> list[tuple[int, int, int]]:
    """All pairs, as the workers of all parts find them together."""
    found = [pairs for (band, _), photos in by_band(rows, bits) for pairs in near_pairs(photos, band, bits)]
    return sorted((first, second, distance) for pairs in found for first, _, second, _, distance in pairs.tolist())


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
        spread = 4 if number % 4 == 0 else 100  # one of the four is nearly flat, so that its contrast decides
        ground = np.random.default_rng(number % 4).integers(100, 100 + spread, SIGNATURE["colours"].itemsize, np.uint8)
        colours = (ground + RANDOM.integers(0, 3 if number % 3 else 11, len(ground), np.uint8)).tobytes()
        photos.append((int.from_bytes(base[number % 4]) ^ turned).to_bytes(16) + colours)
    distances = {(i, j): apart(photos[i], photos[j]) for i, j in combinations(range(len(photos)), 2)}
    close = [(i, j, d) for (i, j), (d, colour) in distances.items() if d <= bits and colour <= 8]
    expected = [(i, j, d) for i, j, d in close if of_contrast(photos[i], photos[j]) <= 0.15**2]
    assert search(signed(*photos), bits) == expected
    assert (0 < len(expected) < len(close)) or bits < 3


def test_white_on_white_is_near_only_where_its_little_contrast_agrees() -> None:
    white = np.full((1, 64, 3), 250, np.uint8)
    shirt, vest, whiter = white.copy(), white.copy(), white.copy()
    shirt[0, :32] -= 6  # half of the photo by 6: variance 9 a colour
    vest[0, 16:48] -= 6  # as much, elsewhere: differs by 6 over half, mean square 18
    whiter[0, 32:] += 1  # the shirt's ground, lighter by 1: mean square 1/2, where 0.15 squared of 9 is 0.2
    whiter[0, :32] -= 6
    same = [
        alike(one.reshape(1, -1), other.reshape(1, -1)).item()
        for one, other in ((shirt, shirt), (shirt, vest), (shirt, whiter))
    ]
    assert same == [True, False, False]
    dark = np.where(shirt < 250, 30, shirt).astype(np.uint8)  # 220 below: variance 110 squared
    assert alike(dark.reshape(1, -1), np.where(dark == 30, 37, dark).astype(np.uint8).reshape(1, -1)).item()


def test_a_band_has_at_most_64_bits_and_they_share_all_128() -> None:
    zero, one = bytes(SIGNATURE.itemsize), bytearray(SIGNATURE.itemsize)
    for bit in range(BITS):
        one[bit // 8] = 1 << bit % 8
        shared = [values[0] == values[1] for values in bands(signed(zero, bytes(one)), 6)]
        assert shared.count(False) == 1  # each bit in exactly one band of 7
        one[bit // 8] = 0
    assert len(bands(signed(zero), 0)) == 3


def test_components_are_named_by_their_first_photo() -> None:
    found = np.array([(5, 50, 7, 70, 1), (2, 200, 7, 70, 3), (8, 80, 9, 90, 0), (10, 80, 11, 80, 0), (3, 30, 4, 200, 0)], PAIR)
    keys = np.array([30, 50, 70, 200, 80, 90, 1, 999], np.uint64)
    for pairs in (found, found[::-1], found[[1, 0, 2, 3, 4]]):
        assert component_of(keys, connected_components(pairs)).tolist() == [200, 200, 200, 200, 80, 80, 1, 999]
    assert component_of(keys, connected_components(found[:0])).tolist() == keys.tolist()


def test_components_are_those_of_a_walk_from_photo_to_photo() -> None:
    for _ in range(100):
        keys = RANDOM.permutation(1000)[: RANDOM.integers(2, 60)].tolist()
        ends = [sorted(RANDOM.integers(0, len(keys), 2).tolist()) for _ in range(RANDOM.integers(1, 60))]
        found = np.array([(one, keys[one], other, keys[other], 0) for one, other in ends], PAIR)
        reached = {place: {place} for place in range(len(keys))}
        for _ in ends:  # long enough for the longest way
            for one, other in ends:
                reached[one] = reached[other] = reached[one] | reached[other]
        expected = [keys[min(reached[place])] for place in range(len(keys))]
        assert component_of(np.array(keys, np.uint64), connected_components(found)).tolist() == expected


class Shop:
    """Pictures a, b, c; a2 and a3 are a stored again, b2 is b's file under another name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        photos = {"a": picture(1), "b": picture(2), "c": picture(3)}
        photos |= {"a2": again(photos["a"], 60, (100, 120)), "a3": again(photos["a"], 40, (200, 240)), "b2": photos["b"]}
        for name, photo in photos.items():
            (folder / f"{name}.jpg").write_bytes(encoded(photo))

    def ingest(self, rows: str, mode: str = "report", chunk_rows: int = CHUNK_ROWS) -> Path:
        (self.folder / "catalogue.csv").write_text(f"image,id,group,split,neck\n{rows}")
        output = self.folder / f"{mode}-{chunk_rows}"
        folders = Folders(*(str(output / name) for name in ("examples", "labels", "staging")), 1)
        with direct_pipeline() as pipeline:
            ingest(pipeline, str(self.folder / "catalogue.csv"), folders, near=NearPolicy(mode), chunk_rows=chunk_rows)
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
    folder = shop.ingest(GIVEN, chunk_rows=2)
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
    assert not (folder / "near_duplicates").exists()
    assert set(examples(folder, "test")) == {"b", "a2", "b2"}


def test_drawn_splits_follow_their_near_duplicates_and_groups_in_any_chunks(shop: Shop) -> None:
    ids = iter(range(1000))
    rows = "".join(f"{name}.jpg,{name}-{next(ids)},,,v\n" for name in ("a", "c", "b", "a2", "b2", "a3"))
    rows += "".join(f"c.jpg,tied-{i},g,,v\n" for i in range(3)) + "a.jpg,far,g,,v\n"  # g holds a c and an a: all one side
    found = []
    for chunk_rows in (1, 3, CHUNK_ROWS):
        folder = shop.ingest(rows, chunk_rows=chunk_rows)
        splits = {name: split for split in ("train", "valid", "test") for name in examples(folder, split)}
        assert len(splits) == 10
        assert len({split for name, split in splits.items() if not name.startswith("b")}) == 1
        assert len({split for name, split in splits.items() if name.startswith("b")}) == 1
        found.append((splits, report(folder)))
    assert found[0] == found[1] == found[2]
