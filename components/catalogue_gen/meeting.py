"""Where rows from all over the catalogue meet: packed by chunk, so that a row is some bytes to a runner, and not an element."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np

BUCKETS = 16  # a chunk becomes so many elements, and so many workers share what meets
# A row under a 128-bit hash of something, and what else is to be known of it.
KEYED = np.dtype([("high", "<u8"), ("low", "<u8"), ("place", "<i8"), ("note", "<u8")])


class Meeting(beam.PTransform):
    """Chunks to (bucket, arrays): `pack(chunk, *sides)` yields (bucket, array of one dtype), and equal buckets meet."""

    def __init__(self, pack: Callable[..., Iterator[tuple[Any, np.ndarray]]], dtype: np.dtype, *sides: Any) -> None:
        super().__init__()
        self.pack, self.dtype, self.sides = pack, dtype, sides

    def expand(self, chunks: beam.PCollection) -> beam.PCollection:
        """A PCollection of (bucket, one array)."""
        pack, dtype = self.pack, self.dtype

        def as_bytes(chunk: Any, *sides: Any) -> Iterator[tuple[Any, bytes]]:
            return ((bucket, rows.tobytes()) for bucket, rows in pack(chunk, *sides))

        def joined(bucket: Any, packed: Iterable[bytes]) -> tuple[Any, np.ndarray]:
            return bucket, np.frombuffer(b"".join(packed), dtype)

        packed = chunks | "Pack" >> beam.FlatMap(as_bytes, *self.sides)
        return packed | beam.GroupByKey() | "Join" >> beam.MapTuple(joined)


class Gathered(beam.PTransform):
    """Tuples, few beside the rows, to one array of `dtype`, by their first number."""

    def __init__(self, dtype: np.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def expand(self, found: beam.PCollection) -> beam.PCollection:
        """A PCollection of one array."""
        dtype = self.dtype
        return found | beam.combiners.ToList() | "AsArray" >> beam.Map(lambda rows: np.array(sorted(rows), dtype))


def within(gathered: np.ndarray, start: int, rows: int) -> np.ndarray:
    """Those of `gathered`, in order of their field `place`, from `start` to before `start + rows`."""
    low, high = np.searchsorted(gathered["place"], [start, start + rows])
    return gathered[low:high]


def bucketed(rows: np.ndarray, by: str) -> Iterator[tuple[int, np.ndarray]]:
    """`rows` in buckets by their field `by`, a hash."""
    bucket = rows[by] % np.uint64(BUCKETS)
    for one in np.unique(bucket):
        yield int(one), rows[bucket == one]


def keyed(digest: bytes, place: int, note: int) -> tuple[int, int, int, int]:
    """A `KEYED` row. `digest`: 16 bytes."""
    return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big"), place, note


def seconds(rows: np.ndarray) -> Iterator[tuple[int, int, int, int]]:
    """Of `KEYED` rows, each whose hash an earlier one has: (the first's place and note, its own place and note)."""
    rows = rows[np.lexsort((rows["place"], rows["low"], rows["high"]))]
    same = (rows[["high", "low"]][1:] == rows[["high", "low"]][:-1]) if len(rows) > 1 else np.zeros(0, bool)
    again = np.concatenate([[False], same])[: len(rows)]
    first = rows[np.maximum.accumulate(np.where(again, 0, np.arange(len(rows))))] if len(rows) else rows
    own = rows[["place", "note"]][again].tolist()
    for (place, note), (other, other_note) in zip(first[["place", "note"]][again].tolist(), own, strict=True):
        yield place, note, other, other_note
