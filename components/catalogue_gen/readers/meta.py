"""The attributes and classes of a public data set, from the JSON file that comes with its lists (meta.json, value_names.json)."""

import json
from collections.abc import Mapping
from typing import Any

from apache_beam.io.filesystems import FileSystems

from components.errors import InputError
from models.taxonomy import Attribute, Taxonomy

_MOST = 1_000_000  # classes of one attribute: far above any data set, far below what fills the memory


def sized(sizes: Mapping[str, int]) -> Taxonomy:
    """Single-label attributes of so many classes each, named v0, v1, ... for want of names."""
    return Taxonomy(tuple(Attribute(name, tuple(f"v{i}" for i in range(size))) for name, size in sizes.items()))


def read_meta(path: str, dataset: str = "") -> Taxonomy | None:
    """The taxonomy in the JSON file at `path`, or None where there is no such file.

    The file holds ATTRIBUTES (names in order), ATTRIBUTES_NUM (classes of each) and, if known, ATTRIBUTES_VALUES (their
    names in order), at the top or under the key `dataset`. Raises: InputError for any other content.
    """
    try:
        if not FileSystems.exists(path):
            return None
        with FileSystems.open(path) as file:
            found = json.loads(file.read().decode("utf-8-sig"))
        if not isinstance(found, dict):
            raise ValueError("not an object with keys")
        if dataset not in found and "ATTRIBUTES" not in found:
            raise ValueError(f'the folder is called "{dataset}", and it knows only {", ".join(found)}')
        found = found.get(dataset, found)
        values = found.get("ATTRIBUTES_VALUES", {})
        taxonomy = Taxonomy(tuple(_attribute(name, found["ATTRIBUTES_NUM"], values) for name in found["ATTRIBUTES"]))
        taxonomy.to_json().encode()  # JSON can spell half a surrogate pair, which no file can hold
        return taxonomy
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        one_line = " ".join(str(error).split())
        reason = one_line if type(error) is ValueError else f"{type(error).__name__} {one_line}"
        raise InputError(f"{path}: {reason}; expected ATTRIBUTES and ATTRIBUTES_NUM, as in the public meta.json") from None


def _attribute(name: str, sizes: Mapping[str, int], values: Mapping[str, Any]) -> Attribute:
    size, names = sizes[name], values.get(name)
    if not isinstance(size, int) or not 1 <= size <= _MOST:
        raise ValueError(f'"{name}" has {size} classes; expected 1 to {_MOST:,}')
    if names is None:
        return sized({name: size}).attributes[0]
    if len(names) != size or not all(isinstance(one, str) for one in names):
        raise ValueError(f'"{name}" has {size} classes by ATTRIBUTES_NUM and {len(names)} names')
    return Attribute(name, tuple(names))
