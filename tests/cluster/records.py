"""What a step wrote, in a form that two runners' outputs can be compared by: record by record, order and files apart."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq


def examples(folder: Path) -> dict[str, Counter[Any]]:
    """By split: how often each parsed Example stands there."""
    import tensorflow as tf

    def parsed(record: bytes) -> Any:
        feature = tf.train.Example.FromString(record).features.feature
        return tuple(sorted((key, value.SerializeToString(deterministic=True)) for key, value in feature.items()))

    splits = {path.name: sorted(str(one) for one in path.iterdir()) for path in folder.glob("Split-*")}
    return {name: Counter(parsed(one.numpy()) for one in tf.data.TFRecordDataset(files)) for name, files in splits.items()}


def embeddings(folder: Path) -> list[dict[str, Any]]:
    return sorted(pq.read_table(folder).to_pylist(), key=lambda row: (row["id"], row["attribute"]))


def ingested(folder: Path) -> list[Any]:
    """All that ingestion writes and later steps read."""
    texts = [json.loads((folder / "examples" / name).read_text()) for name in ("counts.json", "taxonomy.json")]
    items = Counter(tuple(row.values()) for row in pq.read_table(folder / "examples" / "items").to_pylist())
    return [examples(folder / "examples"), examples(folder / "labels"), items, *texts]
