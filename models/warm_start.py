"""A new system that begins with an older one's weights: of what both know they are kept, what is new starts fresh."""

from typing import Any

import numpy as np

from models.errors import TrainingError
from models.systems import System
from models.taxonomy import Taxonomy

# By the variables' names, which are ours alone: their first axis counts classes, or attributes.
PER_CLASS = frozenset({"w", "u", "b", "c", "V", "centres"})
PER_ATTRIBUTE = frozenset({"e", "r", "W_a", "W_b"})
# What belongs to a training and not to what was learned: modc's memory and steps, asen++'s stage, weights by frequency,
# and what is found when it ends.
FRESH = frozenset({"features", "classes", "photo", "next", "steps", "joint", "w_p", "frequency", "basis"})
_SAME = ("system", "backbone", "local_backbone", "attention_dim", "class_dim", "rank")


def warm(system: System, before: System) -> list[str]:
    """Gives `system` the weights of `before`, class by class and attribute by attribute where their number matters.

    Returns: "attribute: class" of every class that starts fresh.
    Raises: TrainingError for another architecture.
    """
    for key in _SAME:
        old, new = getattr(before.config, key), getattr(system.config, key)
        if old != new:
            raise TrainingError(
                f"training.warm_start: the last blessed model has model.{key}={old}, this run {new}; set it as it was, or "
                "training.warm_start=none"
            )
    attributes = _pairs(_attributes(before.taxonomy), _attributes(system.taxonomy))
    classes = _pairs(_classes(before.taxonomy), _classes(system.taxonomy))
    for variable, old in zip(learned(system), learned(before), strict=True):
        value = np.array(old)
        if variable.name in PER_CLASS | PER_ATTRIBUTE:
            source, target = classes if variable.name in PER_CLASS else attributes
            known, value = value, np.array(variable)
            value[target] = known[source]
        variable.assign(value)
    known_before = set(_classes(before.taxonomy))
    return [": ".join(one) for one in _classes(system.taxonomy) if one not in known_before]


def learned(system: System) -> list[Any]:
    """The weights that are taken over, in their order; of those in `FRESH` one model may have some that another has not."""
    return [variable for variable in system.weights if variable.name not in FRESH]


def _attributes(taxonomy: Taxonomy) -> list[tuple[str, ...]]:
    return [(name,) for name in taxonomy.names]


def _classes(taxonomy: Taxonomy) -> list[tuple[str, ...]]:
    """In the order of a vector over all classes."""
    return [(attribute.name, name) for attribute in taxonomy.attributes for name in attribute.classes]


def _pairs(before: list[tuple[str, ...]], now: list[tuple[str, ...]]) -> tuple[list[int], list[int]]:
    """Places in `before`, and in `now`, of what both have."""
    both = [one for one in now if one in set(before)]
    return [before.index(one) for one in both], [now.index(one) for one in both]
