"""catalogue.csv, our own format: a row a photo, a column an attribute. The file is streamed."""

import csv
import posixpath
from collections.abc import Iterator

from components.catalogue_gen.readers.text import BadLine, lines
from components.catalogue_gen.rows import ROLES, SPLITS, Record, Reject, locate
from components.errors import InputError
from models.taxonomy import Taxonomy

FIXED_COLUMNS = ("image", "split", "role", "id", "group")


class CatalogueReader:
    """Reads catalogue.csv; `path` is the file."""

    def columns(self, path: str) -> list[str]:
        """The columns that hold an attribute's labels."""
        return attribute_columns(read_header(path))

    def taxonomy(self, path: str) -> Taxonomy | None:
        """None: the classes are those in the cells."""
        return None

    def rows(self, path: str) -> Iterator[Record | Reject]:
        """Every row after the header."""
        columns = read_header(path)
        name = posixpath.basename(path)
        found = _rows(path)
        next(found)
        for row, cells in found:
            if isinstance(cells, str):
                yield Reject(name, row, cells)
            elif len(cells) != len(columns):
                few = "too few" if len(cells) < len(columns) else "too many"
                yield Reject(name, row, f"{few} fields: {len(cells)}, the header has {len(columns)}; quote a cell with a comma")
            else:
                yield _record(path, name, row, dict(zip(columns, cells, strict=True)))


def read_header(catalogue: str) -> list[str]:
    """The column names of `catalogue`. Raises: InputError where it has none, names one twice, or lacks a needed one."""
    row, columns = next(_rows(catalogue), (1, []))
    if isinstance(columns, str):
        raise InputError(f"{catalogue} row {row}: {columns}")
    if not columns:
        raise InputError(f"{catalogue} is empty; it needs a header: image, and a column for every attribute")
    if twice := sorted({c for c in columns if columns.count(c) > 1}):
        raise InputError(f"{catalogue} row 1 names a column twice: {', '.join(twice)[:400]}; rename one of them")
    if "" in columns:
        raise InputError(f"{catalogue} row 1, column {columns.index('') + 1} has no name; name it or remove the column")
    if "image" not in columns:
        raise InputError(f'{catalogue} row 1 has no column "image"; it has: {", ".join(columns[:20])[:400]}')
    if not attribute_columns(columns):
        raise InputError(f"{catalogue} row 1 has no attribute column; add one, such as neckline, beside image")
    if unsafe := [c for c in columns if "/" in c or c in {".", ".."}]:
        raise InputError(f'{catalogue} row 1, column "{unsafe[0][:80]}": an attribute also names a folder; take the / out')
    return columns


def attribute_columns(columns: list[str]) -> list[str]:
    """The columns that hold an attribute's labels."""
    return [c for c in columns if c not in FIXED_COLUMNS]


def _rows(catalogue: str) -> Iterator[tuple[int, list[str] | str]]:
    """Each row's line number and its stripped cells, or in their place why the row is no CSV."""
    for row, line in lines(catalogue):
        try:
            yield row, str(line) if isinstance(line, BadLine) else _cells(line)
        except csv.Error as error:
            yield row, f"not CSV: {error}"


def _cells(line: str) -> list[str]:
    # A reader a line: one quote that is not closed costs its row, not all rows up to the next quote.
    reader = csv.reader((line, ""))
    cells = [cell.strip() for cell in next(reader)]
    if reader.line_num > 1:
        raise csv.Error("a quote is not closed on its line")
    return cells


def _record(catalogue: str, name: str, row: int, cells: dict[str, str]) -> Record | Reject:
    image, split, role = cells["image"], cells.get("split", ""), cells.get("role", "")
    if not image:
        return Reject(name, row, 'column "image" is empty')
    if split not in ("", *SPLITS):
        return Reject(
            name, row, f'column "split": "{split[:80]}" is none of {", ".join(SPLITS)}; leave it empty to have it drawn'
        )
    if role not in ("", *ROLES):
        return Reject(name, row, f'column "role": "{role[:80]}" is none of {", ".join(ROLES)}; leave it empty to have it drawn')
    try:
        location = locate(posixpath.dirname(catalogue), image)
    except ValueError as error:
        return Reject(name, row, str(error))
    labels = {c: _classes(cells[c]) for c in attribute_columns(list(cells))}
    return Record(row, location, cells.get("id") or image, cells.get("group", ""), split, role, labels, name)


def _classes(cell: str) -> list[str]:
    """The classes of a cell, each once, in order."""
    return list(dict.fromkeys(part.strip() for part in cell.split("|") if part.strip()))
