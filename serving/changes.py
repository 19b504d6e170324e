"""Items added to and removed from a release after it was pushed, without a new model: `<releases>/.changes/<version>.parquet`.

A release itself never changes, every byte of it being in its manifest. Its changes lie beside it, in one small file that
is replaced in one rename; servers look every second whether it is another. They belong to one version, for their
vectors are its model's: the next release starts from its own items, so that a change must reach the catalogue, too.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from models.taxonomy import Taxonomy
from serving.disk import sync_one
from serving.items import LABEL
from serving.release import ITEMS, Manifest, read_manifest

FOLDER = ".changes"  # no integer, so that no server takes it for a version
_VECTOR = "vector/"


class ChangeError(ValueError):
    """A change that cannot be made; the message says why, and what to do."""


@dataclass(frozen=True)
class Item:
    """`vectors`: of every attribute the retrieval vector float32 (L,) of this version's model. `labels`: class names by
    attribute, none where unlabelled. `texts`: other columns that it can be searched by."""

    id: str
    image: str
    vectors: Mapping[str, np.ndarray]
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Changes:
    """`touched`: ids whose items in the release are no longer to be found. `items`: a table as items.parquet, of those
    added; `vectors`: by attribute theirs, float32 (m, L)."""

    touched: frozenset[bytes]
    items: pa.Table
    vectors: dict[str, np.ndarray]


def changes_file(release: Path) -> Path:
    """Where the changes of the release in the folder `release` lie."""
    return release.parent / FOLDER / f"{release.name}.parquet"


def change(release: Path, add: Sequence[Item] = (), remove: Sequence[str] = ()) -> None:
    """Removes items, then adds some; one with an id that is there takes its place. All or nothing, and on disk on return.

    Raises: ChangeError; ReleaseError where `release` is none.
    """
    manifest = read_manifest(release)
    taxonomy = Taxonomy.from_json(json.dumps(manifest.taxonomy))
    added = {item.id: _row(item, taxonomy, manifest.vector_length) for item in add}
    file = changes_file(release)
    file.parent.mkdir(exist_ok=True)
    with _alone(file):
        rows = {row["id"]: row for row in (_read(file, manifest.model).to_pylist() if file.exists() else ())}
        there = {item for item, row in rows.items() if not row["removed"]}
        there |= set(pq.read_table(release / ITEMS, columns=["id"])["id"].to_pylist()) - set(rows)
        if unknown := [item for item in remove if item not in there]:
            raise ChangeError(f'{release}: there is no item "{unknown[0]}" to remove')
        rows |= {item: {"id": item, "removed": True} for item in remove}
        _write(file, list((rows | added).values()), taxonomy, manifest)


def read_changes(release: Path, manifest: Manifest, taxonomy: Taxonomy) -> Changes | None:
    """What `change` wrote; None where it never did. Raises: ChangeError for another model's, ValueError or OSError."""
    file = changes_file(release)
    if not file.exists():
        return None
    table = _read(file, manifest.model)
    items = table.filter(pc.invert(table["removed"]))
    vectors = {name: _matrix(items[_VECTOR + name], manifest.vector_length) for name in taxonomy.names}
    return Changes(frozenset(item.encode() for item in table["id"].to_pylist()), items, vectors)


def carry(source: Path, target: Path) -> None:
    """Gives the release in `target` the changes of `source`, whose model and items it has; none where that has none.

    For a `target` that nobody sees yet. Raises: OSError.
    """
    theirs, file = changes_file(source), changes_file(target)
    file.unlink(missing_ok=True)  # of a push of this version that was cut short
    if theirs.exists():
        shutil.copyfile(theirs, file)
        for one in (file, file.parent):
            sync_one(one)


def _matrix(column: pa.ChunkedArray, length: int) -> np.ndarray:
    return np.asarray(column.combine_chunks().flatten(), np.float32).reshape(-1, length)


def _row(item: Item, taxonomy: Taxonomy, length: int) -> dict[str, Any]:
    if not item.id:
        raise ChangeError("an item needs an id")
    row: dict[str, Any] = {**item.texts, "id": item.id, "removed": False, "image": item.image}
    for one in taxonomy.attributes:
        vector = item.vectors.get(one.name)
        if vector is None or np.shape(vector) != (length,) or not np.isfinite(vector).all():
            raise ChangeError(f'item "{item.id}": attribute "{one.name}" needs a vector of {length} finite numbers')
        if unknown := [name for name in item.labels.get(one.name, ()) if name not in one.classes]:
            known = ", ".join(one.classes)
            raise ChangeError(f'item "{item.id}": "{one.name}" has no class "{unknown[0]}"; there are: {known}')
        row[LABEL + one.name] = [one.classes.index(name) for name in item.labels.get(one.name, ())]
        row[_VECTOR + one.name] = np.asarray(vector, np.float32).tolist()
    if unknown := sorted(set(item.labels) - set(taxonomy.names)):
        raise ChangeError(f'item "{item.id}": no attribute "{unknown[0]}"; there are: {", ".join(taxonomy.names)}')
    return row


def _read(file: Path, model: str) -> pa.Table:
    table = pq.read_table(file)
    if (table.schema.metadata or {}).get(b"model") != model.encode():
        raise ChangeError(f"{file}: its vectors are another model's than the release's; remove it and add the items again")
    return table


def _write(file: Path, rows: list[dict[str, Any]], taxonomy: Taxonomy, manifest: Manifest) -> None:
    fields: dict[str, pa.DataType] = {"id": pa.string(), "removed": pa.bool_(), "image": pa.string()}
    fields |= {LABEL + name: pa.list_(pa.int32()) for name in taxonomy.names}
    fields |= {_VECTOR + name: pa.list_(pa.float32()) for name in taxonomy.names}
    fields |= {name: pa.string() for row in rows for name in row if name not in fields}
    schema = pa.schema(list(fields.items()), metadata={"model": manifest.model})
    partial = file.with_name(f".{file.name}.partial")  # one name: whoever holds the lock sweeps a dead one's by writing
    with partial.open("wb") as opened:
        pq.write_table(pa.Table.from_pylist(rows, schema), opened)
        opened.flush()
        os.fsync(opened.fileno())
    partial.rename(file)
    sync_one(file.parent)


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """One writer at a time; the lock ends with its process, however that ends."""
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
