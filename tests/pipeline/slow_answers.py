"""A small evaluation written out as the contract says, and an independent slow look at it."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.embedder.embed import schema
from tests.slow_metrics import score

CLASSES = {"neckline": 3, "details": 5}  # details is multi-label


def embeddings(folder: Path, seed: int = 0, photos: int = 60) -> Path:
    """Two Parquet files in `folder`, rows shuffled; some cells unlabelled, some photos of another split."""
    random = np.random.default_rng(seed)
    rows = []
    for i in range(photos):
        for attribute, classes in CLASSES.items():
            labels = sorted(random.choice(classes, random.integers(0, 3 if attribute == "details" else 2), replace=False))
            row = {"id": f"i{i:03}", "split": "test" if i % 7 else "train", "role": "query" if i % 5 == 0 else "candidate"}
            rows.append({**row, "attribute": attribute, "labels": labels, "vector": random.normal(size=4).astype(np.float32)})
    random.shuffle(rows)
    folder.mkdir(parents=True)
    for i, half in enumerate((rows[::2], rows[1::2])):
        pq.write_table(pa.Table.from_pylist(half, schema=schema(4)), folder / f"{i}.parquet")
    return folder


def slow_answer(rows: list[dict[str, Any]], query: dict[str, Any], relevant: set[int]) -> tuple[list[str], list[bool], float]:
    """Candidates nearest first, whether each has a class of `relevant`, and the average precision; plain Python."""
    same = [r for r in rows if r["attribute"] == query["attribute"] and r["split"] == query["split"] and r["labels"]]
    ranked = sorted((r for r in same if r["role"] == "candidate"), key=lambda r: -score(query, r))
    right = [bool(relevant & set(r["labels"])) for r in ranked]
    precisions = [sum(right[: i + 1]) / (i + 1) for i, hit in enumerate(right) if hit]
    return [r["id"] for r in ranked], right, sum(precisions) / len(precisions) if precisions else 0.0
