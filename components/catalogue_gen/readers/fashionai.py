"""FashionAI's label.csv: `Images/<attribute>_labels/<file>.jpg,<attribute>_labels,nnnnynnnn`, a row a photo, no header.

The class is the place of the one y; m (maybe) and n say no. Class 0, "Invisible", is a class like any other.
"""

import glob
import posixpath
from collections.abc import Iterator

from apache_beam.io.filesystems import FileSystems

from components.catalogue_gen.readers.meta import read_meta, sized
from components.catalogue_gen.readers.text import BadLine, lines
from components.catalogue_gen.rows import SPLITS, Record, Reject, locate
from components.errors import InputError
from models.taxonomy import Taxonomy

_SIZES = {
    "skirt_length": 6,
    "sleeve_length": 9,
    "coat_length": 8,
    "pant_length": 6,
    "collar_design": 5,
    "lapel_design": 5,
    "neckline_design": 10,
    "neck_design": 5,
}
_SUFFIX = "_labels"
_PLACES = ("label.csv", "Annotations/label.csv", "*/label.csv", "*/Annotations/label.csv")


class FashionAIReader:
    """Reads one label file, or all label.csv in a folder, its Annotations/ and one level below.

    A photo lies relative to the label file's folder, or beside that folder where it is called Annotations. A folder called
    train, valid or test gives its photos that split; the others' is drawn. value_names.json at `path` names the classes.
    """

    def columns(self, path: str) -> list[str]:
        """The eight attributes, or those of value_names.json."""
        _files(path)
        return list(self.taxonomy(path).names)

    def taxonomy(self, path: str) -> Taxonomy:
        """The classes of each, called v0, v1, ... unless value_names.json names them."""
        return read_meta(posixpath.join(_root(path), "value_names.json"), "FashionAI") or sized(_SIZES)

    def rows(self, path: str) -> Iterator[Record | Reject]:
        """Every line of every label file, file by file in the order of their names."""
        root, taxonomy = _root(path), self.taxonomy(path)
        for file in _files(path):
            name = file.removeprefix(f"{root}/")
            photos = _photos(file)
            split = posixpath.basename(photos) if photos != root else ""
            for row, line in lines(file):
                try:
                    image, labels = _parsed(line, taxonomy)
                    location = locate(photos, image)
                except ValueError as error:
                    yield Reject(name, row, str(error))
                else:
                    known = split if split in SPLITS else ""
                    yield Record(row, location, location.removeprefix(f"{root}/"), "", known, "", labels, name)


def _root(path: str) -> str:
    return _photos(path) if path.endswith(".csv") else path.rstrip("/")


def _photos(file: str) -> str:
    """The folder that a label file's images are relative to."""
    folder = posixpath.dirname(file)
    return posixpath.dirname(folder) if posixpath.basename(folder) == "Annotations" else folder


def _files(path: str) -> list[str]:
    """The label files at `path`, sorted. Raises: InputError where there is none."""
    if path.endswith(".csv"):
        next(lines(path), None)
        return [path]
    try:
        found = FileSystems.match([posixpath.join(glob.escape(_root(path)), place) for place in _PLACES])
    except (OSError, ValueError):
        raise InputError(f"{path} cannot be opened; check the path") from None
    if not (files := sorted(one.path for match in found for one in match.metadata_list)):
        raise InputError(
            f"{path} holds no label.csv, nor Annotations/label.csv; give the folder or the file of FashionAI's labels"
        )
    return files


def _parsed(line: str, taxonomy: Taxonomy) -> tuple[str, dict[str, list[str]]]:
    if isinstance(line, BadLine):
        raise ValueError(str(line))
    fields = [field.strip() for field in line.split(",")]
    if len(fields) != 3 or not fields[0]:
        raise ValueError(f"{len(fields)} fields; a row is image,attribute_labels,nny with one letter a class")
    image, attribute, letters = fields[0], fields[1].removesuffix(_SUFFIX), fields[2]
    if attribute not in taxonomy.names:
        raise ValueError(f'no attribute "{attribute[:80]}"; there are: {", ".join(taxonomy.names)}')
    classes = taxonomy[attribute].classes
    if len(letters) != len(classes) or set(letters) - set("ynm"):
        raise ValueError(f'"{letters[:80]}": {attribute} takes {len(classes)} letters, each y, n or m')
    if letters.count("y") != 1:
        raise ValueError(f'"{letters}" has {letters.count("y")} y; a photo has one class')
    return image, {attribute: [classes[letters.index("y")]]}
