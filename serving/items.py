"""items.parquet: what stands behind row i of every index of a release."""

import copy
from collections import ChainMap
from collections.abc import Callable, Mapping, MutableMapping
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from models.taxonomy import Taxonomy
from serving.web.photos import folder_of

LABEL = "label/"
Rows = dict[bytes, np.ndarray]  # of each value the rows int32 that show it, ascending


class Items:
    """Items in the order of their indexes' rows. Everything is bytes here, for that is what is sent.

    Read from columns `id` and `image` (the photo's location), both string, and `label/<attribute>` list<int32>, the
    class indices within the attribute. Further string columns, as `split`, are there to search by.
    `showing` gives, of an attribute or one of `columns`, which rows show what.
    Raises: ValueError for a table without these columns, IndexError for labels outside `taxonomy`.
    """

    def __init__(self, source: Path | pa.Table, taxonomy: Taxonomy) -> None:
        table = pq.read_table(source) if isinstance(source, Path) else source
        needed = ["id", "image", *(LABEL + name for name in taxonomy.names)]
        if missing := [name for name in needed if name not in table.column_names]:
            raise ValueError(f"{source}: column {missing[0]} is missing; it has: {', '.join(table.column_names)}")
        texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
        self._texts = {name: _bytes(table[name].to_pylist()) for name in texts}
        self._labels = {one.name: (table[LABEL + one.name].combine_chunks(), one.classes) for one in taxonomy.attributes}
        self._classes = {name: _joined(*labels) for name, labels in self._labels.items()}
        self._rows: MutableMapping[bytes, int] = {item: row for row, item in enumerate(self.ids.tolist())}
        self.showing: Callable[[str], Rows] = cache(self._showing)
        self.columns = list(dict.fromkeys([*taxonomy.names, *texts]))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def ids(self) -> np.ndarray:
        """bytes (n,)."""
        return self._texts["id"]

    @property
    def images(self) -> np.ndarray:
        """bytes (n,): where each photo lies."""
        return self._texts["image"]

    def row(self, item: bytes) -> int | None:
        """The row of an id, none where it is unknown; of ids that occur twice the last."""
        return self._rows.get(item)

    @cached_property
    def folder(self) -> Path | None:
        """Where the photos lie; see `photos.folder_of`."""
        return folder_of(self.images)

    def classes(self, attribute: str) -> np.ndarray:
        """bytes (n,): each item's classes of `attribute`, joined by |; empty where it is unlabelled."""
        return self._classes[attribute]

    def showing_all(self, conditions: Mapping[str, tuple[bytes, ...]]) -> np.ndarray:
        """bool (n,): the items that show, in each of the columns, one of its values."""
        rows = np.ones(len(self), bool)
        for column, values in conditions.items():
            shown = np.zeros(len(self), bool)
            for value in values:
                shown[self.showing(column).get(value, [])] = True
            rows &= shown
        return rows

    def _showing(self, column: str) -> Rows:
        if column not in self._labels:
            return _grouped(self._texts[column], range(len(self)))
        cells, classes = self._labels[column]
        shown = _bytes(list(classes))[np.asarray(pc.list_flatten(cells), np.intp)]
        return _grouped(shown, pc.list_parent_indices(cells).to_pylist())

    def joined(self, more: "Items") -> "Items":
        """These, then `more`, whose ids hide the same ids here; nothing of these is computed again."""
        start, none = len(self), np.repeat(_bytes([""]), len(more))

        def showing(column: str) -> Rows:
            found = dict(self.showing(column))
            for value, rows in (more.showing(column) if column in more.columns else {}).items():
                found[value] = np.concatenate([found.get(value, rows[:0]), rows + np.int32(start)])
            return found

        both = copy.copy(self)
        both.__dict__.pop("folder", None)
        both._texts = {name: np.concatenate([one, more._texts.get(name, none)]) for name, one in self._texts.items()}
        both._classes = {name: np.concatenate([one, more._classes[name]]) for name, one in self._classes.items()}
        both._rows = ChainMap({item: start + row for item, row in more._rows.items()}, self._rows)
        both.showing = cache(showing)
        return both


def _joined(cells: pa.Array, classes: tuple[str, ...]) -> np.ndarray:
    return _bytes(["|".join(classes[i] for i in cell or ()) for cell in cells.to_pylist()])


def _grouped(values: np.ndarray, rows: range | list[int]) -> Rows:
    groups: dict[bytes, list[int]] = {}
    for value, row in zip(values.tolist(), rows, strict=True):
        groups.setdefault(value, []).append(row)
    return {value: np.array(found, np.int32) for value, found in groups.items()}


def _bytes(texts: list[str]) -> np.ndarray:
    return np.array([(text or "").encode() for text in texts], object)
