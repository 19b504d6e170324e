"""From Embeddings to results.json: exact metrics of every attribute and overall. No TFX, so the command line is quick."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from operator import and_
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from components.errors import InputError
from models.intervals import interval
from models.metrics import QueryMetrics, Rows, labelled, measure, one_query_a_class

FORMAT = 1
PROTOCOLS = ("attribute", "pair")
COLUMNS = ("id", "split", "role", "attribute", "labels", "vector")
_MOST_CLASSES = 1 << 16  # of an attribute: a multi-hot row a photo is held
_KEYS = {
    "map": "average_precision",
    "map_at_100": "average_precision_at_k",
    "map_at_100_of_relevant": "average_precision_at_k_of_relevant",
    "recall_at_100": "recall_at_k",
    "random_map": "random_average_precision",
    "random_map_at_100": "random_average_precision_at_k",
    "random_recall_at_100": "random_recall_at_k",
}


def read_embeddings(
    path: Path, split: str | None = None, columns: tuple[str, ...] = COLUMNS, attribute: str | None = None
) -> pa.Table:
    """Rows of Embeddings, a Parquet file or a folder of such, of one split or attribute where that is named. Raises: InputError where it is none, or lacks a column."""
    try:
        data = ds.dataset(path, format="parquet")
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path} is no Embeddings Parquet: {str(error).splitlines()[0]}") from None
    if missing := [c for c in COLUMNS if c not in data.schema.names]:
        raise InputError(f'{path} has no column "{missing[0]}"; Embeddings have: {", ".join(COLUMNS)}')
    _check_types(path, data.schema)
    asked = [ds.field(name) == value for name, value in (("split", split), ("attribute", attribute)) if value is not None]
    try:
        table = data.to_table(columns=list(columns), filter=reduce(and_, asked) if asked else None)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    for name in {"id", "attribute"} & {*columns}:
        if table[name].null_count:
            raise InputError(f'{path}: the column "{name}" is empty in {table[name].null_count} rows; fill it')
    return table


def _check_types(path: Path, schema: pa.Schema) -> None:
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_dictionary)
    inner = {"labels": (pa.types.is_integer,), "vector": (pa.types.is_floating, pa.types.is_integer)}
    for name in COLUMNS:
        kind = schema.field(name).type
        of = getattr(kind, "value_type", pa.null()) if name in inner else kind
        if pa.types.is_null(kind) or any(test(of) for test in inner.get(name, texts)):
            continue
        asked = {"labels": "a list of int32", "vector": "a list of float32"}.get(name, "string")
        raise InputError(f'{path}: the column "{name}" is {kind}; write it as {asked}')


def attribute_rows(table: pa.Table) -> dict[str, pa.Table]:
    """The rows of each attribute, attributes by name, rows by id."""
    names = sorted(pc.unique(table["attribute"]).to_pylist())
    return {name: table.filter(pc.field("attribute") == name).sort_by("id") for name in names}


def vectors(table: pa.Table) -> np.ndarray:
    """The column `vector` as float32 (n, L). Raises: InputError where one is missing, empty or of another length."""
    lengths = np.asarray(pc.fill_null(pc.list_value_length(table["vector"]), 0))
    # Without this, lengths that make up for each other would be cut anew into other vectors, and measured.
    if len(wrong := np.flatnonzero((lengths != lengths[:1]) | (lengths == 0))):
        raise InputError(
            f'the vector of "{table["id"][wrong[0]]}" has {lengths[wrong[0]]} numbers, the first {lengths[0]}; embed it again'
        )
    column = table["vector"].combine_chunks()
    return column.flatten().to_numpy(zero_copy_only=False).astype(np.float32).reshape(len(table), -1)


def to_rows(table: pa.Table, role: str) -> Rows:
    """The labelled rows in `role`, labels multi-hot. Raises: InputError for a label that is no place of a class."""
    cells = table["labels"].to_pylist()
    for image, cell in zip(table["id"].to_pylist(), cells, strict=True):
        if any(place is None or not 0 <= place < _MOST_CLASSES for place in cell or ()):  # -1 would be the last class
            raise InputError(f'the labels {cell} of "{image}" are not all places of classes, from 0 to {_MOST_CLASSES - 1}')
    hot = np.zeros((len(cells), 1 + max((max(c, default=-1) for c in cells if c), default=0)), bool)
    for i, cell in enumerate(cells):
        hot[i, cell or []] = True
    try:
        rows = Rows(table["id"].to_pylist(), vectors(table), hot)
    except ValueError as error:
        raise InputError(str(error)) from None
    return labelled(rows.take(np.asarray(table["role"].to_pylist()) == role))


@dataclass(frozen=True)
class Measured:
    """One attribute: `images` and `metrics` of its queries, `classes` (q, M_n) asked for, among `candidates` candidates.

    `gallery` is a hash of the candidates' ids and labels; "" where it is not known.
    """

    images: Sequence[str]
    classes: np.ndarray
    metrics: QueryMetrics
    candidates: int
    gallery: str = ""

    def take(self, queries: np.ndarray) -> "Measured":
        """The queries at `queries`, bool (q,), with the ranks they have in the whole gallery."""
        metrics = QueryMetrics(*(getattr(self.metrics, key.name)[queries] for key in fields(QueryMetrics)))
        images = [self.images[i] for i in np.flatnonzero(queries).tolist()]
        return Measured(images, self.classes[queries], metrics, self.candidates, self.gallery)


def measure_all(path: Path, split: str = "test", protocol: str = "attribute") -> dict[str, Measured]:
    """Every attribute of an Embeddings Parquet that has a labelled query and a labelled candidate; one is held at a time.

    Raises: InputError for another protocol, where no attribute has both, or for an image that stands twice under one.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f'protocol "{protocol}" is none of {", ".join(PROTOCOLS)}')
    names = pc.unique(read_embeddings(path, split, ("attribute",))["attribute"]).to_pylist()
    found: dict[str, Measured] = {}
    for name in sorted(names):
        table = read_embeddings(path, split, attribute=name).sort_by("id")
        refuse_twice(name, table["id"].to_pylist())
        queries, candidates = to_rows(table, "query"), to_rows(table, "candidate")
        if len(queries.ids) and len(candidates.ids):
            queries = one_query_a_class(queries) if protocol == "pair" else queries
            metrics, gallery = measure(queries, candidates), _gallery(candidates)
            found[name] = Measured(queries.ids, queries.labels, metrics, len(candidates.ids), gallery)
    if not found:
        raise InputError(f"{path}: no attribute has both a labelled query and a labelled candidate in split {split}")
    return found


def evaluate(path: Path, *, system: str, dataset: str, split: str = "test", protocol: str = "attribute") -> dict[str, Any]:
    """The results.json of an Embeddings Parquet.

    Args:
        protocol: "attribute": one query an (image, attribute), relevant if it shares a class; "pair": one query an
            (image, class), relevant if it has that class.
    Returns: `results`.
    Raises: InputError as `measure_all`.
    """
    found = measure_all(path, split, protocol)
    return results(found, system=system, dataset=dataset, split=split, protocol=protocol)


def refuse_twice(attribute: str, ids: Iterable[str]) -> None:
    """Raises: InputError for an id that stands twice: its image would count twice, find itself, or tie with itself."""
    seen: set[str] = set()
    for one in ids:
        if one in seen:
            raise InputError(f'{attribute}: "{one}" stands twice; an image is one query or one candidate of an attribute')
        seen.add(one)


def _gallery(candidates: Rows) -> str:
    text = "\n".join(candidates.ids).encode() + np.packbits(candidates.labels).tobytes()
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def results(found: Mapping[str, Measured], **names: str) -> dict[str, Any]:
    """The contract of results.json; values are fractions. Beside it `map_interval`, of 95 %, over images drawn anew.

    Overall is the mean over all queries, counts are summed over attributes; an attribute without a labelled query or
    candidate is left out. Args: names: system, dataset, split and protocol.
    """
    return {
        "format": FORMAT,
        **{key: names[key] for key in ("dataset", "protocol", "system", "split")},
        "attributes": {name: summary(one) for name, one in found.items()},
        "overall": summary(together(found)),
    }


def together(found: Mapping[str, Measured]) -> Measured:
    """The queries of all attributes as one; their classes, which are the attributes' own, are left out."""
    parts = list(found.values())
    return Measured(
        [image for one in parts for image in one.images],
        np.empty((sum(len(one.images) for one in parts), 0), bool),
        QueryMetrics(*(np.concatenate([getattr(one.metrics, key.name) for one in parts]) for key in fields(QueryMetrics))),
        sum(one.candidates for one in parts),
    )


def summary(one: Measured) -> dict[str, Any]:
    """The values of results.json: means over the queries, the interval of the first (None of one image), and counts."""
    means = {key: float(getattr(one.metrics, name).mean()) for key, name in _KEYS.items()}
    between = list(interval(one.metrics.average_precision, one.images)) if len(set(one.images)) > 1 else None
    return {**means, "map_interval": between, "queries": len(one.images), "candidates": one.candidates}
