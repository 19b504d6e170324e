"""The taxonomy: which classes belong to which attribute, and where each class stands in a vector over all of them.

Standard library and NumPy only: ingestion, training and the server all read it, and the server must not pay for Keras.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

FILE_NAME = "taxonomy.json"
FORMAT = 1


@dataclass(frozen=True)
class Attribute:
    """One attribute and its classes; a class is named by its place in `classes`.

    `multi_label` is true where one photo may show several classes at once (a pocket and a belt).
    """

    name: str
    classes: tuple[str, ...]
    multi_label: bool = False


@dataclass(frozen=True)
class Taxonomy:
    """All attributes in their fixed order; the M classes of all of them, laid end to end, index every class vector."""

    attributes: tuple[Attribute, ...]

    def __post_init__(self) -> None:
        if not self.attributes:
            raise ValueError("a taxonomy needs at least one attribute; got none")
        if unsafe := [n for n in self.names if not n or n in {".", ".."} or "/" in n or "\0" in n]:
            raise ValueError(f"an attribute's name also names a folder: no empty name, no / in it; got {unsafe}")
        for names, what in [(self.names, "attribute"), *((a.classes, f'class of "{a.name}"') for a in self.attributes)]:
            if twice := {name for name in names if names.count(name) > 1}:
                raise ValueError(f"a taxonomy names each {what} once; twice: {', '.join(sorted(twice))}")
        if empty := [a.name for a in self.attributes if not a.classes]:
            raise ValueError(f"an attribute needs at least one class; none for: {', '.join(empty)}")

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes' names, in order."""
        return tuple(a.name for a in self.attributes)

    @property
    def num_classes(self) -> int:
        """M: the classes of all attributes together."""
        return sum(len(a.classes) for a in self.attributes)

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Where each attribute's classes stand among the M."""
        ends = np.cumsum([len(a.classes) for a in self.attributes]).tolist()
        return {a.name: slice(end - len(a.classes), end) for a, end in zip(self.attributes, ends, strict=True)}

    @cached_property
    def attribute_of_class(self) -> np.ndarray:
        """int32 (M,): for each of the M classes, the index of its attribute."""
        return np.repeat(np.arange(len(self.attributes), dtype=np.int32), [len(a.classes) for a in self.attributes])

    def __getitem__(self, name: str) -> Attribute:
        """The attribute called `name`. Raises: KeyError naming those there are."""
        for attribute in self.attributes:
            if attribute.name == name:
                return attribute
        raise KeyError(f'no attribute "{name}"; there are: {", ".join(self.names)}')

    def multi_hot(self, labels: Mapping[str, list[int]]) -> np.ndarray:
        """uint8 (M,): 1 at every class of `labels` (class indices within their attribute; empty = unlabelled)."""
        row = np.zeros(self.num_classes, np.uint8)
        for name, classes in labels.items():
            row[self.slices[name].start + np.asarray(classes, np.int64)] = 1
        return row

    def to_json(self) -> str:
        """The text of taxonomy.json, meant to be read and corrected by people."""
        rows = [{"name": a.name, "multi_label": a.multi_label, "classes": list(a.classes)} for a in self.attributes]
        return json.dumps({"format": FORMAT, "attributes": rows}, ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Taxonomy":
        """Reads what `to_json` writes. Raises: ValueError saying what of it cannot be read."""
        try:
            data = json.loads(text)
            if data["format"] != FORMAT:
                raise ValueError(f"format {data['format']} is not {FORMAT}, the one known here")
            return cls(tuple(Attribute(a["name"], tuple(a["classes"]), bool(a.get("multi_label"))) for a in data["attributes"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f'not a taxonomy: expected {{"format": 1, "attributes": [{{"name", "classes"}}]}}; {error!r}'
            ) from None

    def save(self, folder: Path) -> None:
        """Writes taxonomy.json into `folder`."""
        (folder / FILE_NAME).write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Taxonomy":
        """Reads taxonomy.json in `folder`."""
        return cls.from_json((folder / FILE_NAME).read_text(encoding="utf-8"))
