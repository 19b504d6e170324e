"""The lists of the ASEN family: a folder a data set, whose files name a photo by its place in filenames_<split>.txt, from 0.

label_train.txt says `id (attribute class)+`, {query,candidate}_{valid,test}.txt `id attribute class`, all counted from 0.
All lists are merged by id as they are read; only one split's query and candidate lists, the small ones, are held.
"""

import posixpath
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from apache_beam.io.filesystems import FileSystems

from components.catalogue_gen.readers.meta import read_meta, sized
from components.catalogue_gen.readers.text import BadLine, lines
from components.catalogue_gen.rows import ROLES, SPLITS, Record, Reject, locate
from components.errors import InputError
from models.taxonomy import Attribute, Taxonomy

_TRAIN = "label_train.txt"


class AsenReader:
    """Reads the lists in a folder; meta.json, there or one level up, has the attributes, value_names.json the classes' names.

    A row is a photo of filenames_<split>.txt and carries the labels that label_train.txt, or its line among the queries or
    candidates, gives it. Its id is "<split>/<number>": DeepFashion's lists repeat a path, whose photos share a group instead.
    """

    sizes: Mapping[str, int] = {}  # the attributes where no meta.json says them

    def columns(self, path: str) -> list[str]:
        """The attributes of meta.json."""
        _check(path.rstrip("/"))
        return list(self._classes(path.rstrip("/")).names)

    def taxonomy(self, path: str) -> Taxonomy:
        """The classes of each; an attribute is multi-label if some photo has two of its classes."""
        folder = path.rstrip("/")
        taxonomy, several = self._classes(folder), set[str]()
        for split in SPLITS:
            if FileSystems.exists(f"{folder}/filenames_{split}.txt"):
                for line in self._labels(folder, split, taxonomy):
                    if isinstance(line, Line):
                        several |= {name for name, classes in line.labels.items() if len(classes) > 1}
        return Taxonomy(tuple(Attribute(a.name, a.classes, a.name in several) for a in taxonomy.attributes))

    def rows(self, path: str) -> Iterator[Record | Reject]:
        """Every photo of every split, and each line of another list that is of no photo, as a Reject."""
        folder = path.rstrip("/")
        _check(folder)
        taxonomy = self._classes(folder)
        for split in SPLITS:
            names, lists = f"filenames_{split}.txt", _lists(split)
            if FileSystems.exists(f"{folder}/{names}"):
                labels = ascending(self._labels(folder, split, taxonomy))
                yield from _merge(folder, split, labels, " or ".join(lists))
            else:
                for file in lists:
                    if FileSystems.exists(f"{folder}/{file}"):
                        yield Reject(file, 1, f"{names} is not there: no photo of this list can be found")

    def _labels(self, folder: str, split: str, taxonomy: Taxonomy) -> "Iterator[Line | Reject]":
        lists = _lists(split)
        return _lines(folder, _TRAIN, taxonomy) if split == "train" else _evaluation(folder, lists, taxonomy)

    def _classes(self, folder: str) -> Taxonomy:
        dataset = posixpath.basename(folder)
        places = (f"{folder}/value_names.json", f"{folder}/meta.json", f"{posixpath.dirname(folder)}/meta.json")
        for place in places:
            if found := read_meta(place, dataset):
                return found
        if self.sizes:
            return sized(self.sizes)
        raise InputError(
            f"{folder} has no meta.json, nor the folder above it; it names the attributes and counts their classes"
        )


class Line(NamedTuple):
    """What a list says of the photo `id`."""

    id: int
    file: str
    row: int
    role: str
    labels: dict[str, list[str]]


def _lists(split: str) -> list[str]:
    return [_TRAIN] if split == "train" else [f"{role}_{split}.txt" for role in ROLES]


def _check(folder: str) -> None:
    """Raises: InputError where no split is there, or one without its labels."""
    try:
        found = [split for split in SPLITS if FileSystems.exists(f"{folder}/filenames_{split}.txt")]
        missing = [f for split in found for f in _lists(split) if not FileSystems.exists(f"{folder}/{f}")]
    except (OSError, ValueError):
        raise InputError(f"{folder} cannot be opened; check the path") from None
    if not found:
        raise InputError(f"{folder} holds no filenames_train.txt, _valid.txt or _test.txt; give a folder of ASEN's lists")
    if missing:
        raise InputError(f"{folder} has photos for which there is no {missing[0]}; add it, or take their filenames list away")


def _lines(folder: str, file: str, taxonomy: Taxonomy, role: str = "") -> Iterator[Line | Reject]:
    for row, line in lines(f"{folder}/{file}"):
        try:
            photo, pairs = numbers(line)
            if role and len(pairs) > 1:
                raise ValueError(f"{len(pairs)} labels; a {role} is one photo, one attribute, one class")
            yield Line(photo, file, row, role, labels_of(pairs, taxonomy))
        except ValueError as error:
            yield Reject(file, row, str(error))


def numbers(line: str) -> tuple[int, list[tuple[int, int]]]:
    """A line's photo and its (attribute, class) pairs. Raises: ValueError where it is not such a line."""
    if isinstance(line, BadLine):
        raise ValueError(str(line))
    fields = line.split()
    if len(fields) < 3 or len(fields) % 2 == 0 or not all(_is_number(one) for one in fields):
        raise ValueError(f"\"{line[:80]}\": expected whole numbers: the photo's, then an attribute's and its class's")
    photo, *pairs = map(int, fields)
    return photo, list(zip(pairs[::2], pairs[1::2], strict=True))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def labels_of(pairs: list[tuple[int, int]], taxonomy: Taxonomy) -> dict[str, list[str]]:
    """Class names by attribute, each once. Raises: ValueError for a number that `taxonomy` has not."""
    labels: dict[str, list[str]] = {}
    for number, value in pairs:
        if number >= len(taxonomy.attributes):
            raise ValueError(f"no attribute {number}; there are 0 to {len(taxonomy.attributes) - 1}")
        attribute = taxonomy.attributes[number]
        if value >= len(attribute.classes):
            raise ValueError(f'"{attribute.name}" has no class {value}; there are 0 to {len(attribute.classes) - 1}')
        found = labels.setdefault(attribute.name, [])
        if attribute.classes[value] not in found:
            found.append(attribute.classes[value])
    return labels


def _evaluation(folder: str, lists: list[str], taxonomy: Taxonomy) -> Iterator[Line | Reject]:
    """The lines of the query and the candidate list, by id: these lists come in any order."""
    held: list[Line] = []
    for role, file in zip(ROLES, lists, strict=True):
        for line in _lines(folder, file, taxonomy, role):
            if isinstance(line, Reject):
                yield line
            else:
                held.append(line)
    yield from sorted(held, key=lambda line: line.id)


def ascending(found: Iterator[Line | Reject]) -> Iterator[Line | Reject]:
    """The lines whose photo comes after the one before; any other is a Reject."""
    last = Line(-1, "", 0, "", {})
    for line in found:
        if isinstance(line, Reject) or line.id > last.id:
            last = last if isinstance(line, Reject) else line
            yield line
        elif line.id == last.id:
            yield Reject(line.file, line.row, f"photo {line.id} stands in {last.file} row {last.row} already")
        else:
            why = f"photo {line.id} comes after photo {last.id} of row {last.row}; put the lines in the order of their photos"
            yield Reject(line.file, line.row, why)


def _merge(folder: str, split: str, labels: Iterator[Line | Reject], lists: str) -> Iterator[Record | Reject]:
    """Photos and labels, both by ascending id: a Record where they meet, a Reject for each that is left alone."""
    names, count = f"filenames_{split}.txt", 0
    line = next(labels, None)
    for row, image in lines(f"{folder}/{names}"):
        count = row
        while line is not None and (isinstance(line, Reject) or line.id < row - 1):
            yield line if isinstance(line, Reject) else Reject(line.file, line.row, f"{names} row {line.id + 1} is blank")
            line = next(labels, None)
        if line is None or line.id != row - 1:
            yield Reject(names, row, f"photo {row - 1} is not in {lists}")
        else:
            yield _record(folder, split, row, image, line)
            line = next(labels, None)
    while line is not None:
        yield line if isinstance(line, Reject) else Reject(line.file, line.row, f"no photo {line.id}; {names} has {count}")
        line = next(labels, None)


def _record(folder: str, split: str, row: int, image: str, line: Line) -> Record | Reject:
    names = f"filenames_{split}.txt"
    if isinstance(image, BadLine):
        return Reject(names, row, str(image))
    try:
        location = locate(folder, image.strip())
    except ValueError as error:
        return Reject(names, row, str(error))
    return Record(row, location, f"{split}/{row - 1}", image.strip(), split, line.role, line.labels, names)
