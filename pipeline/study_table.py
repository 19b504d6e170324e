"""The table of a study in the paper's layout: a row a system, MAP@all of each attribute and overall, then the rest overall."""

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

from tabulate import tabulate

from pipeline.published import PublishedRow, published, same_attribute

_OVERALL = ("map", "map_at_100", "recall_at_100")
_HEADS = ("overall", "95 %", "MAP@100", "Recall@100", "valid")

_NOTE = (
    "* best on valid, where the epoch of every run was chosen too; test chose nothing. "
    "95 %: of the overall mean over seeds, photos drawn anew."
)


def render(means: Mapping[str, dict[str, Any]], style: str) -> str:
    """Percent, mean and standard deviation over seeds. Args: means: `study.mean` by name. style: text, markdown, csv or json."""
    if style == "json":
        return json.dumps(list(means.values()), ensure_ascii=False, indent=1)
    if not means:
        return "no run of this study has a result yet"
    one = next(iter(means.values()))
    beside = published(one["dataset"])
    attributes = ordered(list(one["attributes"]), beside)
    judged = {name: found["valid_map"] for name, found in means.items() if found["valid_map"] is not None}
    chosen = max(judged, key=judged.__getitem__, default="")
    floor = [*(one["attributes"][a]["random_map"] for a in attributes), *(one["overall"][f"random_{key}"] for key in _OVERALL)]
    rows = [["random", *_parted([_percent(value) for value in floor], len(attributes))]]
    rows += [_row(f"{name} *" if name == chosen else name, found, attributes) for name, found in means.items()]
    rows += [_published(row, one["protocol"], attributes) for row in beside]
    rows = [row + [""] * (1 + len(attributes) + len(_HEADS) - len(row)) for row in rows]
    head = ["system", *attributes, *_HEADS]
    if style == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([head, *rows])
        return text.getvalue().rstrip("\n")
    kind = "github" if style == "markdown" else "simple"
    table = tabulate(rows, head, tablefmt=kind, disable_numparse=True, colalign=("left", *["right"] * (len(head) - 1)))
    return "\n\n".join(filter(None, (_title(one, beside), table, _NOTE, _other_seeds(means))))


def _title(one: dict[str, Any], beside: list[PublishedRow]) -> str:
    seeds = one["seeds"]
    over = f"seeds {', '.join(map(str, seeds))}: mean ± standard deviation" if len(seeds) > 1 else f"seed {seeds[0]}"
    text = f'{one["dataset"]}, split {one["split"]}, protocol "{one["protocol"]}", MAP@all in percent; {over}'
    return (
        f"{text}; published rows as published: whether the photos are the paper's is for the reader to know" if beside else text
    )


def _other_seeds(means: Mapping[str, dict[str, Any]]) -> str:
    """Which systems are not of the seeds that the title names."""
    first = next(iter(means.values()))["seeds"]
    told = [f"{name} ({' '.join(map(str, one['seeds']))})" for name, one in means.items() if one["seeds"] != first]
    return f"Of other seeds: {', '.join(told)}" if told else ""


def _row(name: str, found: dict[str, Any], attributes: list[str]) -> list[str]:
    cells = [found["attributes"][a] for a in attributes]
    overall, valid = found["overall"], found["valid_map"]
    rest = [_percent(overall[key]) for key in _OVERALL[1:]]
    between = overall.get("map_interval")
    sure = f"{_percent(between[0])} to {_percent(between[1])}" if between else ""
    return [name, *map(_spread, [*cells, overall]), sure, *rest, "" if valid is None else _percent(valid)]


def _published(row: PublishedRow, protocol: str, attributes: list[str]) -> list[str]:
    known = [next((v for k, v in row.by_attribute.items() if same_attribute(k, a)), None) for a in attributes]
    cells = [f"{value:.2f}" if value is not None else "" for value in (*known, *row.overall)]
    other = "" if row.protocol == protocol else f' by protocol "{row.protocol}"'
    return [f"{row.system}, published{other}", *_parted(cells, len(known))]


def _parted(cells: list[str], attributes: int) -> list[str]:
    """With an empty one under the head of the interval, which only our own systems have."""
    return [*cells[: attributes + 1], "", *cells[attributes + 1 :]]


def _spread(values: dict[str, Any]) -> str:
    spread = values["map_spread"]
    return _percent(values["map"]) + ("" if spread is None else f" ± {_percent(spread)}")


def ordered(names: list[str], beside: list[PublishedRow]) -> list[str]:
    """The paper's order where it has the attributes, else as they are."""
    paper = list(beside[0].by_attribute) if beside else []

    def place(name: str) -> int:
        return next((i for i, other in enumerate(paper) if same_attribute(other, name)), len(paper))

    return sorted(names, key=place)


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"
