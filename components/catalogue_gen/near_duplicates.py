"""Near-duplicates: the same picture stored twice, at another size or quality. Left in two splits, they would be a test of memory.

A photo's signature is a 128-bit difference hash (does brightness rise to the right, over 16 by 8 places?) and its colours at
8 by 8 places. The hash alone, as usually used with 64 bits, is not enough for product photos: flat on white, they share their
outline, and 38,663 pairs of 9,412 such photos differ by at most 6 of the 128 bits. docs/ingestion.md has what was measured.

Candidates are found by bands (locality-sensitive hashing): of B + 1 parts of the hash, two photos that differ in B bits share
at least one.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from PIL import Image

BITS = 128
MAX_COLOUR_DIFFERENCE = 8  # of 255, at any of the 64 places: what another JPEG quality or size changes at most
MAX_OF_CONTRAST = 0.15  # the same for all places together, root mean square: white on white all colours are close
PARTITIONS = 16  # of a band's values, so that workers share it
_COLUMNS, _ROWS, _COLOURS = 16, 8, 8
_RISE = 3  # of 255; less is noise on flat ground, whose bits would come and go
_COMPARED = 1 << 16  # pairs at a time, whose colours may take 50 MB: of one outline there can be thousands
# Spread over the photo, or the bands of its borders would be equal for all that is photographed on white.
_ORDER = np.random.default_rng(0).permutation(BITS)

SIGNATURE = np.dtype([("bits", "<u8", (BITS // 64,)), ("colours", "u1", (_COLOURS * _COLOURS * 3,))])
# `place`: of the row in the catalogue, from 0. `key`: of its group, see `splits.group_key`.
PHOTO = np.dtype([("place", "<i8"), ("key", "<u8"), ("signature", SIGNATURE)])
# Two near-duplicates, by place and key, the earlier one first; `distance`: in how many bits they differ.
PAIR = np.dtype([("first", "<i8"), ("first_key", "<u8"), ("second", "<i8"), ("second_key", "<u8"), ("distance", "u1")])
# A group's key, and the key that stands for all groups that near-duplicates tie to it.
COMPONENT = np.dtype([("key", "<u8"), ("component", "<u8")])


def signature(photo: Image.Image) -> bytes:
    """The bytes of one `SIGNATURE` of an RGB photo."""
    grey = np.asarray(photo.convert("L").resize((_COLUMNS + 1, _ROWS), Image.Resampling.BOX), np.int16)
    rises = grey[:, 1:] > grey[:, :-1] + _RISE
    colours = photo.resize((_COLOURS, _COLOURS), Image.Resampling.BOX)
    return np.packbits(rises).tobytes() + colours.tobytes()


def bands(photos: np.ndarray, bits: int) -> np.ndarray:
    """uint64 (bands, N): the bands of `photos`, so many that two photos at most `bits` apart share one. 0 <= bits < 64."""
    flat = np.unpackbits(np.ascontiguousarray(photos["signature"]["bits"]).view(np.uint8), axis=1)[:, _ORDER]
    edges = np.linspace(0, BITS, max(bits + 1, 3) + 1).astype(int)  # 3 bands at least: a value has 64 bits
    out = np.zeros((len(edges) - 1, len(photos), 8), np.uint8)
    for band, (start, end) in enumerate(pairwise(edges)):
        packed = np.packbits(flat[:, start:end], axis=1)
        out[band, :, : packed.shape[1]] = packed
    return out.view("<u8")[..., 0]


def by_band(photos: np.ndarray, bits: int) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """((band, partition), photos) for all bands: only those within one such set can share the band."""
    for band, values in enumerate(bands(photos, bits)):
        partition = values % np.uint64(PARTITIONS)
        for one in np.unique(partition):
            yield (band, int(one)), photos[partition == one]


def near_pairs(photos: np.ndarray, band: int, bits: int) -> Iterator[np.ndarray]:
    """`PAIR`s of near-duplicates among `photos` that share `band` and no band before it: so each pair is found once."""
    photos = photos[np.argsort(photos["place"])]
    values = bands(photos, bits)
    order = np.argsort(values[band], kind="stable")
    ends = np.flatnonzero(np.diff(values[band][order])) + 1
    for run in np.split(order, ends):
        if len(run) > 1:
            yield from _compared(photos[run], values[:band, run], bits)


def _compared(photos: np.ndarray, before: np.ndarray, bits: int) -> Iterator[np.ndarray]:
    """All pairs of `photos` that are near and equal in no row of `before` (bands, N)."""
    words = np.ascontiguousarray(photos["signature"]["bits"])
    step = max(1, _COMPARED // len(photos))
    for start in range(0, len(photos), step):
        distance = np.bitwise_count(words[start : start + step, None] ^ words[None, start:]).sum(-1, dtype=np.uint8)
        i, j = np.nonzero(distance <= bits)
        i, j, distance = (part[i < j] for part in (i, j, distance[i, j]))
        i, j = i + start, j + start
        found = ~(before[:, i] == before[:, j]).any(0)
        found[found] = alike(photos["signature"]["colours"][i[found]], photos["signature"]["colours"][j[found]])
        if found.any():
            yield _pairs(photos[i[found]], photos[j[found]], distance[found])


def alike(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """bool (N,): may the colours (N, 192) be those of one picture? None of them far off, and all together by little of what
    they differ over the photo."""
    near: np.ndarray = np.abs(one.astype(np.int16) - other).max(1, initial=0) <= MAX_COLOUR_DIFFERENCE
    a, b = (colours[near].reshape(near.sum(), _COLOURS**2, 3).astype(np.float32) for colours in (one, other))
    contrast = np.minimum(a.var(1).sum(-1), b.var(1).sum(-1))
    near[near] = ((a - b) ** 2).mean(1).sum(-1) <= MAX_OF_CONTRAST**2 * contrast
    return near


def _pairs(first: np.ndarray, second: np.ndarray, distance: np.ndarray) -> np.ndarray:
    pairs = np.zeros(len(first), PAIR)
    pairs["first"], pairs["first_key"] = first["place"], first["key"]
    pairs["second"], pairs["second_key"] = second["place"], second["key"]
    pairs["distance"] = distance
    return pairs


def connected_components(pairs: np.ndarray) -> np.ndarray:
    """`COMPONENT`s, by key, of the groups in `PAIR`s: of all groups tied together, the key whose photo stands first.

    The first photo's key, not the smallest: a key is also what draws the split, and the smallest of many favours train.
    """
    keys = np.concatenate([pairs["first_key"], pairs["second_key"]])
    order = np.argsort(np.concatenate([pairs["first"], pairs["second"]]), kind="stable")
    known, first = np.unique(keys[order], return_index=True)
    by_place = np.argsort(first)  # of the keys, by where the first photo of each stands
    rank = np.argsort(by_place)
    label = np.arange(len(known))  # of a key, by rank: the lowest rank that is known to be tied to it
    ends = [rank[np.searchsorted(known, pairs[side])] for side in ("first_key", "second_key")]
    while True:
        low = np.minimum(*(label[end] for end in ends))
        before = label.copy()
        for end in ends:
            np.minimum.at(label, before[end], low)
            np.minimum.at(label, end, low)
        label = label[label]
        if (label == before).all():
            break
    out = np.zeros(len(known), COMPONENT)
    out["key"], out["component"] = known, known[by_place[label[rank]]]
    return out


def component_of(keys: np.ndarray, components: np.ndarray) -> np.ndarray:
    """Each key's component; itself where nothing is tied to it."""
    at = np.searchsorted(components["key"], keys)
    at[at == len(components)] = 0
    return np.where(components["key"][at] == keys, components["component"][at], keys) if len(components) else keys
