"""Metrics of parts of the queries: of each class, and of each value of another attribute or of a column of the Embeddings.

The ranking is that of the whole gallery; a slice only averages over fewer queries.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds

from components.errors import InputError
from components.retrieval_evaluator.measure import COLUMNS, Measured, read_embeddings, summary, together
from models.taxonomy import Taxonomy

CLASS = "class"


def slices(
    found: Mapping[str, Measured], path: Path, split: str, columns: Sequence[str], taxonomy: Taxonomy | None = None
) -> list[dict[str, Any]]:
    """The rows of "slices" in results.json: {"slice", "value", "attribute", and the keys of a summary}.

    Args:
        path: the Embeddings that were measured.
        columns: `CLASS`, or an attribute, or a column of the Embeddings, each cutting anew. By class, a query with several
            counts in each of them; by a column, there is also the attribute "overall".
        taxonomy: names the classes, which are numbers in the Embeddings; without it, the numbers stand.
    Raises: InputError for a column that is neither.
    """
    rows: list[dict[str, Any]] = []
    for column in columns:
        if column == CLASS:
            rows += _by_class(found, taxonomy)
        else:
            rows += _by_value(found, column, _values(path, split, column, taxonomy))
    return rows


def _by_class(found: Mapping[str, Measured], taxonomy: Taxonomy | None) -> Iterator[dict[str, Any]]:
    for attribute, measured in found.items():
        for place in np.flatnonzero(measured.classes.any(axis=0)).tolist():
            own = measured.take(measured.classes[:, place])
            yield {"slice": CLASS, "value": _class_name(attribute, place, taxonomy), "attribute": attribute, **summary(own)}


def _by_value(found: Mapping[str, Measured], column: str, values: Mapping[str, Sequence[str]]) -> Iterator[dict[str, Any]]:
    """`values`: of each image."""
    for value in sorted({one for own in values.values() for one in own}):
        cut = {
            attribute: measured.take(np.array([value in values.get(image, ()) for image in measured.images], bool))
            for attribute, measured in found.items()
        }
        cut = {attribute: measured for attribute, measured in cut.items() if len(measured.images)}
        for attribute, measured in [*cut.items(), ("overall", together(cut))] if cut else ():
            yield {"slice": column, "value": value, "attribute": attribute, **summary(measured)}


def _values(path: Path, split: str, column: str, taxonomy: Taxonomy | None) -> dict[str, Sequence[str]]:
    """What `column` says of each query image."""
    own = ds.dataset(path, format="parquet").schema.names
    if column in own and column not in COLUMNS:
        table = read_embeddings(path, split, ("id", "role", column)).filter(pc.field("role") == "query")
        return {row["id"]: (str(row[column]),) for row in table.to_pylist() if row[column] is not None}
    table = read_embeddings(path, split, ("id", "role", "labels"), attribute=column).filter(pc.field("role") == "query")
    if not len(table):
        attributes = pc.unique(read_embeddings(path, split, ("attribute",))["attribute"]).to_pylist()
        more = [name for name in own if name not in COLUMNS]
        raise InputError(f'no slice "{column}"; there are: {", ".join([CLASS, *sorted(attributes), *more])}')
    found: dict[str, Sequence[str]] = defaultdict(tuple)
    for row in table.to_pylist():
        found[row["id"]] = tuple(_class_name(column, place, taxonomy) for place in row["labels"] or ())
    return found


def _class_name(attribute: str, place: int, taxonomy: Taxonomy | None) -> str:
    if taxonomy is None:
        return str(place)
    try:
        return taxonomy[attribute].classes[place]
    except (KeyError, IndexError):
        raise InputError(f"the taxonomy has no class {place} of {attribute}; give that of these Embeddings") from None
