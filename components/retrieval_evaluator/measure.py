"""From Embeddings to results.json: exact metrics of every attribute and overall. No TFX, so the command line is quick."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from components.errors import InputError
from models.metrics import QueryMetrics, Rows, labelled, measure, one_query_a_class

FORMAT = 1
PROTOCOLS = ("attribute", "pair")
COLUMNS = ("id", "split", "role", "attribute", "labels", "vector")
_KEYS = {
    "map": "average_precision",
    "map_at_100": "average_precision_at_k",
    "recall_at_100": "recall_at_k",
    "random_map": "random_average_precision",
}


def read_embeddings(path: Path, split: str | None = None, columns: tuple[str, ...] = COLUMNS) -> pa.Table:
    """Rows of Embeddings, a Parquet file or a folder of such. Raises: InputError where it is none, or lacks a column."""
    try:
        data = ds.dataset(path, format="parquet")
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path} is no Embeddings Parquet: {str(error).splitlines()[0]}") from None
    if missing := [c for c in COLUMNS if c not in data.schema.names]:
        raise InputError(f'{path} has no column "{missing[0]}"; Embeddings have: {", ".join(COLUMNS)}')
    return data.to_table(columns=list(columns), filter=ds.field("split") == split if split else None)


def attribute_rows(table: pa.Table) -> dict[str, pa.Table]:
    """The rows of each attribute, attributes by name, rows by id."""
    names = sorted(pc.unique(table["attribute"]).to_pylist())
    return {name: table.filter(pc.field("attribute") == name).sort_by("id") for name in names}


def vectors(table: pa.Table) -> np.ndarray:
    """The column `vector` as float32 (n, L)."""
    column = table["vector"].combine_chunks()
    return column.flatten().to_numpy(zero_copy_only=False).astype(np.float32).reshape(len(table), -1)


def to_rows(table: pa.Table, role: str) -> Rows:
    """The labelled rows in `role`, labels multi-hot."""
    cells = table["labels"].to_pylist()
    hot = np.zeros((len(cells), 1 + max((max(c, default=-1) for c in cells if c), default=0)), bool)
    for i, cell in enumerate(cells):
        hot[i, cell or []] = True
    rows = Rows(table["id"].to_pylist(), vectors(table), hot)
    return labelled(rows.take(np.asarray(table["role"].to_pylist()) == role))


def evaluate(path: Path, *, system: str, dataset: str, split: str = "test", protocol: str = "attribute") -> dict[str, Any]:
    """The results.json of an Embeddings Parquet.

    Args:
        protocol: "attribute": one query an (image, attribute), relevant if it shares a class; "pair": one query an
            (image, class), relevant if it has that class.
    Returns: see the contract; values are fractions. Overall is the mean over all queries, counts are summed over
        attributes; an attribute without a labelled query or candidate is left out.
    Raises: InputError for another protocol, or where no attribute has both.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f'protocol "{protocol}" is none of {", ".join(PROTOCOLS)}')
    found: dict[str, tuple[QueryMetrics, int]] = {}
    for name, table in attribute_rows(read_embeddings(path, split)).items():
        queries, candidates = to_rows(table, "query"), to_rows(table, "candidate")
        if len(queries.ids) and len(candidates.ids):
            queries = one_query_a_class(queries) if protocol == "pair" else queries
            found[name] = measure(queries, candidates), len(candidates.ids)
    if not found:
        raise InputError(f"{path}: no attribute has both a labelled query and a labelled candidate in split {split}")
    whole = QueryMetrics(*(np.concatenate([getattr(m, key) for m, _ in found.values()]) for key in _KEYS.values()))
    return {
        "format": FORMAT,
        "dataset": dataset,
        "protocol": protocol,
        "system": system,
        "split": split,
        "attributes": {name: _summary(metrics, candidates) for name, (metrics, candidates) in found.items()},
        "overall": _summary(whole, sum(candidates for _, candidates in found.values())),
    }


def _summary(metrics: QueryMetrics, candidates: int) -> dict[str, Any]:
    means = {key: float(getattr(metrics, name).mean()) for key, name in _KEYS.items()}
    return {**means, "queries": len(metrics.average_precision), "candidates": candidates}
