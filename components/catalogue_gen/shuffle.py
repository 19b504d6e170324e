"""Rows of the whole catalogue grouped by a hash: packed by chunk, so that a row costs a runner some bytes, not an element."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np

PARTITIONS = 16  # of the hashes: a chunk becomes so many elements, and so many workers share the grouping
# A row under a 128-bit hash, and a number that is carried along.
HASHED = np.dtype([("high", "<u8"), ("low", "<u8"), ("place", "<i8"), ("note", "<u8")])


class GroupRows(beam.PTransform):
    """Chunks to (partition, array): `pack(chunk, *sides)` yields (partition, array of `dtype`); equal partitions are joined."""

    def __init__(self, pack: Callable[..., Iterator[tuple[Any, np.ndarray]]], dtype: np.dtype, *sides: Any) -> None:
        super().__init__()
        self.pack, self.dtype, self.sides = pack, dtype, sides

    def expand(self, chunks: beam.PCollection) -> beam.PCollection:
        """A PCollection of (partition, one array); rows in no particular order."""
        pack, dtype = self.pack, self.dtype

        def as_bytes(chunk: Any, *sides: Any) -> Iterator[tuple[Any, bytes]]:
            return ((partition, rows.tobytes()) for partition, rows in pack(chunk, *sides))

        def joined(partition: Any, packed: Iterable[bytes]) -> tuple[Any, np.ndarray]:
            return partition, np.frombuffer(b"".join(packed), dtype)

        packed = chunks | "Pack" >> beam.FlatMap(as_bytes, *self.sides)
        return packed | beam.GroupByKey() | "Join" >> beam.MapTuple(joined)


class SortedArray(beam.PTransform):
    """Arrays of `dtype`, few rows beside the catalogue's, to one that is sorted by its fields: small enough for a side input."""

    def __init__(self, dtype: np.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def expand(self, arrays: beam.PCollection) -> beam.PCollection:
        """A PCollection of one array."""
        dtype = self.dtype

        def merged(found: list[bytes]) -> np.ndarray:
            return np.sort(np.frombuffer(b"".join(found), dtype))

        return arrays | "Bytes" >> beam.Map(lambda rows: rows.tobytes()) | beam.combiners.ToList() | "Merge" >> beam.Map(merged)


def rows_within(rows: np.ndarray, start: int, count: int) -> np.ndarray:
    """Those of `rows`, sorted by their field `place`, whose place is from `start` to before `start + count`."""
    low, high = np.searchsorted(rows["place"], [start, start + count])
    return rows[low:high]


def partitioned(rows: np.ndarray, by: str) -> Iterator[tuple[int, np.ndarray]]:
    """`rows` by partition of their field `by`, a hash."""
    partition = rows[by] % np.uint64(PARTITIONS)
    for one in np.unique(partition):
        yield int(one), rows[partition == one]


def hashed(digest: bytes, place: int, note: int) -> tuple[int, int, int, int]:
    """A `HASHED` row. `digest`: 16 bytes."""
    return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big"), place, note


def repeats(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of `HASHED` rows, those whose hash a row of a lower place has: (the first with that hash, the row itself), aligned."""
    rows = rows[np.lexsort((rows["place"], rows["low"], rows["high"]))]
    again = np.zeros(len(rows), bool)
    again[1:] = (rows["high"][1:] == rows["high"][:-1]) & (rows["low"][1:] == rows["low"][:-1])
    first = np.maximum.accumulate(np.where(again, 0, np.arange(len(rows)))) if len(rows) else again.astype(int)
    return rows[first[again]], rows[again]
