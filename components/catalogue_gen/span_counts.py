"""How many photos of each span show what: spans.json beside the labels, where the catalogue comes in spans.

The statistics of the labels are those of all spans together, in which a small odd one would not be seen.
"""

import json
from collections.abc import Collection, Iterator
from typing import NamedTuple

from apache_beam.io.filesystems import FileSystems

from components.catalogue_gen.rows import Record

_FILE = "spans.json"


class SpanCount(NamedTuple):
    """Photos of a split and span with that class; with any class of the attribute where `name` is ''; all where both are ''."""

    split: str
    span: int
    attribute: str
    name: str
    photos: int


def shown(record: Record, split: str, attributes: Collection[str]) -> Iterator[tuple[str, int, str, str]]:
    """What `record` counts for: `SpanCount`s without their number; nothing where it came in no span."""
    if record.span is None:
        return
    yield split, record.span, "", ""
    for attribute in attributes:
        names = record.labels.get(attribute) or []
        yield from ((split, record.span, attribute, name) for name in ["", *names] if names)


def write_spans(counts: dict[tuple[str, int, str, str], int], folder: str) -> None:
    """Writes the counts into `folder`; nothing where there are none."""
    if counts:
        rows = [SpanCount(*key, count)._asdict() for key, count in sorted(counts.items())]
        with FileSystems.create(f"{folder}/{_FILE}") as file:
            file.write(json.dumps(rows, ensure_ascii=False, indent=0).encode())


def read_spans(folder: str) -> list[SpanCount]:
    """What `write_spans` wrote; empty where it wrote nothing."""
    path = f"{folder}/{_FILE}"
    if not FileSystems.exists(path):
        return []
    with FileSystems.open(path) as file:
        return [SpanCount(**one) for one in json.loads(file.read())]
