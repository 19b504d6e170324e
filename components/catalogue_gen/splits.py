"""On which side of every split a photo stands, and its role, from what its row, its group and its near-duplicates say.

What is not given is drawn from a stable hash: every run, in any order and any chunks, agrees.
"""

import hashlib
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

import numpy as np

from components.catalogue_gen.rows import REJECTED, SPLITS, Record

_TRAIN, _VALID = 0.65, 0.10  # the rest is test
_QUERIES = 0.2  # query : candidate = 1 : 4

# A row: `key` of its group, `component`: the key that its near-duplicates share; `split`: see `split_code`.
MEMBER = np.dtype([("component", "<u8"), ("key", "<u8"), ("place", "<i8"), ("row", "<i8"), ("split", "u1")])
# Where a row comes to stand; or, with a `clash`, the split that it clashes with, which the row numbered `row` is in.
ASSIGNMENT = np.dtype([("place", "<i8"), ("split", "u1"), ("clash", "u1"), ("row", "<i8")])
NO_CLASH, GROUP_CLASH, NEAR_CLASH = 0, 1, 2


class _Member(NamedTuple):
    """A `MEMBER` in Python's numbers."""

    component: int
    key: int
    place: int
    row: int
    split: int


def group_key(record: Record) -> int:
    """A hash of its group, or of its id where it has none; it also draws the split. 63 bits: Beam's numbers have a sign."""
    return _hash("split", record.group or record.id) >> 1


def split_code(split: str) -> int:
    """1 + its place in SPLITS; 0 where it is not given."""
    return SPLITS.index(split) + 1 if split else 0


def split_name(code: int) -> str:
    """Of a `split_code`; 0 is no split: the row is rejected."""
    return SPLITS[code - 1] if code else REJECTED


def role(record: Record, split: str) -> str:
    """The role of a photo in `split`; drawn photo by photo."""
    if split == "train":
        return ""
    return record.role or ("query" if _hash("role", record.id) / 2**64 < _QUERIES else "candidate")


def assign(members: np.ndarray, reject_near: bool) -> Iterator[tuple[int, int, int, int]]:
    """The `ASSIGNMENT`s of `MEMBER`s, of which every component is here with all of its rows.

    A group goes where its first row with a split is; without one, where its near-duplicates are; without any, it is drawn.
    A row whose split is given and another than its group's is refused: the two would leak. Given splits of near-duplicates
    stay as they are, for published lists are compared as published, unless `reject_near`.
    """
    rows = sorted(map(_Member._make, members.tolist()))
    for component, tied in groupby(rows, key=lambda row: row.component):
        family = sorted(tied, key=lambda row: row.place)
        anchor = next((row for row in family if row.split), None)
        drawn = anchor.split if anchor else split_code(_drawn(component))
        first: dict[int, _Member] = {}
        for row in family:
            if row.split:
                first.setdefault(row.key, row)
        for row in family:
            leader = first.get(row.key)
            yield _assignment(row, leader, anchor if reject_near else None, leader.split if leader else drawn)


def _assignment(row: _Member, leader: _Member | None, anchor: _Member | None, split: int) -> tuple[int, int, int, int]:
    if leader and row.split and row.split != split:
        return row.place, split, GROUP_CLASH, leader.row
    if anchor and split != anchor.split:
        return row.place, anchor.split, NEAR_CLASH, anchor.row
    return row.place, split, NO_CLASH, 0


def _drawn(number: int) -> str:
    u = number / 2**63
    return "train" if u < _TRAIN else "valid" if u < _TRAIN + _VALID else "test"


def _hash(purpose: str, text: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{purpose}/{text}".encode(), digest_size=8).digest(), "big")
