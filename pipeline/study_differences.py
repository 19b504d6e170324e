"""How sure a study's table is: the interval of each system's MAP, and its paired difference to one of the systems."""

import csv
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from tabulate import tabulate

from models.intervals import compare, interval
from pipeline.published import published
from pipeline.study_queries import ASKED, AVERAGE_PRECISION
from pipeline.study_table import ordered

Answers = Mapping[int, pa.Table]  # `study_queries.read` by seed
_BASE = "classifier"
_NUMBERS = ("difference", "low", "high", "p")
_NOTE = (
    "* its interval leaves out 0 and p is below 5 %, as of one in 20 by chance alone. Photos are drawn anew, trainings are not: "
    "how far those part is the spread over seeds above."
)


def add(means: Mapping[str, dict[str, Any]], answers: Mapping[str, Answers]) -> None:
    """Adds to `study.mean` of each system, by name, what follows from the answers of its seeds; fractions.

    `overall.map_interval`: of the AP averaged over seeds, images drawn anew; None unless every seed's answers are kept.
    `against`: the differences to the classifier, or to the first system where there is none. It has `system`, `seeds`
    (those that both have), and, in `attributes` and `overall`, `_NUMBERS` and `sure`. Absent where nothing is shared.
    """
    known = [name for name in means if answers[name]]
    for name, found in means.items():
        whole = set(answers[name]) == set(found["seeds"])
        found["overall"]["map_interval"] = _interval(answers[name]) if whole else None
    base = _BASE if _BASE in known else next(iter(known), "")
    for name in known:
        if name != base and (against := _against(answers[base], answers[name])):
            means[name]["against"] = {"system": base, **against}


def render(means: Mapping[str, dict[str, Any]], style: str) -> str:
    """The table "against" in percent points; empty where there is none. style: text, markdown, or csv, a row a difference."""
    found = {name: one["against"] for name, one in means.items() if "against" in one}
    if not found:
        return ""
    first = next(iter(means.values()))
    attributes = ordered(list(first["attributes"]), published(first["dataset"]))
    if style == "csv":
        return _csv(found, attributes)
    rows = [row for name, one in found.items() for row in _rows(name, one, attributes)]
    head = ["system", *attributes, "overall", "seeds"]
    kind = "github" if style == "markdown" else "simple"
    table = tabulate(rows, head, tablefmt=kind, disable_numparse=True, colalign=("left", *["right"] * (len(head) - 1)))
    base = next(iter(found.values()))["system"]
    return (
        f"Against {base}: MAP@all less that of {base} on the same queries, percent points, 95 % interval\n\n{table}\n\n{_NOTE}"
    )


def _interval(answers: Answers) -> list[float] | None:
    images = next(iter(answers.values()))["id"].to_pylist()
    return list(interval(_averaged(answers, list(answers)), images)) if len(set(images)) > 1 else None


def _against(first: Answers, second: Answers) -> dict[str, Any] | None:
    """`second` less `first`, over the seeds in which both were asked the same; None where there is none."""
    seeds = [seed for seed in second if seed in first and first[seed].select(ASKED).equals(second[seed].select(ASKED))]
    if not seeds:
        return None
    before, after = _averaged(first, seeds), _averaged(second, seeds)
    attributes, images = (np.array(second[seeds[0]][key].to_pylist()) for key in ("attribute", "id"))
    each = {
        name: _compared(*(part[attributes == name] for part in (before, after, images)))
        for name in np.unique(attributes).tolist()
    }
    return {"seeds": seeds, "attributes": each, "overall": _compared(before, after, images)}


def _averaged(answers: Answers, seeds: list[int]) -> np.ndarray:
    """Average precision of each query, float64 (q,), mean over `seeds`."""
    return np.mean([answers[seed][AVERAGE_PRECISION].to_numpy() for seed in seeds], axis=0)


def _compared(before: np.ndarray, after: np.ndarray, images: np.ndarray) -> dict[str, Any]:
    if len(np.unique(images)) == 1:  # drawn anew it is itself: no interval
        return {"difference": float((after - before).mean()), "low": None, "high": None, "p": None, "sure": False}
    found = compare(before, after, images.tolist())
    return {**vars(found), "sure": found.sure}


def _rows(name: str, found: dict[str, Any], attributes: list[str]) -> list[list[str]]:
    """Two: the differences, and below them their intervals."""
    cells = [*(found["attributes"][attribute] for attribute in attributes), found["overall"]]
    differences = [_points(one["difference"]) + (" *" if one["sure"] else "") for one in cells]
    between = ["" if one["low"] is None else f"{_points(one['low'])} to {_points(one['high'])}" for one in cells]
    return [[name, *differences, ", ".join(map(str, found["seeds"]))], ["", *between, ""]]


def _csv(found: Mapping[str, dict[str, Any]], attributes: list[str]) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["system", "against", "seeds", "attribute", *_NUMBERS, "sure"])
    for name, one in found.items():
        for part in (*attributes, "overall"):
            values = one["overall"] if part == "overall" else one["attributes"][part]
            numbers = ["" if values[key] is None else _points(values[key]) for key in _NUMBERS[:3]]
            p = "" if values["p"] is None else f"{values['p']:.3f}"
            seeds = " ".join(map(str, one["seeds"]))
            rows.writerow([name, one["system"], seeds, part, *numbers, p, "*" if values["sure"] else ""])
    return text.getvalue().rstrip("\n")


def _points(value: float) -> str:
    return f"{100 * value:+.2f}"
