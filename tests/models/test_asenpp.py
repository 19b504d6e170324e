"""ASEN++: its two branches against a slow twin, its stages, and where the crop comes from."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.asenpp import AsenPlusPlus, Branch
from models.cropping import boxes, crop
from models.losses.alignment import alignment_loss
from models.recipe import TrainingConfig
from models.sampling import Photos
from models.taxonomy import Taxonomy
from tests.models.test_systems import built, told

RANDOM = np.random.default_rng(0)


@pytest.fixture
def system(taxonomy: Taxonomy) -> AsenPlusPlus:
    system = built("asen++", taxonomy, photo_size=48)
    assert isinstance(system, AsenPlusPlus)
    system.set_weights([0.3 * RANDOM.normal(size=w.shape) if w.ndim > 1 else w for w in system.get_weights()])
    return system


def test_a_branch_like_its_slow_twin() -> None:
    layer = Branch(dim=3, hidden=2, out=6)
    x, e = RANDOM.normal(size=(2, 1, 4, 5)).astype(np.float32), RANDOM.normal(size=(1, 3, 7)).astype(np.float32)
    layer(x, e)
    layer.set_weights([RANDOM.normal(size=w.shape) * 0.5 for w in layer.get_weights()])
    alpha, out = (np.asarray(t) for t in layer(x, e))
    assert (alpha.shape, out.shape) == ((2, 3, 4), (2, 3, 6))
    w = {v.path.split("/", 1)[1]: np.asarray(v) for v in layer.variables}

    def dense(name: str, value: np.ndarray) -> np.ndarray:
        return value @ w[f"{name}/kernel"] + w[f"{name}/bias"]

    for b in range(2):
        for a in range(3):
            query = np.tanh(dense("query", e[0, a]))
            scores = np.exp([query @ np.tanh(dense("key", x_j)) / np.sqrt(3) for x_j in x[b, 0]])
            expected = scores / scores.sum()
            np.testing.assert_allclose(alpha[b, a], expected, atol=1e-5)
            v = expected @ x[b, 0]
            hidden = np.maximum(dense("squeeze", np.concatenate([v, np.maximum(dense("condition", e[0, a]), 0)])), 0)
            end = dense("project", v / (1 + np.exp(-dense("excite", hidden))))
            np.testing.assert_allclose(out[b, a], end / np.linalg.norm(end), atol=1e-5)


def test_the_local_branch_sees_the_crop_of_each_attribute_from_the_photos_own_pixels(system: AsenPlusPlus) -> None:
    system.enter(2)
    images = RANDOM.integers(0, 256, (2, 48, 48, 3)).astype(np.float32)
    outputs = system(images)
    g, local = np.split(np.asarray(outputs["f"]), 2, axis=-1)
    np.testing.assert_allclose([np.linalg.norm(g), np.linalg.norm(local)], [np.sqrt(0.6 * 4), np.sqrt(0.4 * 4)], rtol=1e-5)
    cut = crop(images, boxes(outputs["attention"], 32), 16)
    for n in range(2):
        features = np.asarray(system.local_backbone(cut[:, n])).reshape(2, 1, -1, 256)
        _, expected = system.local_branch(features, np.asarray(system.embedding)[None, n : n + 1])
        np.testing.assert_allclose(local[:, n], np.sqrt(0.4) * np.asarray(expected)[:, 0], atol=1e-5)


def test_a_photo_drawn_for_one_attribute_is_cropped_for_it_alone(system: AsenPlusPlus) -> None:
    system.enter(2)
    images = RANDOM.integers(0, 256, (3, 48, 48, 3)).astype(np.uint8)
    whole, drawn = system(images)["f"], system({"images": images, "attribute": np.int32([1, 0, 1])})["f"]
    whole, drawn = np.array(whole), np.asarray(drawn)
    whole[[0, 1, 2], [0, 1, 0], 256:] = 0
    np.testing.assert_allclose(drawn, whole, atol=1e-5)


def test_the_first_stage_trains_and_ranks_by_the_global_branch_alone(
    system: AsenPlusPlus, draw: Callable[[int], Photos]
) -> None:
    system.prepare(TrainingConfig(backbone_rate=0.5), np.zeros((1, 5), np.uint8))
    system.enter(1)
    local = {id(v) for part in (system.local_backbone, system.local_branch) for v in part.variables}
    assert not local & {id(v) for v in system.trainable_variables}
    images = RANDOM.integers(0, 256, (12, 48, 48, 3)).astype(np.float32)
    outputs = system(images)
    assert not np.asarray(outputs["f"])[..., 256:].any()
    assert set(system.losses_of(told(draw(12)), outputs, False)) == {"triplet"}
    first = system.rates()
    system.enter(2)
    assert {id(v) for v in system.trainable_variables} >= {id(v) for v in system.local_branch.trainable_variables}
    assert set(system.losses_of(told(draw(12)), system(images), False)) == {"triplet", "local", "alignment"}
    rates = {v.path: rate for v, rate in zip(system.trainable_variables, system.rates(), strict=True)}
    assert sorted(set(first)) == [0.5, 1.0]
    assert sorted(set(rates.values())) == pytest.approx([0.05, 0.1, 0.5, 1.0])
    assert {rate for path, rate in rates.items() if path.startswith(system.local_branch.path)} == {1.0}
    assert rates[system.embedding.path] == pytest.approx(0.1)


def test_the_stage_comes_back_from_a_file(system: AsenPlusPlus, tmp_path: Path) -> None:
    from models import systems

    system.enter(2)
    system.save(tmp_path / "a.keras")
    images = RANDOM.integers(0, 256, (1, 48, 48, 3)).astype(np.float32)
    loaded = systems.load(tmp_path / "a.keras")
    np.testing.assert_allclose(np.asarray(loaded(images)["f"]), np.asarray(system(images)["f"]), atol=1e-6)


def test_alignment_by_hand(taxonomy: Taxonomy) -> None:
    from models.grid import Grid

    g, local = np.zeros((2, 2, 2), np.float32), np.zeros((2, 2, 2), np.float32)
    g[:, :, 0] = 3  # along the first axis
    local[0, 0], local[0, 1], local[1, 0] = [0.6, 0.8], [-1, 0], [5, 0]  # cosines 0.6, -1, 1
    labels = np.float32([[1, 0, 0, 0, 1], [0, 1, 0, 0, 0]])  # the last cell is unlabelled
    assert float(alignment_loss(labels, g, local, Grid(taxonomy))) == pytest.approx(3 * (0.4 + 2 + 0) / 3, abs=1e-6)
