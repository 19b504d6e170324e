"""A release of drawn vectors without a model to run, and its neighbours by the definition."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from serving import index, release
from serving.class_vectors import class_vectors, write_class_vectors
from tests.serving.drawn import TAXONOMY

LENGTH = 6


@dataclass(frozen=True)
class Shown:
    """One item as the tests know it."""

    id: str
    vectors: dict[str, np.ndarray]
    labels: dict[str, list[int]]
    split: str = ""


def drawn_items(count: int, seed: int = 0, first: int = 0) -> list[Shown]:
    """Small whole numbers: sums without rounding, and ties."""
    random = np.random.default_rng(seed)
    return [
        Shown(
            f"item-{first + i}",
            {name: random.integers(-3, 4, LENGTH).astype(np.float32) for name in TAXONOMY.names},
            {"neckline": [int(random.integers(3))] if i % 4 else [], "pocket": [[0], [1], [0, 1], []][i % 4]},
            "test" if i % 3 else "train",
        )
        for i in range(count)
    ]


def pushed(releases: Path, items: list[Shown], scann_above: int = 20_000) -> Path:
    """The folder of a release of `items`."""
    parts = releases.parent / f"{releases.name}-parts"
    (parts / "model").mkdir(parents=True)
    (parts / "model" / "saved_model.pb").write_bytes(b"\x12\0")  # an empty graph
    columns: dict[str, pa.Array] = {
        "id": pa.array([one.id for one in items]),
        "image": pa.array([f"{one.id}.png" for one in items]),
        "split": pa.array([one.split for one in items]),
    }
    for name in TAXONOMY.names:
        vectors = np.stack([one.vectors[name] for one in items])
        index.build(vectors, parts / "index" / name, scann_above=scann_above)
        labels = [one.labels[name] for one in items]
        write_class_vectors(class_vectors(vectors, labels, len(TAXONOMY[name].classes)), parts / "index" / name)
        columns[f"label/{name}"] = pa.array(labels, pa.list_(pa.int32()))
    pq.write_table(pa.table(columns), parts / "items.parquet")

    def compose(folder: Path, version: int) -> release.Manifest:
        return release.compose(
            folder,
            version,
            saved_model=parts / "model",
            index=parts / "index",
            items=parts / "items.parquet",
            taxonomy=TAXONOMY,
            system="drawn",
            dataset="drawn",
            metrics={},
            counts={},
            warmup_image=b"",
        )

    return releases / str(release.push(releases, compose))


def ranked(items: Iterable[Shown], query: np.ndarray, attribute: str, k: int) -> list[tuple[str, float]]:
    """Every item scored, sorted by score; of equal ones the earlier first."""
    scores = [(one.id, float(one.vectors[attribute] @ query)) for one in items]
    return sorted(scores, key=lambda pair: -pair[1])[:k]
