"""The ASEN lists with every label of a photo: what the "pair" protocol on DeepFashion asks about.

label_{valid,test}.txt say `id (type class)+`, where types count from 1 and classes from 0 over all types; a class's number
within its type is its rank among those of the type. The query and candidate lists give the roles.
"""

from collections import defaultdict
from collections.abc import Iterator

from components.catalogue_gen.readers.asen_lists import AsenReader, Line, ascending, labels_of, numbers
from components.catalogue_gen.readers.text import lines
from components.catalogue_gen.rows import Reject
from components.errors import InputError
from models.taxonomy import Taxonomy

Ranks = dict[tuple[int, int], int]


class AsenAllReader(AsenReader):
    """Reads a folder of lists like `AsenReader`; labels of valid and test come from label_{valid,test}.txt."""

    def _labels(self, folder: str, split: str, taxonomy: Taxonomy) -> Iterator[Line | Reject]:
        roles = super()._labels(folder, split, taxonomy)
        return roles if split == "train" else _joined(folder, f"label_{split}.txt", ascending(roles), taxonomy)


def _joined(folder: str, file: str, roles: Iterator[Line | Reject], taxonomy: Taxonomy) -> Iterator[Line | Reject]:
    held: dict[int, Line] = {}
    for one in roles:
        if isinstance(one, Reject):
            yield one
        else:
            held[one.id] = one
    ranks = _ranks(f"{folder}/{file}", taxonomy)
    for row, line in lines(f"{folder}/{file}"):
        try:
            photo, pairs = numbers(line)
            labels = labels_of([_local(*pair, ranks) for pair in pairs], taxonomy)
            if photo not in held:
                raise ValueError(f"no query and no candidate, or not for the first time: photo {photo}")
            yield Line(photo, file, row, held.pop(photo).role, labels)
        except ValueError as error:
            yield Reject(file, row, str(error))
    for one in held.values():
        yield Reject(one.file, one.row, f"{file} has no line for photo {one.id}")


def _ranks(path: str, taxonomy: Taxonomy) -> Ranks:
    """(type, class) to the class's rank within its type. Raises: InputError where not every class of a type shows."""
    shown: dict[int, set[int]] = defaultdict(set)
    for _, line in lines(path):
        try:
            for kind, value in numbers(line)[1]:
                shown[kind].add(value)
        except ValueError:
            continue  # rejected when it is read for its labels
    for kind, attribute in enumerate(taxonomy.attributes, start=1):
        if len(shown[kind]) != len(attribute.classes):
            raise InputError(
                f'{path} shows {len(shown[kind])} classes of type {kind}, "{attribute.name}" has {len(attribute.classes)}: '
                "their ranks cannot be told; data.format asen reads the lists without this file"
            )
    return {(kind, value): rank for kind, values in shown.items() for rank, value in enumerate(sorted(values))}


def _local(kind: int, value: int, ranks: Ranks) -> tuple[int, int]:
    if kind < 1:
        raise ValueError("types count from 1; got 0")
    return kind - 1, ranks[kind, value]
