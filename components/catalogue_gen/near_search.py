"""Near-duplicates through Beam: chunks to pairs, and pairs to the report."""

import json
from collections.abc import Iterator
from hashlib import blake2b

import apache_beam as beam
import numpy as np

from components.catalogue_gen.chunks import Chunk, rows_of, signatures_of
from components.catalogue_gen.meeting import KEYED, Gathered, Meeting, bucketed, keyed, seconds, within
from components.catalogue_gen.near_duplicates import PHOTO, SIGNATURE, Pair, pairs, parts
from components.catalogue_gen.rows import Record
from components.catalogue_gen.splits import key

PLACE = np.dtype([("place", "<i8")])


class NearDuplicates(beam.PTransform):
    """Chunks whose photos are stored to the `Pair`s that differ in at most `bits`; rows in `taken` take no part.

    Equal signatures meet first, and only the first of them looks for others: a photo repeated n times is n - 1 pairs.
    """

    def __init__(self, bits: int, taken: beam.pvalue.AsSingleton) -> None:
        super().__init__()
        self.bits, self.taken = bits, taken

    def expand(self, chunks: beam.PCollection) -> beam.PCollection:
        """A PCollection of `Pair`s, each once."""
        bits = self.bits
        equal = (
            chunks
            | "Equal" >> Meeting(_digests, KEYED, self.taken)
            | "Seconds" >> beam.FlatMapTuple(lambda _, rows: (Pair(*pair, 0) for pair in seconds(rows)))
        )
        repeated = beam.pvalue.AsSingleton(equal | beam.Map(lambda pair: (pair.second,)) | "Repeated" >> Gathered(PLACE))
        close = (
            chunks
            | "Bands" >> Meeting(_bands, PHOTO, self.taken, repeated, bits)
            | "Pairs" >> beam.FlatMapTuple(lambda band, photos: pairs(photos, band[0], bits))
        )
        return (equal, close) | beam.Flatten()


def places(pair: Pair) -> list[tuple[int]]:
    """Of both sides."""
    return [(pair.first,), (pair.second,)]


def line(pair: Pair, sides: dict[int, tuple[str, str]]) -> str:
    """A pair in the report. `sides`: id, and split or "rejected", by place."""
    found = [sides[pair.first], sides[pair.second]]
    return json.dumps({"ids": [id for id, _ in found], "distance": pair.distance, "splits": [split for _, split in found]})


def _photos(chunk: Chunk, taken: np.ndarray) -> np.ndarray:
    """The `PHOTO`s of a chunk."""
    gone = set(within(taken, chunk.start, chunk.rows)["place"].tolist())
    found: list[tuple[int, int, bytes]] = []
    for place, (row, signature) in enumerate(zip(rows_of(chunk), signatures_of(chunk), strict=True), chunk.start):
        if signature and isinstance(row, Record) and place not in gone:
            found.append((place, key(row), signature))
    photos = np.zeros(len(found), PHOTO)
    photos["place"], photos["key"] = [one[0] for one in found], [one[1] for one in found]
    photos["signature"] = np.frombuffer(b"".join(one[2] for one in found), SIGNATURE)
    return photos


def _digests(chunk: Chunk, taken: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    rows = [
        keyed(blake2b(photo["signature"].tobytes(), digest_size=16).digest(), int(photo["place"]), int(photo["key"]))
        for photo in _photos(chunk, taken)
    ]
    yield from bucketed(np.array(rows, KEYED), "low")


def _bands(chunk: Chunk, taken: np.ndarray, repeated: np.ndarray, bits: int) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    photos = _photos(chunk, taken)
    yield from parts(photos[~np.isin(photos["place"], repeated["place"])], bits)
