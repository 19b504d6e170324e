"""What a reader makes of a labelled photo: a `Record` where it can be used so far, a `Reject` with the reason where not."""

import posixpath
from typing import NamedTuple

SPLITS = ("train", "valid", "test")
ROLES = ("query", "candidate")
REJECTED = "rejected"  # where a split is counted or named: none


class Record(NamedTuple):
    """One photo. `row` is its line in `file`; `location` can be opened; '' = not given; no class = not labelled.

    `span` is the number of the span that it came in; None where the catalogue has none.
    """

    row: int
    location: str
    id: str
    group: str
    split: str
    role: str
    labels: dict[str, list[str]]
    file: str = ""
    span: int | None = None


class Reject(NamedTuple):
    """A row that is left out, and the reason, in words for the person who wrote the row."""

    file: str
    row: int
    reason: str


def locate(folder: str, image: str) -> str:
    """Where `image` lies: relative to `folder`, absolute, or a URL. Raises: ValueError if relative and outside of it."""
    if posixpath.isabs(image) or "://" in image:
        return image
    inside = posixpath.normpath(image)
    if inside == ".." or inside.startswith("../"):
        raise ValueError(f'image "{image[:200]}" leads out of the catalogue\'s folder; write its absolute path')
    return posixpath.join(folder, inside)
