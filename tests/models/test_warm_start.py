"""Weights of an older model in a new one: rows by name, for every system; what is new keeps its own start."""

from typing import Any

import numpy as np
import pytest

from models import systems
from models.errors import TrainingError
from models.recipe import ModelConfig
from models.registry import SYSTEMS
from models.systems import System
from models.taxonomy import Attribute, Taxonomy
from models.warm_start import FRESH, PER_ATTRIBUTE, PER_CLASS, learned, warm
from tests.models.tiny import CONFIG

OLD = Taxonomy((Attribute("colour", ("blue", "red")), Attribute("length", ("long", "short", "midi"))))
# "amber" comes first, "hem" is new, "length" lost "midi": places move.
NEW = Taxonomy(
    (Attribute("hem", ("a", "b")), Attribute("length", ("long", "short")), Attribute("colour", ("amber", "blue", "red")))
)
CLASSES = {2: 2, 3: 3, 5: 0, 6: 1}  # place in NEW: place in OLD
ATTRIBUTES = {1: 1, 2: 0}


BALANCES = [(name, *balances) for name in ("classifier", "m3net") for balances in ((0, 0.5), (0.5, 0), (0.5, 0.5))]


@pytest.mark.parametrize(("name", "balance_before", "balance"), [*((name, 0, 0) for name in SYSTEMS), *BALANCES])
def test_rows_follow_their_names_in_every_system(name: str, balance_before: float, balance: float) -> None:
    config = {**CONFIG, "system": name}
    before = systems.build(ModelConfig(**config, balance=balance_before), OLD)
    system = systems.build(ModelConfig(**config, balance=balance), NEW)
    start, fresh = ([np.array(one) for one in of] for of in (learned(system), _fresh(system)))
    for i, variable in enumerate(before.weights):
        variable.assign(
            np.full(variable.shape, i + 2) + np.arange(variable.shape[0]).reshape(-1, *[1] * (len(variable.shape) - 1)) / 8
            if len(variable.shape)
            else i + 2
        )
    assert warm(system, before) == ["hem: a", "hem: b", "colour: amber"]
    assert all(np.array_equal(np.array(now), own) for now, own in zip(_fresh(system), fresh, strict=True))
    for variable, old, own in zip(learned(system), learned(before), start, strict=True):
        now, old = np.array(variable), np.array(old)
        if variable.name in PER_CLASS | PER_ATTRIBUTE:
            places = CLASSES if variable.name in PER_CLASS else ATTRIBUTES
            for place in range(len(now)):
                assert np.array_equal(now[place], old[places[place]] if place in places else own[place])
        else:
            assert np.array_equal(now, old)


def _fresh(system: System) -> list[Any]:
    return [variable for variable in system.weights if variable.name in FRESH]


@pytest.mark.parametrize(("key", "value"), [("system", "classifier"), ("class_dim", 8)])
def test_another_architecture_is_refused_in_one_line(key: str, value: object) -> None:
    before = systems.build(ModelConfig(**{**CONFIG, "system": "m3net+"}), OLD)
    system = systems.build(ModelConfig(**{**CONFIG, "system": "m3net+", key: value}), OLD)
    with pytest.raises(TrainingError, match=f"last blessed model has model.{key}=.*training.warm_start=none"):
        warm(system, before)
