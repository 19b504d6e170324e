"""MAP@all from an Embeddings Parquet alone, one query at a time in plain Python: the independent twin of the metrics."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq


def rows_of(files: Iterable[Path]) -> list[dict[str, Any]]:
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def score(a: dict[str, Any], b: dict[str, Any]) -> float:
    return sum(x * y for x, y in zip(a["vector"], b["vector"], strict=True))


def slow_map(rows: list[dict[str, Any]], split: str = "test") -> dict[str, float]:
    """By attribute, and "overall" over all queries."""
    found: dict[str, list[float]] = {}
    test = [row for row in rows if row["split"] == split and row["labels"]]
    for query in test:
        if query["role"] != "query":
            continue
        same = [row for row in test if row["attribute"] == query["attribute"] and row["role"] == "candidate"]
        same.sort(key=lambda row: -score(query, row))
        hits, total = 0, 0.0
        for rank, row in enumerate(same, 1):
            if set(row["labels"]) & set(query["labels"]):
                hits += 1
                total += hits / rank
        found.setdefault(query["attribute"], []).append(total / hits if hits else 0.0)
    every = [value for values in found.values() for value in values]
    return {name: sum(v) / len(v) for name, v in found.items()} | {"overall": sum(every) / len(every)}
