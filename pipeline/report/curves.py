"""Training curves: what history.csv says of each epoch."""

import csv
from pathlib import Path

from pipeline.report.charts import Line

PARTS = {"loss": "loss", "l_m": "L_M", "l_ci": "L_CI", "l_cc": "L_CC"}
PARTS |= {"triplet": "triplet", "cluster": "cluster", "local": "local branch", "alignment": "alignment"}


def read_history(path: Path) -> list[dict[str, float]]:
    """A row an epoch, its empty cells left out; no row where there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


def line(history: list[dict[str, float]], column: str, name: str, scale: float = 1.0) -> Line:
    """One column of the history, times `scale`; epochs without it are left out."""
    return Line(name, tuple((row["epoch"], scale * row[column]) for row in history if column in row))


def losses(history: list[dict[str, float]]) -> list[Line]:
    """The loss and those of its parts that were trained."""
    lines = [line(history, column, name) for column, name in PARTS.items()]
    return [one for one in lines if any(y for _, y in one.points)]


def kept_epoch(history: list[dict[str, float]]) -> int | None:
    """The epoch whose weights were kept; None where nothing was validated and the last one was."""
    validated = [row for row in history if "valid_map" in row]
    return int(max(validated, key=lambda row: row["valid_map"])["epoch"]) if validated else None
