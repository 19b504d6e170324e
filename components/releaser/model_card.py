"""The model card of a release: what it is, what it is for, how well it does on what, and what to beware of.

Its parts are those of Mitchell et al., "Model Cards for Model Reporting", FAT* 2019, in their order. Only what is known is
stated; what nobody measured is said to be unmeasured.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import pyarrow.compute as pc
import pyarrow.dataset as ds

from components.artifacts import SPLITS
from components.releaser.model_card_page import PAGE
from models.taxonomy import Taxonomy

_SURE_QUERIES = 100  # with fewer, one attribute's interval is soon ten points wide
_WORST = 12  # classes shown
_MOST_CLASSES = 200  # beyond, the table of classes is left out: the taxonomy is in release.json


@dataclass(frozen=True)
class ClassCount:
    """How many photos of each split are labelled with a class."""

    attribute: str
    name: str
    photos: dict[str, int]


def render(version: int, run: str, results: dict[str, Any], made_by: dict[str, Any], taxonomy: Taxonomy, items: Path) -> str:
    """The page, one file of HTML that asks for nothing; names out of the catalogue are escaped.

    Args:
        results: results.json. made_by: `provenance.provenance`. items: items.parquet, with the labels of what is indexed.
    """
    counts = list(class_counts(items, taxonomy))
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(percent=_percent, interval=_interval)
    return environment.from_string(PAGE).render(
        version=version,
        run=run,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        results=results,
        recipe=made_by["recipe"],
        data=made_by["data"],
        code=made_by["code"],
        verdict=made_by["verdict"],
        counts=counts if len(counts) <= _MOST_CLASSES else [],
        classes=len(counts),
        splits=[split for split in SPLITS if any(one.photos[split] for one in counts)],
        worst=_worst(results),
        caveats=list(caveats(results, made_by, counts)),
    )


def class_counts(items: Path, taxonomy: Taxonomy) -> Iterator[ClassCount]:
    """In the taxonomy's order; of the splits that the index holds."""
    found = ds.dataset(items)
    for attribute in taxonomy.attributes:
        table = found.to_table([f"label/{attribute.name}", *({"split"} & {*found.schema.names})])
        splits = table["split"].to_numpy() if "split" in table.column_names else None
        parents = pc.list_parent_indices(table[0]).to_numpy()
        labels = pc.list_flatten(table[0]).to_numpy()
        for number, name in enumerate(attribute.classes):
            rows = parents[labels == number]
            yield ClassCount(
                attribute.name,
                name,
                {split: int((splits[rows] == split).sum()) if splits is not None else 0 for split in SPLITS},
            )


def caveats(results: dict[str, Any], made_by: dict[str, Any], counts: list[ClassCount]) -> Iterator[str]:
    """What these numbers themselves warn of, a sentence each."""
    for name, values in results["attributes"].items():
        if values["map"] <= values["random_map"]:
            yield f"{name}: ranked no better than at random."
        if values["queries"] < _SURE_QUERIES:
            yield f"{name}: only {values['queries']} test queries; read its interval, not its mean."
    untrained = [f"{one.attribute} {one.name}" for one in counts if not one.photos["train"]]
    if untrained and any(one.photos["train"] for one in counts):
        yield f"Not one training photo shows: {', '.join(untrained[:20])}{' and others' if len(untrained) > 20 else ''}."
    if made_by["recipe"].get("model", {}).get("weights", None) == "":
        yield "The backbone was trained from random weights, on this catalogue alone."
    if "-dirty" in made_by["code"].get("commit", ""):
        yield "The code that released it differs from its commit."


def _worst(results: dict[str, Any]) -> list[dict[str, Any]]:
    """The classes with the lowest MAP; where slices by class were measured."""
    rows = [row for row in results.get("slices", []) if row["slice"] == "class"]
    return sorted(rows, key=lambda row: row["map"])[:_WORST]


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f}"


def _interval(values: dict[str, Any]) -> str:
    between = values.get("map_interval")
    return f"{100 * between[0]:.2f} to {100 * between[1]:.2f}" if between else "too few queries"
