"""catalogue.csv, row by row: a `Record` for each photo that can be used so far, a `Reject` with the reason for the rest.

The file is streamed; neither reading nor checking holds more than a row.
"""

import csv
import io
import posixpath
from collections.abc import Iterator
from typing import NamedTuple

from apache_beam.io.filesystems import FileSystems

from components.errors import InputError

SPLITS = ("train", "valid", "test")
ROLES = ("query", "candidate")
FIXED_COLUMNS = ("image", "split", "role", "id", "group")


class Record(NamedTuple):
    """One photo of the catalogue. `row` is its line in the file; `location` can be opened; '' = not given."""

    row: int
    location: str
    id: str
    group: str
    split: str
    role: str
    labels: dict[str, list[str]]


class Reject(NamedTuple):
    """A row that is left out, and the reason, in words for the person who wrote the row."""

    file: str
    row: int
    reason: str


def read_header(catalogue: str) -> list[str]:
    """The column names of `catalogue`. Raises: InputError where it has none, names one twice, or lacks a needed one."""
    columns = next(_lines(catalogue), (0, []))[1]
    if not columns or isinstance(columns, str):
        raise InputError(f"{catalogue} is empty; it needs a header: image, and a column for every attribute")
    if twice := sorted({c for c in columns if columns.count(c) > 1}):
        raise InputError(f"{catalogue} row 1 names a column twice: {', '.join(twice)}; rename one of them")
    if "" in columns:
        raise InputError(f"{catalogue} row 1, column {columns.index('') + 1} has no name; name it or remove the column")
    if "image" not in columns:
        raise InputError(f'{catalogue} row 1 has no column "image"; it has: {", ".join(columns)}')
    if not attribute_columns(columns):
        raise InputError(f"{catalogue} row 1 has no attribute column; add one, such as neckline, beside image")
    if unsafe := [c for c in columns if "/" in c or c in {".", ".."}]:
        raise InputError(f'{catalogue} row 1, column "{unsafe[0]}": an attribute also names a folder; take the / out')
    return columns


def attribute_columns(columns: list[str]) -> list[str]:
    """The columns that hold an attribute's labels."""
    return [c for c in columns if c not in FIXED_COLUMNS]


def read_rows(catalogue: str) -> Iterator[Record | Reject]:
    """Every row after the header. Raises: InputError where the file cannot be read as UTF-8 text."""
    columns = read_header(catalogue)
    name = posixpath.basename(catalogue)
    lines = _lines(catalogue)
    next(lines)
    for row, cells in lines:
        if isinstance(cells, str):
            yield Reject(name, row, cells)
        elif len(cells) != len(columns):
            few = "too few" if len(cells) < len(columns) else "too many"
            yield Reject(name, row, f"{few} fields: {len(cells)}, the header has {len(columns)}; quote a cell with a comma")
        else:
            yield _record(catalogue, name, row, dict(zip(columns, cells, strict=True)))


def _lines(catalogue: str) -> Iterator[tuple[int, list[str] | str]]:
    """Each row's first line number and its stripped cells, or in their place why the row is no CSV."""
    try:
        binary = FileSystems.open(catalogue)
    except (OSError, ValueError):
        raise InputError(f"{catalogue} cannot be opened; check the path") from None
    with io.TextIOWrapper(binary, encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text)
        while True:
            first = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield first, f"not CSV: {error}"
                continue
            except UnicodeDecodeError as error:
                raise InputError(f"{catalogue} is not UTF-8 after row {first - 1}: {error.reason}; save it as UTF-8") from None
            if cells:
                yield first, [cell.strip() for cell in cells]


def _record(catalogue: str, name: str, row: int, cells: dict[str, str]) -> Record | Reject:
    image, split, role = cells["image"], cells.get("split", ""), cells.get("role", "")
    if not image:
        return Reject(name, row, 'column "image" is empty')
    if split not in ("", *SPLITS):
        return Reject(name, row, f'column "split": "{split}" is none of {", ".join(SPLITS)}; leave it empty to have it drawn')
    if role not in ("", *ROLES):
        return Reject(name, row, f'column "role": "{role}" is none of {", ".join(ROLES)}; leave it empty to have it drawn')
    location = locate(catalogue, image)
    if location is None:
        return Reject(name, row, f'column "image": "{image}" leads out of the catalogue\'s folder; write its absolute path')
    labels = {c: _classes(cells[c]) for c in attribute_columns(list(cells))}
    return Record(row, location, cells.get("id") or image, cells.get("group", ""), split, role, labels)


def _classes(cell: str) -> list[str]:
    """The classes of a cell, each once, in order."""
    return list(dict.fromkeys(part.strip() for part in cell.split("|") if part.strip()))


def locate(catalogue: str, image: str) -> str | None:
    """Where `image` lies: relative to the catalogue, absolute, or a URL; None if relative and outside its folder."""
    if posixpath.isabs(image) or "://" in image:
        return image
    inside = posixpath.normpath(image)
    if inside == ".." or inside.startswith("../"):
        return None
    return posixpath.join(posixpath.dirname(catalogue), inside)
