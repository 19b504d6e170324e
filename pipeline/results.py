"""Results as tables: percent with two decimals, the random floor beside what was measured."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from components.errors import InputError
from models.intervals import Comparison

FORMATS = ("text", "markdown", "csv", "json")
_HEADER = ("attribute", "MAP@all", "MAP@100", "Recall@100", "random MAP", "queries", "candidates")
_KEYS = ("map", "map_at_100", "recall_at_100", "random_map")


def read(folder: Path) -> list[dict[str, Any]]:
    """All results.json in `folder` and one level below it. Raises: InputError where there is none, or one that is damaged."""
    files = sorted([*folder.glob("results.json"), *folder.glob("*/results.json")])
    if not files:
        raise InputError(f"{folder} holds no results.json; give the --output of a run")
    return [_read(file) for file in files]


def _read(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        table(found)  # all that tables are made of is there
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file} is no results.json: {error!r}; run again, or `m3net evaluate` the Embeddings") from None
    return found


def write(path: Path, found: dict[str, Any]) -> None:
    """Aside and renamed, so that a kill or a full disk leaves what was there; /dev/stdout and its like as they are.

    Raises: InputError where it cannot be written.
    """
    text = json.dumps(found, ensure_ascii=False, indent=1)
    partial = path.with_name(f"{path.name}.partial")
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
        else:
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InputError(f"{path} cannot be written: {error.strerror}") from None


def table(results: dict[str, Any], style: str = "text") -> str:
    """One system's table. `style` text, markdown or csv."""
    rows = [_row(name, values) for name, values in [*results["attributes"].items(), ("overall", results["overall"])]]
    if style == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([_HEADER, *rows])
        return text.getvalue().rstrip("\n")
    kind = "github" if style == "markdown" else "simple"
    return tabulate(rows, _HEADER, tablefmt=kind, disable_numparse=True, colalign=("left", *["right"] * 6))


def sliced(rows: Sequence[dict[str, Any]]) -> str:
    """The table of "slices", percent."""
    head = ("slice", "value", "attribute", "MAP@all", "MAP@100", "Recall@100", "random MAP", "queries")
    cells = [
        [row["slice"], row["value"], row["attribute"], *(f"{100 * row[key]:.2f}" for key in _KEYS), f"{row['queries']}"]
        for row in rows
    ]
    return tabulate(cells, head, tablefmt="simple", disable_numparse=True, colalign=(*["left"] * 3, *["right"] * 5))


def render(found: Sequence[dict[str, Any]], style: str) -> str:
    """All results in one of `FORMATS`."""
    if style == "json":
        return json.dumps(list(found), ensure_ascii=False, indent=1)
    blocks = [f"{title(results)}\n\n{table(results, style)}" for results in found]
    return "\n\n".join(blocks)


def title(results: dict[str, Any]) -> str:
    """What a table is of."""
    what = f'{results["system"]} on {results["dataset"]}, split {results["split"]}, protocol "{results["protocol"]}", percent'
    between = results["overall"].get("map_interval")  # files of other makers may lack it
    return f"{what}; overall MAP@all within {100 * between[0]:.2f} to {100 * between[1]:.2f} (95 %)" if between else what


def differences(found: dict[str, Comparison]) -> str:
    """A table of paired comparisons, in percent points."""
    head = ("attribute", "difference", "low", "high", "p")
    rows = [
        [name, *(f"{100 * v:+.2f}" for v in (one.difference, one.low, one.high)), f"{one.p:.3f}"] for name, one in found.items()
    ]
    return tabulate(rows, head, tablefmt="simple", disable_numparse=True, colalign=("left", *["right"] * 4))


def _row(name: str, values: dict[str, Any]) -> list[str]:
    return [name, *(f"{100 * values[key]:.2f}" for key in _KEYS), f"{values['queries']}", f"{values['candidates']}"]
