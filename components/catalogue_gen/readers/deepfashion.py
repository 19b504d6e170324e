"""DeepFashion, Category and Attribute Prediction: its list files, each a count, a header, and space-padded columns.

list_attr_img.txt, list_eval_partition.txt and list_category_img.txt name the same photos in the same order, so they are read
side by side, a line of each at a time. Boxes and landmarks are not read. Source: the data set's own README files.
"""

from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest

from apache_beam.io.filesystems import FileSystems

from components.catalogue_gen.readers.text import BadLine, lines
from components.catalogue_gen.rows import Record, Reject, locate
from components.errors import InputError
from models.taxonomy import Attribute, Taxonomy

# 1 to 5 in list_attr_cloth.txt, by the names that ASEN's meta.json gives them.
_TYPES = ("texture-related", "fabric-related", "shape-related", "part-related", "style-related")
_SPLITS = {"train": "train", "val": "valid", "test": "test"}
_FOLDERS = ("", "Anno/", "Anno_coarse/", "Eval/")
_NAMES, _IMAGES, _PARTITION = "list_attr_cloth.txt", "list_attr_img.txt", "list_eval_partition.txt"
_CATEGORY_NAMES, _CATEGORIES = "list_category_cloth.txt", "list_category_img.txt"
_CATEGORY = "category"


class DeepFashionReader:
    """Reads the folder of the data set: lists at its top, in Anno/ (or Anno_coarse/) and Eval/; photos in img/ or Img/img/.

    Five multi-label attributes, the types of list_attr_cloth.txt; a photo has the classes marked 1 (-1 and 0 say no). Roles
    are drawn.
    """

    category = False  # a sixth attribute, single-label: not part of the published set-up

    def columns(self, path: str) -> list[str]:
        """The five types that attributes are of."""
        return list(self.taxonomy(path).names)

    def taxonomy(self, path: str) -> Taxonomy:
        """The classes of each type, in the order of list_attr_cloth.txt."""
        for file in self._lists():
            _place(path, file)
        classes = _classes(_place(path, _NAMES))
        found = [Attribute(t, tuple(name for kind, name in classes if kind == t), multi_label=True) for t in _TYPES]
        if self.category:
            found.append(Attribute(_CATEGORY, tuple(name for name, _ in _named(_place(path, _CATEGORY_NAMES)))))
        try:
            return Taxonomy(tuple(found))
        except ValueError as error:
            raise InputError(f"{_place(path, _NAMES)}: {error}") from None

    def rows(self, path: str) -> Iterator[Record | Reject]:
        """A row a photo: the n-th lines of the lists together. A wrong count at a list's top is a row of its own."""
        names, classes = self.taxonomy(path), _classes(_place(path, _NAMES))
        root, lists = path.rstrip("/"), self._lists()
        photos = f"{root}/Img" if FileSystems.exists(f"{root}/Img") else root
        places = [_place(path, file) for file in lists]
        seen = [0] * len(lists)
        for found in zip_longest(*map(_data, places)):
            seen = [n + (line is not None) for n, line in zip(seen, found, strict=True)]
            file, row = next((file, line[0]) for file, line in zip(lists, found, strict=True) if line)
            try:
                image, columns = _together(lists, found)
                labels = _marked(columns[0], classes)
                if self.category:
                    labels[_CATEGORY] = [_category(columns[2], names[_CATEGORY].classes)]
                record = Record(row, locate(photos, image), image, "", _split(columns[1]), "", labels, file)
            except ValueError as error:
                yield Reject(file, row, str(error))
            else:
                yield record
        for file, place, n in zip(lists, places, seen, strict=True):
            if n != (count := _count(place)):
                yield Reject(
                    file, 1, f"the count says {count:,} photos, the file has {n:,}; fetch it again or correct the count"
                )

    def _lists(self) -> list[str]:
        return [_IMAGES, _PARTITION, _CATEGORIES] if self.category else [_IMAGES, _PARTITION]


class DeepFashionCategoryReader(DeepFashionReader):
    """`DeepFashionReader` with the clothing category as a sixth attribute."""

    category = True


def _place(path: str, file: str) -> str:
    """Where a list lies. Raises: InputError where it does not."""
    places = [f"{path.rstrip('/')}/{folder}{file}" for folder in _FOLDERS]
    try:
        found = [place for place in places if FileSystems.exists(place)]
    except (OSError, ValueError):
        raise InputError(f"{path} cannot be opened; check the path") from None
    if not found:
        raise InputError(f"{path} holds no {file}, nor do Anno/, Anno_coarse/ and Eval/ in it; give DeepFashion's folder")
    return found[0]


def _count(place: str) -> int:
    """What the first line says. Raises: InputError where it, or the header after it, is not what they are to be."""
    found = [line for _, line in islice(lines(place), 2)]
    if len(found) < 2 or not found[0].strip().isdecimal() or not found[1].split()[0].endswith("name"):
        raise InputError(f"{place}: rows 1 and 2 are the count of lines and a header such as image_name; it has other ones")
    return int(found[0].strip()[:18])


def _data(place: str) -> Iterator[tuple[int, str]]:
    """The lines after the header. Raises: InputError as `_count`."""
    _count(place)
    return islice(lines(place), 2, None)


def _named(place: str) -> list[tuple[str, str]]:
    """Name, which may hold spaces, and last column of every line. Raises: InputError for another count or a line of no such."""
    found = []
    for row, line in _data(place):
        name, *last = line.strip().rsplit(None, 1)
        if isinstance(line, BadLine) or not last:
            raise InputError(f'{place} row {row}: "{line[:80]}": expected a name and a type')
        found.append((name.strip(), last[0]))
    if len(found) != (count := _count(place)):
        raise InputError(
            f"{place}: the count says {count:,} lines, the file has {len(found):,}; fetch it again or correct the count"
        )
    return found


def _classes(place: str) -> list[tuple[str, str]]:
    """Type and name of every class, in order; one whose name its type has already is told from it by its number."""
    found: list[tuple[str, str]] = []
    for number, (name, kind) in enumerate(_named(place)):
        if kind not in {"1", "2", "3", "4", "5"}:
            raise InputError(f'{place}: "{name[:80]}" is of type "{kind[:80]}"; there are 1 to 5: {", ".join(_TYPES)}')
        one = (_TYPES[int(kind) - 1], name)
        found.append(one if one not in found else (one[0], f"{name} ({number})"))
    return found


def _together(lists: list[str], found: Sequence[tuple[int, str] | None]) -> tuple[str, list[list[str]]]:
    """The photo that all lines name, and the columns after its name. Raises: ValueError where one does not."""
    names, columns = [], []
    for file, line in zip(lists, found, strict=True):
        if line is None:
            raise ValueError(f"{file} has no line for this photo: it ends before")
        if isinstance(line[1], BadLine):
            raise ValueError(f"{file} row {line[0]}: {line[1]}")
        name, *values = line[1].split()
        names.append(name)
        columns.append(values)
    if other := [i for i, name in enumerate(names) if name != names[0]]:
        raise ValueError(f'{lists[other[0]]} has "{names[other[0]][:80]}" where {lists[0]} has "{names[0][:80]}"')
    return names[0], columns


def _marked(values: list[str], classes: list[tuple[str, str]]) -> dict[str, list[str]]:
    if len(values) != len(classes) or set(values) - {"1", "-1", "0"}:
        raise ValueError(f"{len(values)} values; expected {len(classes)}, as {_NAMES} has classes, each 1, -1 or 0")
    labels: dict[str, list[str]] = {kind: [] for kind in _TYPES}
    place = -1
    for _ in range(values.count("1")):  # not a loop over all 1000: 289,222 photos have four or so each
        place = values.index("1", place + 1)
        kind, name = classes[place]
        labels[kind].append(name)
    return labels


def _split(values: list[str]) -> str:
    if len(values) != 1 or values[0] not in _SPLITS:
        raise ValueError(f'{_PARTITION}: "{" ".join(values)[:80]}" is none of {", ".join(_SPLITS)}')
    return _SPLITS[values[0]]


def _category(values: list[str], names: Sequence[str]) -> str:
    known = {str(number): name for number, name in enumerate(names, start=1)}
    if len(values) != 1 or values[0] not in known:
        raise ValueError(f'{_CATEGORIES}: "{" ".join(values)[:80]}" is no category; {_CATEGORY_NAMES} has 1 to {len(known)}')
    return known[values[0]]
