"""What ingestion counted and left out."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_KINDS = 30


@dataclass
class Kind:
    """Rejects of one sort: how many, and the first of them in full."""

    count: int
    file: str
    row: int
    reason: str


def counts(examples: Path) -> dict[str, int]:
    """Photos by split, and rows rejected, as ingestion counted them."""
    found: dict[str, int] = json.loads((examples / "counts.json").read_text(encoding="utf-8"))
    return found


def kinds(examples: Path) -> list[Kind]:
    """The commonest sorts of reject; two reasons that differ in names and numbers alone are of one sort."""
    found: dict[str, Kind] = {}
    for reject in _rejects(examples):
        sort = re.sub(r'"[^"]*"|\d+', "…", reject["reason"])
        kind = found.setdefault(sort, Kind(0, reject["file"], reject["row"], reject["reason"]))
        kind.count += 1
    return sorted(found.values(), key=lambda kind: -kind.count)[:_KINDS]


def _rejects(examples: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((examples / "rejects").glob("*.jsonl")):
        with path.open(encoding="utf-8") as file:
            yield from map(json.loads, file)
