"""The rows of the paper's tables, to stand beside what was measured on a data set of the same name.

published.json holds them in percent, as published. Only a name is compared: whether the photos are those of the paper
is for the reader to know, and the tables say so.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).parent / "published.json"


@dataclass(frozen=True)
class PublishedRow:
    """One system as published: percent. `overall` holds MAP@all, MAP@100, Recall@100, or the first of them alone;
    `by_attribute` the MAP@all of each attribute, empty where it was not published."""

    system: str
    protocol: str
    overall: tuple[float, ...]
    by_attribute: dict[str, float]


def published(dataset: str) -> list[PublishedRow]:
    """The rows published for `dataset`, compared without case; empty for any data set but the paper's three."""
    known = json.loads(_FILE.read_text(encoding="utf-8"))["datasets"]
    found = next((table for name, table in known.items() if name.casefold() == dataset.casefold()), None)
    if found is None:
        return []
    return [
        PublishedRow(
            row["system"],
            row["protocol"],
            tuple(row["overall"]),
            dict(zip(found["attributes"], row.get("map", ()), strict=False)),
        )
        for row in found["rows"]
    ]


def same_attribute(published_name: str, name: str) -> bool:
    """Whether an attribute of ours is the published one: "clothes color" is "clothes_color", "texture" "texture-related"."""
    ours, theirs = ("_".join(re.split(r"[\s_-]+", text.casefold())) for text in (name, published_name))
    return ours.removesuffix("_related") == theirs.removesuffix("_related")
