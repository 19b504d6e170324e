"""From class names to class indices: the taxonomy, inferred from the rows or given, and each row's labels within it."""

import difflib
from collections.abc import Iterable, Iterator

from components.catalogue_gen.rows import Record
from models.taxonomy import FILE_NAME, Attribute, Taxonomy


class LabelError(ValueError):
    """A cell does not fit the taxonomy; the message is the reason."""


def classes_shown(record: Record) -> Iterator[tuple[str, str, bool]]:
    """(attribute, class, does it stand beside another class?) for every class of `record`."""
    for attribute, names in record.labels.items():
        for name in names:
            yield attribute, name, len(names) > 1


def infer(shown: Iterable[tuple[str, str, bool]], columns: list[str]) -> Taxonomy | None:
    """The taxonomy of all classes shown: attributes in the columns' order, classes by name.

    An attribute is multi-label if any photo shows two of its classes. A column without a single label is left out.
    Returns: None if no column has a label.
    """
    classes: dict[str, set[str]] = {name: set() for name in columns}
    several: set[str] = set()
    for attribute, name, beside in shown:
        classes[attribute].add(name)
        if beside:
            several.add(attribute)
    found = tuple(Attribute(c, tuple(sorted(classes[c])), c in several) for c in columns if classes[c])
    return Taxonomy(found) if found else None


def encode(record: Record, taxonomy: Taxonomy | None) -> dict[str, list[int]]:
    """Class indices within each attribute, ascending; empty = unlabelled.

    Raises: LabelError for a class unknown, or where there is no taxonomy, for no row has a label.
    """
    if taxonomy is None:
        raise LabelError("no row has a label; fill at least one cell of an attribute")
    return {a.name: sorted(_index(a, name) for name in _single(a, record.labels.get(a.name, []))) for a in taxonomy.attributes}


def _single(attribute: Attribute, names: list[str]) -> list[str]:
    if len(names) > 1 and not attribute.multi_label:
        raise LabelError(
            f'column "{attribute.name}" has {len(names)} classes ({", ".join(names)}), but {FILE_NAME} calls it '
            "single-label; keep one, or set multi_label there"
        )
    return names


def _index(attribute: Attribute, name: str) -> int:
    if name in attribute.classes:
        return attribute.classes.index(name)
    near = difflib.get_close_matches(name, attribute.classes, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"it has: {', '.join(attribute.classes[:8])}."
    raise LabelError(
        f'column "{attribute.name}": class "{name}" is not in {FILE_NAME}; {hint} Correct the cell, or add the class'
    )
