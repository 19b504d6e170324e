"""Which split and role a photo has, and which garment it shows: some garments are photographed twice."""

from typing import NamedTuple

from pipeline.sample.classes import CLASSES
from pipeline.sample.randomness import Use, stream

BLOCK = 20
"""Photos that are planned together; each block has every split and a test query."""
UNLABELLED = 0.1
"""The share of cells nobody filled in."""
_VALID, _TEST = 13, 15
"""The first ranks of a block that are valid and test: 65 % train, 10 % valid, 25 % test."""
_TWINS = (0, _VALID, _TEST)
"""Where, in the blocks by turns, a garment's two photos begin: within one split, so that a group never straddles two."""


class Place(NamedTuple):
    """A photo's place in the catalogue: `role` is empty in train, `group` for a garment with one photo."""

    garment: int
    split: str
    role: str
    group: str


def place(seed: int, index: int) -> Place:
    """The place of photo `index`; it follows from seed and index, so it stays when more photos are drawn."""
    block = index // BLOCK
    order = stream(seed, Use.SPLIT, block).permutation(BLOCK).tolist()
    rank = order.index(index % BLOCK)
    split = "train" if rank < _VALID else "valid" if rank < _TEST else "test"
    first = _TWINS[block % len(_TWINS)]
    garment = block * BLOCK + order[first] if rank == first + 1 else index
    group = f"garment-{garment:05d}" if rank in (first, first + 1) else ""
    return Place(garment, split, _role(split, rank, block), group)


def _role(split: str, rank: int, block: int) -> str:
    if split == "train":
        return ""
    # One query to four candidates: in test one of five in each block, in valid two of ten in five blocks.
    query = rank == _TEST or (rank == _VALID and block % 5 in (0, 2))
    return "query" if query else "candidate"


def unlabelled(seed: int, index: int) -> frozenset[str]:
    """The attributes whose cell of photo `index` stays empty."""
    missing = stream(seed, Use.UNLABELLED, index).random(len(CLASSES)) < UNLABELLED
    return frozenset(attribute for attribute, gone in zip(CLASSES, missing.tolist(), strict=True) if gone)
