"""Near-duplicates that ingestion found: how many pairs, how many of them in two splits, and a few to look at."""

import heapq
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.report.photos import Picture, read_photos, thumbnail

SHOWN = 12


@dataclass(frozen=True)
class Pair:
    """Two photos that look like one: their ids, and the splits they are in, or "rejected"; `distance` in bits of 128."""

    ids: tuple[str, str]
    splits: tuple[str, str]
    distance: int

    def apart(self) -> bool:
        """Are they in two splits?"""
        return self.splits[0] != self.splits[1] and "rejected" not in self.splits


@dataclass(frozen=True)
class NearDuplicates:
    """All pairs counted, and those across splits; `shown`: these first, and of either the least alike first."""

    pairs: int
    apart: int
    shown: tuple[Pair, ...]


def read(examples: Path) -> NearDuplicates | None:
    """None where ingestion did not look for any."""
    path = examples / "near_duplicates" / "pairs.jsonl"
    if not path.is_file():
        return None
    counts = {True: 0, False: 0}

    def counted() -> Iterator[Pair]:
        with path.open(encoding="utf-8") as file:
            for pair in map(_pair, map(json.loads, file)):
                counts[pair.apart()] += 1
                yield pair

    shown = heapq.nsmallest(SHOWN, counted(), key=lambda pair: (not pair.apart(), -pair.distance, pair.ids))
    return NearDuplicates(sum(counts.values()), counts[True], tuple(shown))


def thumbnails(examples: Path, found: NearDuplicates | None) -> dict[str, Picture]:
    """By id, of the pairs shown; a rejected photo has none."""
    wanted: dict[str, set[str]] = {}
    for pair in found.shown if found else ():
        for photo, split in zip(pair.ids, pair.splits, strict=True):
            wanted.setdefault(split, set()).add(photo)
    wanted.pop("rejected", None)
    return {
        photo: thumbnail(data) for split, ids in wanted.items() for photo, data in read_photos(examples, split, ids).items()
    }


def _pair(line: dict[str, Any]) -> Pair:
    return Pair(tuple(line["ids"]), tuple(line["splits"]), line["distance"])
