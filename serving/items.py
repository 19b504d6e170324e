"""items.parquet: what stands behind row i of every index of a release."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from models.taxonomy import Taxonomy


class Items:
    """The items of a release, in the order of its indexes' rows.

    Read from columns `id` and `image` (the photo's location), both string, and `label/<attribute>` list<int32>, the
    class indices within the attribute. Everything is bytes here, for that is what is sent.
    Raises: ValueError for a file without these columns, KeyError or IndexError for labels outside `taxonomy`.
    """

    def __init__(self, path: Path, taxonomy: Taxonomy) -> None:
        columns = ["id", "image", *(f"label/{name}" for name in taxonomy.names)]
        table = pq.read_table(path)
        if missing := [name for name in columns if name not in table.column_names]:
            raise ValueError(f"{path}: column {missing[0]} is missing; it has: {', '.join(table.column_names)}")
        self.ids = _bytes(table["id"].to_pylist())
        self.images = _bytes(table["image"].to_pylist())
        self._classes = {
            attribute.name: _bytes(
                ["|".join(attribute.classes[i] for i in cell or ()) for cell in table[f"label/{attribute.name}"].to_pylist()]
            )
            for attribute in taxonomy.attributes
        }

        self._rows = {item: row for row, item in enumerate(self.ids.tolist())}

    def row(self, item: bytes) -> int | None:
        """The row of an id, none where it is unknown; of ids that occur twice the last."""
        return self._rows.get(item)

    def __len__(self) -> int:
        return len(self.ids)

    def classes(self, attribute: str) -> np.ndarray:
        """bytes (n,): each item's classes of `attribute`, joined by |; empty where it is unlabelled."""
        return self._classes[attribute]


def _bytes(texts: list[str]) -> np.ndarray:
    return np.array([text.encode() for text in texts], object)
