"""What can be found at one moment: a release's items and indexes, with what was added to and removed from it since."""

import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from models.taxonomy import Taxonomy
from serving.allowed import search_allowed
from serving.changes import Changes, changes_file, read_changes
from serving.exact import ExactIndex, Found, Index
from serving.index import open_index
from serving.items import Items
from serving.release import INDEX, ITEMS, Manifest, ReleaseError
from serving.shards import Shards

_EVERY = 1.0  # seconds between two looks at the changes
_MASKS = 32  # filters remembered: a byte an item each
Where = tuple[tuple[str, tuple[bytes, ...]], ...]  # columns and, of each, the values of which one is to be shown


@dataclass(frozen=True)
class Gallery:
    """`indexes`: one an attribute; row i of each is item i. `alive`: bool (n,), which of them are still there."""

    items: Items
    indexes: Mapping[str, Index]
    alive: np.ndarray

    def __post_init__(self) -> None:
        # An instance's own, so that what it remembers goes with it: after a change the masks are other ones.
        object.__setattr__(self, "allowed", lru_cache(_MASKS)(self.allowed))

    def allowed(self, where: Where) -> np.ndarray:
        """bool (n,): the items that are there and show what is asked for."""
        return self.alive & self.items.showing_all(dict(where)) if where else self.alive

    def search(self, attribute: str, queries: np.ndarray, k: int, allowed: np.ndarray) -> Found:
        """The best k rows where `allowed` is true, k cut to their number; see `Index.search`."""
        return search_allowed(self.indexes[attribute], queries, k, allowed)

    def row(self, item: bytes) -> int | None:
        """Of an item that is there."""
        row = self.items.row(item)
        return row if row is not None and self.alive[row] else None

    def changed(self, changes: Changes, taxonomy: Taxonomy) -> "Gallery":
        """With `changes` made to it."""
        items = self.items.joined(Items(changes.items, taxonomy))
        alive = np.concatenate([self.alive, np.ones(len(changes.items), bool)])
        alive[[row for item in changes.touched if (row := self.items.row(item)) is not None]] = False
        if not len(changes.items):
            return Gallery(items, self.indexes, alive)
        indexes = {name: Shards([one, ExactIndex(changes.vectors[name])]) for name, one in self.indexes.items()}
        return Gallery(items, indexes, alive)


class Live:
    """The gallery of the release in `folder` as it is now. Raises: ReleaseError where its parts do not fit each other."""

    def __init__(self, folder: Path, manifest: Manifest, taxonomy: Taxonomy) -> None:
        self._folder, self._manifest, self._taxonomy = folder, manifest, taxonomy
        try:
            items = Items(folder / ITEMS, taxonomy)
            indexes = {name: open_index(folder / INDEX / name) for name in taxonomy.names}
        except ValueError as error:
            raise ReleaseError(str(error)) from None
        if len(items) != (size := indexes[taxonomy.names[0]].info.size):
            raise ReleaseError(f"{folder}: {len(items)} items for indexes of {size}; build both and push again")
        self._pushed = self._now = Gallery(items, indexes, np.ones(size, bool))
        self._lock, self._seen, self._next = threading.Lock(), "", 0.0
        self._look()

    def now(self) -> Gallery:
        """One state for one request; never older than a second and the time it takes to read a change."""
        if time.monotonic() >= self._next and self._lock.acquire(blocking=False):  # the others go on with what there is
            try:
                self._look()
            finally:
                self._next = time.monotonic() + _EVERY
                self._lock.release()
        return self._now

    def _look(self) -> None:
        """Takes over changes that are not those seen last; what cannot be read leaves everything as it is."""
        if (seen := _identity(changes_file(self._folder))) == self._seen:
            return
        self._seen = seen
        try:
            changes = read_changes(self._folder, self._manifest, self._taxonomy)
        except (ValueError, OSError) as error:
            print(f"changes not taken over: {error}", file=sys.stderr, flush=True)
            return
        self._now = self._pushed.changed(changes, self._taxonomy) if changes else self._pushed


def _identity(file: Path) -> str:
    try:
        stat = file.stat()
    except FileNotFoundError:
        return ""
    return f"{stat.st_ino} {stat.st_mtime_ns} {stat.st_size}"
