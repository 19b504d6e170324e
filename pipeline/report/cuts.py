"""The slices of results.json as the page shows them: classes within their attribute, other cuts over all attributes."""

from itertools import groupby
from typing import Any

from components.retrieval_evaluator.slices import CLASS

_CLASSES = 40  # of an attribute, those of lowest MAP

Row = dict[str, Any]


def classes_of(results: dict[str, Any], attribute: str) -> list[Row]:
    """The rows of an attribute's classes, the lowest MAP first; none where the file, an older one, has no slices."""
    rows = [row for row in results.get("slices", []) if row["slice"] == CLASS and row["attribute"] == attribute]
    return sorted(rows, key=lambda row: row["map"])[:_CLASSES]


def by_column(results: dict[str, Any]) -> list[tuple[str, list[Row]]]:
    """Every other cut, with its rows over all attributes together."""
    rows = [row for row in results.get("slices", []) if row["slice"] != CLASS and row["attribute"] == "overall"]
    return [(name, list(own)) for name, own in groupby(rows, key=lambda row: row["slice"])]
