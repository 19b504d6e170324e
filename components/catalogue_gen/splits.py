"""Split and role of a photo that came without: drawn from a stable hash, so that every run, in any order, agrees."""

import hashlib

from components.catalogue_gen.rows import Record

_TRAIN, _VALID = 0.65, 0.10  # the rest is test
_QUERIES = 0.2  # query : candidate = 1 : 4


def assign(record: Record) -> Record:
    """`record` with `split` and, in valid and test, `role` filled in where they were empty.

    A group is hashed by its name, so it never straddles splits; roles are drawn image by image.
    """
    split = record.split or _split(_uniform("split", record.group or record.id))
    if split == "train":
        return record._replace(split=split, role="")
    role = record.role or ("query" if _uniform("role", record.id) < _QUERIES else "candidate")
    return record._replace(split=split, role=role)


def _split(u: float) -> str:
    return "train" if u < _TRAIN else "valid" if u < _TRAIN + _VALID else "test"


def _uniform(purpose: str, key: str) -> float:
    """A number in [0, 1) that follows from the key alone."""
    return int.from_bytes(hashlib.blake2b(f"{purpose}/{key}".encode(), digest_size=8).digest(), "big") / 2**64
