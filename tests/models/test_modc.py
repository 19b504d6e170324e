"""MODC: when its prototypes move, what an unlabelled photo takes over, and that a segment ranks before any other."""

from collections.abc import Callable

import keras
import numpy as np
import pytest

from models.modc import REFRESH, Modc
from models.recipe import TrainingConfig
from models.sampling import Photos
from models.taxonomy import Taxonomy
from tests.models.test_systems import built, told


@pytest.fixture
def system(taxonomy: Taxonomy) -> Modc:
    system = built("modc", taxonomy)
    assert isinstance(system, Modc)
    return system


def unit(*where: int) -> np.ndarray:
    """f of one photo: attribute n points along axis where[n]."""
    f = np.zeros((1, 2, 256), np.float32)
    f[0, np.arange(2), list(where)] = 1
    return f


def axes(system: Modc, known: int = 5) -> None:
    """Prototype m points along axis m."""
    centres = np.zeros((5, 256), np.float32)
    centres[np.arange(known), np.arange(known)] = 4
    system.centres.centres.assign(centres)


def test_prototypes_are_refreshed_every_so_many_steps(system: Modc, draw: Callable[[int], Photos]) -> None:
    system.prepare(TrainingConfig(), np.zeros((8, 5), np.uint8))
    photos = draw(8)
    outputs = {"f": np.random.default_rng(0).normal(size=(8, 2, 256)).astype(np.float32)}
    seen = []
    for step in range(REFRESH + 1):
        system.losses_of(told(photos), {"f": outputs["f"] + step}, training=True)
        seen.append(np.asarray(system.centres.centres).copy())
    assert seen[0].any()  # at once, from the first batch
    assert all((one == seen[0]).all() for one in seen[:REFRESH])
    assert (seen[REFRESH] != seen[0]).any()
    system.losses_of(told(photos), outputs, training=False)
    assert int(system.steps) == REFRESH + 1


def test_the_querys_segment_ranks_first_and_by_cosine_within(system: Modc) -> None:
    axes(system)
    random = np.random.default_rng(1)
    f = random.normal(size=(40, 2, 256)).astype(np.float32)
    f[:, :, :5] *= 8
    vectors = np.asarray(system.vectors({"f": f}))
    cosine = f / np.linalg.norm(f, axis=-1, keepdims=True)
    for attribute, own in ((0, slice(0, 2)), (1, slice(2, 5))):
        segment = f[:, attribute, own].argmax(axis=1)
        scores = vectors[:, attribute] @ vectors[0, attribute]
        same = segment == segment[0]
        assert 0 < same[1:].sum() < 39
        assert scores[same].min() > scores[~same].max()
        np.testing.assert_allclose(scores - 4 * same, cosine[:, attribute] @ cosine[0, attribute], atol=1e-5)


def test_before_any_prototype_it_ranks_by_cosine(system: Modc) -> None:
    assert not np.asarray(system.vectors({"f": unit(0, 3)}))[..., :3].any()


def test_an_unlabelled_photo_takes_the_class_of_its_nearest_prototype(system: Modc) -> None:
    axes(system, known=4)  # "long" has none, and is nobody's nearest
    system.prepare(TrainingConfig(views=2), np.zeros((1, 5), np.uint8))
    labels = np.float32([[0, 1, 0, 0, 0], [0, 0, 0, 0, 0]] * 2)
    first, second = np.concatenate([unit(0, 3), unit(1, 4)]), np.concatenate([unit(0, 2), unit(0, 2)])
    got = np.asarray(system.pseudo_labels(np.concatenate([first, second]), labels))
    # Labelled stays as it is; what the first view says holds for the second.
    np.testing.assert_array_equal(got, np.float32([[0, 0, 0, 1, 0], [0, 1, 1, 0, 0]] * 2))


def test_pseudo_labels_count_from_the_second_stage_on(system: Modc) -> None:
    axes(system)
    system.prepare(TrainingConfig(), np.zeros((1, 5), np.uint8))
    f = unit(0, 2) + 0.9 * unit(1, 3)
    y = {"labels": np.zeros((1, 5), np.float32), "photo": np.zeros(1, np.int32)}
    found = []
    for stage in (1, 2):
        system.enter(stage)
        found.append(float(system.losses_of(y, {"f": f}, training=False)["cluster"]))
    # Each attribute: cosines 1 / 1.345 and 0.9 / 1.345 with own and next; "long" 0 is far beyond the margin.
    near = 0.2 - 0.1 / np.sqrt(1.81)
    assert found == pytest.approx([0, (near + near / 2) / 2], abs=1e-5)


def test_a_batch_beyond_the_memory_is_refused(system: Modc) -> None:
    with pytest.raises(ValueError, match=r"remembers 1000 photos, a batch has 1024; lower training\.batch_size"):
        system.prepare(TrainingConfig(batch_size=512, views=2), np.zeros((1, 5), np.uint8))


def test_triplets_are_refused_for_a_system_that_classifies(taxonomy: Taxonomy) -> None:
    with pytest.raises(ValueError, match="train only: asen, asen_v2"):
        built("classifier", taxonomy).prepare(TrainingConfig(sampling="documented"), np.zeros((1, 5), np.uint8))


def test_memory_and_prototypes_come_back_from_a_file(system: Modc, tmp_path: object, draw: Callable[[int], Photos]) -> None:
    system.prepare(TrainingConfig(), np.zeros((8, 5), np.uint8))
    outputs = {"f": np.random.default_rng(0).normal(size=(8, 2, 256)).astype(np.float32)}
    system.losses_of(told(draw(8)), outputs, training=True)
    system.save(f"{tmp_path}/a.keras")
    loaded = keras.saving.load_model(f"{tmp_path}/a.keras", compile=False)
    for one, two in zip(system.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(two))
    assert np.asarray(loaded.memory.features).any()
