"""`m3net items`: items of a release added, replaced and removed, without a new model."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from components.catalogue_gen.decode import read
from components.catalogue_gen.labels import LabelError, encode
from components.catalogue_gen.photo import PhotoError, normalise
from components.catalogue_gen.readers.catalogue import CatalogueReader
from components.catalogue_gen.rows import Record, Reject
from models.taxonomy import Taxonomy
from pipeline.config import ConfigError
from serving.changes import Item, change
from serving.release import versions
from serving.servable import Servable

_BATCH = 32  # photos that are embedded together


def run(arguments: argparse.Namespace) -> int:
    """One of the acts; all of it is done, or nothing. Returns: the exit code."""
    there = versions(arguments.folder) if arguments.folder.is_dir() else []
    if not there:
        raise ConfigError(f"{arguments.folder}: holds no release; give the folder that holds the versions")
    version = arguments.version or there[-1]
    if version not in there:
        raise ConfigError(f"{arguments.folder}: holds no version {version}; it holds: {', '.join(map(str, there))}")
    folder = arguments.folder / str(version)
    if arguments.act == "remove":
        change(folder, remove=list(dict.fromkeys(arguments.ids)))
    else:
        change(folder, add=_embedded(folder, str(arguments.catalogue.resolve())))
    print(f"version {version} is changed; its servers show it within about a second")
    print("the next release starts from its own items: change the catalogue, too")
    return 0


def _embedded(folder: Path, catalogue: str) -> list[Item]:
    """The rows of `catalogue` with their vectors, by the model of the release in `folder`. Raises: ConfigError."""
    rows = list(_records(catalogue))
    servable = Servable(folder)
    try:
        _check(rows, servable.taxonomy)
        found: list[Item] = []
        for start in range(0, len(rows), _BATCH):
            found += _items(servable, rows[start : start + _BATCH])
            print(f"  {len(found):,} of {len(rows):,} photos embedded", file=sys.stderr)
        return found
    finally:
        servable.close()


def _records(catalogue: str) -> Iterator[Record]:
    there: dict[str, int] = {}
    for row in CatalogueReader().rows(catalogue):
        if isinstance(row, Reject):
            raise ConfigError(f"{catalogue} row {row.row}: {row.reason}; nothing was added")
        if row.id in there:
            raise ConfigError(f'{catalogue} rows {there[row.id]} and {row.row} both have the id "{row.id}"; nothing was added')
        there[row.id] = row.row
        yield row
    if not there:
        raise ConfigError(f"{catalogue} has no row below its header; nothing was added")


def _check(rows: Sequence[Record], taxonomy: Taxonomy) -> None:
    """All labels, before the first photo costs anything."""
    for row in rows:
        try:
            encode(row, taxonomy)
        except LabelError as error:
            raise ConfigError(f"{row.file} row {row.row}: {error}; nothing was added") from None


def _items(servable: Servable, rows: Sequence[Record]) -> list[Item]:
    photos = np.array([_photo(row) for row in rows], object)
    names = servable.taxonomy.names
    vectors = {
        name: servable.predict("embed", {"image": photos, "attribute": np.array([name.encode()] * len(rows), object)})["vector"]
        for name in names
    }
    return [
        Item(
            row.id,
            row.location,
            {name: vectors[name][place] for name in names},
            {name: classes for name, classes in row.labels.items() if classes},
            {name: value for name, value in (("split", row.split), ("role", row.role)) if value},
        )
        for place, row in enumerate(rows)
    ]


def _photo(row: Record) -> bytes:
    try:
        return normalise(read(row.location))
    except PhotoError as error:
        raise ConfigError(f"{row.file} row {row.row}: {row.location}: {error}; nothing was added") from None
