"""Short vectors: the best directions there are, what a system makes of them, and that they are saved."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from keras import ops

from models import systems
from models.compression import main_directions
from models.recipe import ModelConfig, TrainingConfig
from models.sampling import Photos
from models.taxonomy import Taxonomy
from models.training import fit
from tests.models.tiny import CONFIG


def test_the_directions_keep_the_inner_products_as_well_as_any() -> None:
    rows = np.random.default_rng(0).normal(size=(9, 40)).astype(np.float32)
    basis = main_directions(rows, 4)
    np.testing.assert_allclose(basis.T @ basis, np.eye(4), atol=1e-5)
    short = rows @ basis
    left, values, _ = np.linalg.svd(rows.astype(np.float64))
    best = (left[:, :4] * values[:4] ** 2) @ left[:, :4].T
    np.testing.assert_allclose(short @ short.T, best, atol=1e-3)
    assert np.abs(best - rows @ rows.T).max() > 1  # four directions are too few for all of it


def test_rows_of_few_dimensions_leave_columns_of_zero_and_lose_nothing() -> None:
    rows = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32) @ np.eye(3, 10, dtype=np.float32)
    basis = main_directions(rows, 6)
    assert basis.shape == (10, 6)
    assert not basis[:, 3:].any()
    np.testing.assert_allclose(rows @ basis @ basis.T, rows, atol=1e-5)
    assert not main_directions(np.zeros((4, 5), np.float32), 2).any()


@pytest.mark.parametrize("name", ["m3net", "m3net+"])
def test_a_trained_system_ranks_by_short_vectors(
    name: str, taxonomy: Taxonomy, draw: Callable[[int], Photos], tmp_path: Path
) -> None:
    photos = draw(8)
    config = ModelConfig(**{**CONFIG, "system": name, "kappa": 0.5, "rank": 8})
    system = systems.build(config, taxonomy)
    assert system.vector_length == 3 + 8
    assert systems.build(ModelConfig(**{**CONFIG, "system": name, "kappa": 0.5, "rank": 99}), taxonomy).vector_length == 3 + 12
    fit(system, photos, None, TrainingConfig(epochs=1, batch_size=4))
    outputs = system.predict_on_batch(photos.images.astype(np.float32))
    short = ops.convert_to_numpy(system.vectors(outputs))
    assert short.shape == (8, 2, 11)
    whole = systems.build(ModelConfig(**{**CONFIG, "system": name, "kappa": 0.5}), taxonomy)
    exact = ops.convert_to_numpy(whole.vectors(outputs))
    assert exact.shape == (8, 2, 3 + 3 * 4)
    # Eight photos have eight directions at most: of them no product is lost.
    for of in range(2):
        np.testing.assert_allclose(short[:, of] @ short[:, of].T, exact[:, of] @ exact[:, of].T, atol=1e-5)
    system.save(tmp_path / "a.keras")
    again = systems.load(tmp_path / "a.keras")
    np.testing.assert_allclose(ops.convert_to_numpy(again.vectors(outputs)), short, atol=1e-6)
