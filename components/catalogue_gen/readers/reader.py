"""The interface that every data format is read through, and the formats there are. docs/formats.md shows how to add one."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from components.catalogue_gen.rows import Record, Reject
from models.registry import resolve

if TYPE_CHECKING:  # NumPy behind it; the configuration is checked against the names below without
    from models.taxonomy import Taxonomy

_HERE = "components.catalogue_gen.readers"
FORMATS = {
    "catalogue": f"{_HERE}.catalogue:CatalogueReader",
    "fashionai": f"{_HERE}.fashionai:FashionAIReader",
    "darn": f"{_HERE}.darn:DarnReader",
    "deepfashion": f"{_HERE}.deepfashion:DeepFashionReader",
    "deepfashion_category": f"{_HERE}.deepfashion:DeepFashionCategoryReader",
    "asen": f"{_HERE}.asen_lists:AsenReader",
    "asen_all": f"{_HERE}.asen_all:AsenAllReader",
}


class Reader(Protocol):
    """Labelled photos of one format, at a path: a file, a folder, or a URL that Beam's filesystems open.

    Each method raises InputError, in one line, for what leaves nothing to read. A reader holds no state and no data set.
    """

    def columns(self, path: str) -> list[str]:
        """The attributes' names, in order. Quick: the first check of a path, before anything else is loaded."""
        ...

    def taxonomy(self, path: str) -> "Taxonomy | None":
        """The classes, where the format says which there are; None where they are those that the rows show."""
        ...

    def rows(self, path: str) -> Iterator[Record | Reject]:
        """Every row of `path`, in its order, as one or the other: none is passed over. Blank lines are no rows."""
        ...


def reader_of(name: str, path: str = "") -> Reader:
    """The reader of the format `name`; of its spans, where `path` has {SPAN} in it. Raises: ValueError for a name unknown."""
    reader: Reader = resolve("format", name, FORMATS)()
    if "{SPAN}" not in path:
        return reader
    from components.catalogue_gen.readers.spans import SpanReader  # it imports Beam

    return SpanReader(reader)
