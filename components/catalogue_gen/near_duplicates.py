"""Near-duplicates: the same picture stored twice, at another size or quality. Left in two splits, they would be a test of memory.

A photo's signature is a 128-bit difference hash (does brightness rise to the right, over 16 by 8 places?) and its colours at
8 by 8 places. The hash alone, as usually used with 64 bits, is not enough for product photos: flat on white, they share their
outline, and 38,663 pairs of 9,412 such photos differ by at most 6 of the 128 bits, 4 of them in colour by at most 8 levels.

Candidates are found by bands: of B + 1 parts of the hash, two photos that differ in B bits share at least one.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from PIL import Image

BITS = 128
MAX_COLOUR_DIFFERENCE = 8  # of 255, at any of the 64 places: what another JPEG quality or size changes at most
PARTS = 16  # of a band's values, so that workers share it
_COLUMNS, _ROWS, _COLOURS = 16, 8, 8
_RISE = 3  # of 255; less is noise on flat ground, whose bits would come and go
_COMPARED = 1 << 20  # pairs at a time
# Spread over the photo, or the bands of its borders would be equal for all that is photographed on white.
_ORDER = np.random.default_rng(0).permutation(BITS)

SIGNATURE = np.dtype([("bits", "<u8", (BITS // 64,)), ("colours", "u1", (_COLOURS * _COLOURS * 3,))])
# `place`: of the row in the catalogue, from 0. `key`: of its group, see `splits.key`.
PHOTO = np.dtype([("place", "<i8"), ("key", "<u8"), ("signature", SIGNATURE)])


class Pair(NamedTuple):
    """Two near-duplicates, the earlier one first, and in how many bits they differ."""

    first: int  # its place in the catalogue
    first_key: int
    second: int
    second_key: int
    distance: int


def signature(photo: Image.Image) -> bytes:
    """The bytes of one `SIGNATURE` of an RGB photo."""
    grey = np.asarray(photo.convert("L").resize((_COLUMNS + 1, _ROWS), Image.Resampling.BOX), np.int16)
    rises = grey[:, 1:] > grey[:, :-1] + _RISE
    colours = photo.resize((_COLOURS, _COLOURS), Image.Resampling.BOX)
    return np.packbits(rises).tobytes() + colours.tobytes()


def bands(photos: np.ndarray, bits: int) -> np.ndarray:
    """uint64 (bands, N): the bands of `photos`, so many that two photos at most `bits` apart share one. 1 <= bits < 64."""
    flat = np.unpackbits(np.ascontiguousarray(photos["signature"]["bits"]).view(np.uint8), axis=1)[:, _ORDER]
    edges = np.linspace(0, BITS, max(bits + 1, 3) + 1).astype(int)  # 3 bands at least: a value has 64 bits
    out = np.zeros((len(edges) - 1, len(photos), 8), np.uint8)
    for band, (start, end) in enumerate(pairwise(edges)):
        packed = np.packbits(flat[:, start:end], axis=1)
        out[band, :, : packed.shape[1]] = packed
    return out.view("<u8")[..., 0]


def parts(photos: np.ndarray, bits: int) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """((band, part), photos) for all bands: only those within one such set can share the band."""
    for band, values in enumerate(bands(photos, bits)):
        part = values % np.uint64(PARTS)
        for one in np.unique(part):
            yield (band, int(one)), photos[part == one]


def pairs(photos: np.ndarray, band: int, bits: int) -> Iterator[Pair]:
    """The near-duplicates among `photos` that share `band` and no band before it: so each pair is found once."""
    photos = photos[np.argsort(photos["place"])]
    values = bands(photos, bits)
    order = np.argsort(values[band], kind="stable")
    ends = np.flatnonzero(np.diff(values[band][order])) + 1
    for run in np.split(order, ends):
        if len(run) > 1:
            yield from _compared(photos[run], values[:band, run], bits)


def _compared(photos: np.ndarray, before: np.ndarray, bits: int) -> Iterator[Pair]:
    """All pairs of `photos` that are near and equal in no row of `before` (bands, N)."""
    words, colours = photos["signature"]["bits"], photos["signature"]["colours"].astype(np.int16)
    step = max(1, _COMPARED // len(photos))
    for start in range(0, len(photos), step):
        rows = slice(start, start + step)
        distance = np.bitwise_count(words[rows, None] ^ words[None, start:]).sum(-1, dtype=np.uint8)
        for i, j in np.argwhere(distance <= bits) + start:
            if i < j and not (before[:, i] == before[:, j]).any() and _alike(colours[i], colours[j]):
                yield _pair(photos[i], photos[j], int(distance[i - start, j - start]))


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.abs(one - other).max() <= MAX_COLOUR_DIFFERENCE)


def _pair(one: np.ndarray, other: np.ndarray, distance: int) -> Pair:
    return Pair(int(one["place"]), int(one["key"]), int(other["place"]), int(other["key"]), distance)


def components(found: Iterable[Pair]) -> dict[int, int]:
    """For each group's key that near-duplicates tie to another group: the key whose photo stands first among all tied to it."""
    parent: dict[int, int] = {}
    place: dict[int, int] = {}

    def root(key: int) -> int:
        while (above := parent.setdefault(key, key)) != key:
            parent[key] = parent[above]
            key = parent[key]
        return key

    for pair in found:
        for key, where in ((pair.first_key, pair.first), (pair.second_key, pair.second)):
            place[key] = min(where, place.get(key, where))
        a, b = root(pair.first_key), root(pair.second_key)
        if a != b:
            parent[a] = parent[b] = min(a, b)
    # The first photo's key, not the smallest: a key is also what draws the split, and the smallest of many favours train.
    first: dict[int, int] = {}
    for key in sorted(parent, key=lambda key: place[key]):
        first.setdefault(root(key), key)
    return {key: first[root(key)] for key in parent if first[root(key)] != key}
