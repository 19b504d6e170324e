"""Schedules and updates by hand."""

import keras
import numpy as np
import pytest

from models.optimizer import OneCycle, ScaledAdam, Stairs, optimizer, schedule
from models.recipe import TrainingConfig


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 0.5), (1, 1.0), (5, 0.5), (9, 0.0)],  # warm-up 2 of 10 steps, then half a cosine over 8: its middle and end
)
def test_one_cycle(step: int, expected: float) -> None:
    assert float(OneCycle(peak=1.0, steps=10, warmup=0.2)(step)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("step", "expected"), [(0, 2.0), (5, 2.0), (6, 1.8), (11, 1.8), (12, 1.62), (599, 2 * 0.9**99)])
def test_stairs(step: int, expected: float) -> None:
    assert float(Stairs(peak=2.0, every=6, decay=0.9)(step)) == pytest.approx(expected, rel=1e-5)


def test_a_schedule_by_its_name() -> None:
    def at(step: int, **recipe: object) -> float:
        return float(schedule(TrainingConfig(learning_rate=1.0, **recipe), epochs=2, batches=5)(step))  # type: ignore[arg-type]

    assert [at(s, schedule="step", decay=0.5, decay_epochs=1) for s in (0, 4, 5, 9)] == pytest.approx([1, 1, 0.5, 0.5])
    assert [at(s, schedule="cosine") for s in (0, 9)] == pytest.approx([1, 0], abs=1e-6)
    assert [at(s, schedule="one_cycle", warmup=0.5) for s in (0, 4, 9)] == pytest.approx([0.2, 1, 0], abs=1e-6)


def test_each_variable_moves_by_its_own_rate_and_matrices_alone_decay() -> None:
    variables = [keras.Variable(np.full(shape, 2.0)) for shape in ((1, 1), (1, 1), (1,))]
    one = ScaledAdam([1.0, 0.1, 0.1], 0.5, learning_rate=0.01)
    one.apply([np.ones(v.shape, np.float32) for v in variables], variables)
    # Adam's first step is the rate itself; decay takes rate * 0.5 of a matrix before.
    assert [float(np.asarray(v).ravel()[0]) for v in variables] == pytest.approx(
        [2 - 0.01 - 0.01, 2 - 0.001 - 0.001, 2 - 0.001], abs=1e-6
    )


def test_accumulated_gradients_are_one_update_by_their_mean() -> None:
    given = [np.float32([1.0, -3.0]), np.float32([3.0, 1.0]), np.float32([2.0, 2.0]), np.float32([0.0, 4.0])]
    recipe = TrainingConfig(accumulate=2, weight_decay=0.0, schedule="step", learning_rate=0.1, average=0.0)
    found = []
    for accumulate, steps in ((2, given), (1, [(given[0] + given[1]) / 2, (given[2] + given[3]) / 2])):
        variable = keras.Variable(np.zeros(2, np.float32))
        one = optimizer(TrainingConfig(**{**recipe.__dict__, "accumulate": accumulate}), [1.0], epochs=9, batches=9)
        for gradient in steps:
            one.apply([gradient], [variable])
        found.append(np.asarray(variable))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)
    assert np.abs(found[0]).max() > 0.05


def test_the_average_of_the_weights_by_hand() -> None:
    variable = keras.Variable(np.zeros((), np.float32))
    recipe = TrainingConfig(average=0.75, weight_decay=0.0, schedule="step", learning_rate=1.0)
    one = optimizer(recipe, [1.0], epochs=9, batches=9)
    seen = []
    for _ in range(3):
        one.apply([np.float32(1.0)], [variable])  # a constant gradient: Adam moves by the rate each time
        seen.append(float(np.asarray(variable)))
    assert seen == pytest.approx([-1, -2, -3], rel=1e-3)
    one.finalize_variable_values([variable])
    expected = 0.75 * (0.75 * seen[0] + 0.25 * seen[1]) + 0.25 * seen[2]  # it starts as the first weights
    assert float(np.asarray(variable)) == pytest.approx(expected, rel=1e-4)
