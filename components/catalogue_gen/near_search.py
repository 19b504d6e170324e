"""The search for near-duplicates through Beam: chunks to pairs, and pairs to the report."""

import json
from collections.abc import Iterator
from hashlib import blake2b

import apache_beam as beam
import numpy as np
from apache_beam.io.filesystems import FileSystems

from components.catalogue_gen.chunks import Chunk, read_rows, read_signatures
from components.catalogue_gen.near_duplicates import PAIR, PHOTO, SIGNATURE, by_band, near_pairs
from components.catalogue_gen.rows import Record
from components.catalogue_gen.shuffle import HASHED, GroupRows, SortedArray, hashed, partitioned, repeats, rows_within
from components.catalogue_gen.splits import group_key, split_name

PLACE = np.dtype([("place", "<i8")])
_LINES = 4096  # written at a time: as Python's numbers, a million pairs would weigh 200 MB


class NearDuplicates(beam.PTransform):
    """Chunks whose photos are stored to arrays of `PAIR`s at most `bits` apart; rows in `repeated` take no part.

    Equal signatures are found first, and only the first of them looks for others: a photo stored n times is n - 1 pairs.
    """

    def __init__(self, bits: int, repeated: beam.pvalue.AsSingleton) -> None:
        super().__init__()
        self.bits, self.repeated = bits, repeated

    def expand(self, chunks: beam.PCollection) -> beam.PCollection:
        """A PCollection of arrays of `PAIR`s, each pair once."""
        bits = self.bits
        equal = chunks | "Equal" >> GroupRows(_digests, HASHED, self.repeated) | "EqualPairs" >> beam.MapTuple(_equal_pairs)
        copies = beam.pvalue.AsSingleton(
            equal | beam.Map(lambda pairs: _places(pairs["second"])) | "Copies" >> SortedArray(PLACE)
        )
        near = (
            chunks
            | "Bands" >> GroupRows(_bands, PHOTO, self.repeated, copies, bits)
            | "NearPairs" >> beam.FlatMapTuple(lambda band, photos: near_pairs(photos, band[0], bits))
        )
        return (equal, near) | beam.Flatten()


def both_places(pairs: np.ndarray) -> np.ndarray:
    """The places in `PAIR`s as sorted rows of `PLACE`."""
    return _places(np.unique(np.concatenate([pairs["first"], pairs["second"]])))


def write_report(pairs: np.ndarray, placed: np.ndarray, chunks: list[Chunk], folder: str) -> None:
    """Writes pairs.jsonl, a line a pair: both ids, in how many bits they differ, and both splits, or "rejected".

    `placed`: a `PLACED` for each row in a pair. `chunks`: all of the catalogue.
    """
    ids, splits = list(_ids(placed, chunks)), placed["split"].tolist()
    if not FileSystems.exists(folder):
        FileSystems.mkdirs(folder)
    with FileSystems.create(f"{folder}/pairs.jsonl") as file:
        for start in range(0, len(pairs), _LINES):
            block = pairs[start : start + _LINES]
            sides = (np.searchsorted(placed["place"], block[side]).tolist() for side in ("first", "second"))
            for *both, distance in zip(*sides, block["distance"].tolist(), strict=True):
                line = {"ids": [ids[i] for i in both], "distance": distance, "splits": [split_name(splits[i]) for i in both]}
                file.write(f"{json.dumps(line)}\n".encode())


def _ids(placed: np.ndarray, chunks: list[Chunk]) -> Iterator[str]:
    for chunk in chunks:
        places = rows_within(placed, chunk.start, chunk.rows)["place"].tolist()
        rows = read_rows(chunk) if places else []
        yield from (row.id for row in (rows[place - chunk.start] for place in places) if isinstance(row, Record))


def _places(numbers: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(numbers, "<i8").view(PLACE)


def _photos(chunk: Chunk, repeated: np.ndarray) -> np.ndarray:
    """The `PHOTO`s of a chunk."""
    gone = set(rows_within(repeated, chunk.start, chunk.rows)["place"].tolist())
    found: list[tuple[int, int, bytes]] = []
    for place, (row, signature) in enumerate(zip(read_rows(chunk), read_signatures(chunk), strict=True), chunk.start):
        if signature and isinstance(row, Record) and place not in gone:
            found.append((place, group_key(row), signature))
    photos = np.zeros(len(found), PHOTO)
    photos["place"], photos["key"] = [one[0] for one in found], [one[1] for one in found]
    photos["signature"] = np.frombuffer(b"".join(one[2] for one in found), SIGNATURE)
    return photos


def _digests(chunk: Chunk, repeated: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    rows = [
        hashed(blake2b(photo["signature"].tobytes(), digest_size=16).digest(), int(photo["place"]), int(photo["key"]))
        for photo in _photos(chunk, repeated)
    ]
    yield from partitioned(np.array(rows, HASHED), "low")


def _equal_pairs(_: int, rows: np.ndarray) -> np.ndarray:
    first, again = repeats(rows)
    pairs = np.zeros(len(again), PAIR)
    pairs["first"], pairs["first_key"], pairs["second"], pairs["second_key"] = (
        first["place"], first["note"], again["place"], again["note"],
    )  # fmt: skip
    return pairs


def _bands(chunk: Chunk, repeated: np.ndarray, copies: np.ndarray, bits: int) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    photos = _photos(chunk, repeated)
    yield from by_band(photos[~np.isin(photos["place"], copies["place"])], bits)
