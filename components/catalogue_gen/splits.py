"""On which side of every split a photo stands, and its role, from what its row, its group and its near-duplicates say.

What is not given is drawn from a stable hash: every run, in any order and any chunks, agrees.
"""

import hashlib
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

import numpy as np

from components.catalogue_gen.rows import SPLITS, Record

_TRAIN, _VALID = 0.65, 0.10  # the rest is test
_QUERIES = 0.2  # query : candidate = 1 : 4

# A row: `key` of its group, `root`: the key that its near-duplicates share; `split`: 1 + its place in SPLITS, 0 = not given.
MEMBER = np.dtype([("root", "<u8"), ("key", "<u8"), ("place", "<i8"), ("row", "<i8"), ("split", "u1")])
# Where a row comes to stand; or, with a `why`, the split that it clashes with, which the row numbered `row` is in.
VERDICT = np.dtype([("place", "<i8"), ("split", "u1"), ("why", "u1"), ("row", "<i8")])
STAYS, GROUP, NEAR = 0, 1, 2


class Member(NamedTuple):
    """A `MEMBER` in Python's numbers."""

    root: int
    key: int
    place: int
    row: int
    split: int


def key(record: Record) -> int:
    """Of its group, or of its id where it has none; it also draws the split. 63 bits, for Beam's numbers have a sign."""
    return _hash("split", record.group or record.id) >> 1


def code(split: str) -> int:
    """A split as a number; 0 where it is not given."""
    return SPLITS.index(split) + 1 if split else 0


def role(record: Record, split: str) -> str:
    """The role of a photo in `split`; drawn photo by photo."""
    if split == "train":
        return ""
    return record.role or ("query" if _hash("role", record.id) / 2**64 < _QUERIES else "candidate")


def decide(members: np.ndarray, reject_near: bool) -> Iterator[tuple[int, int, int, int]]:
    """The `VERDICT`s of `MEMBER`s, of which every root is here with all of its rows.

    A group goes where its first row with a split is; without one, where its near-duplicates are; without any, it is drawn.
    A row whose split is given and another than its group's is refused: the two would leak. Given splits of near-duplicates
    stay as they are, for published lists are compared as published, unless `reject_near`.
    """
    rows = sorted(map(Member._make, members.tolist()))
    for root, tied in groupby(rows, key=lambda row: row.root):
        family = sorted(tied, key=lambda row: row.place)
        anchor = next((row for row in family if row.split), None)
        drawn = anchor.split if anchor else code(_drawn(root))
        first: dict[int, Member] = {}
        for row in family:
            if row.split:
                first.setdefault(row.key, row)
        for row in family:
            leader = first.get(row.key)
            yield _verdict(row, leader, anchor if reject_near else None, leader.split if leader else drawn)


def _verdict(row: Member, leader: Member | None, anchor: Member | None, split: int) -> tuple[int, int, int, int]:
    if leader and row.split and row.split != split:
        return row.place, split, GROUP, leader.row
    if anchor and split != anchor.split:
        return row.place, anchor.split, NEAR, anchor.row
    return row.place, split, STAYS, 0


def _drawn(number: int) -> str:
    u = number / 2**63
    return "train" if u < _TRAIN else "valid" if u < _TRAIN + _VALID else "test"


def _hash(purpose: str, text: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{purpose}/{text}".encode(), digest_size=8).digest(), "big")
