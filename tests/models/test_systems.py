"""What every system keeps: the outputs' shapes and sums, its loss, and a file that needs nothing beside it."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from models import systems
from models.m3net import M3Net, positive_weights
from models.m3net_plus import M3NetPlus
from models.recipe import ModelConfig, TrainingConfig
from models.registry import BACKBONES, SYSTEMS, resolve
from models.sampling import Photos
from models.taxonomy import Taxonomy

NAMES = tuple(SYSTEMS)
CLASS_SYSTEMS = ("m3net", "m3net+", "m3net_a", "m3net_c")
CONFIG = {"image_size": 32, "attention_dim": 8, "class_dim": 4}


def built(name: str, taxonomy: Taxonomy, **config: float) -> systems.System:
    return systems.build(ModelConfig(system=name, **{**CONFIG, **config}), taxonomy)  # type: ignore[arg-type]


def told(photos: Photos) -> dict[str, np.ndarray]:
    """What a batch of all of them says beside the images."""
    return {"labels": photos.labels.astype(np.float32), "photo": photos.place.astype(np.int32)}


@pytest.mark.parametrize("name", NAMES)
def test_outputs(name: str, taxonomy: Taxonomy, draw: Callable[[int], Photos]) -> None:
    system = built(name, taxonomy, kappa=0.5)
    outputs = system(draw(3).images.astype(np.float32))
    shapes = {"logits": (3, 5), "phi": (3, 5, 4), "f": (3, 2, 512 if name == "asen++" else 256)}
    shapes["attention"] = (3, 2, 4, 4) if name == "m3net+" else (3, 2, 2, 2)
    assert {key: tuple(value.shape) for key, value in outputs.items()} == {key: shapes[key] for key in outputs}
    assert ("phi" in outputs) == (name in CLASS_SYSTEMS)
    np.testing.assert_allclose(np.asarray(outputs["attention"]).sum(axis=(2, 3)), 1, atol=1e-5)
    posteriors = np.asarray(system.posteriors(outputs))
    np.testing.assert_allclose([posteriors[:, :2].sum(1), posteriors[:, 2:].sum(1)], 1, atol=1e-5)
    assert system.vectors(outputs).shape == (3, 2, system.vector_length)


@pytest.mark.parametrize("name", NAMES)
def test_with_its_mirror_image_a_photo_and_its_mirror_image_are_one(name: str, taxonomy: Taxonomy) -> None:
    plain, both = (built(name, taxonomy, mirror=mirror) for mirror in (False, True))
    both.set_weights(plain.get_weights())
    images = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3)).astype(np.float32)
    mirrored = images[:, :, ::-1].copy()
    got, turned = both(images), both(mirrored)
    for key, value in got.items():
        one, other, again = (np.asarray(outputs[key]) for outputs in (plain(images), plain(mirrored), turned))
        if key == "attention":
            other, again = other[..., ::-1], again[..., ::-1]
        np.testing.assert_allclose(np.asarray(value), (one + other) / 2, atol=1e-5)
        np.testing.assert_allclose(np.asarray(value), again, atol=1e-5)
        assert not np.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize(("name", "kappa"), [*((name, 0.0) for name in ("classifier", *CLASS_SYSTEMS)), ("m3net", 0.5)])
def test_balance_divides_what_a_class_adds_to_a_score_by_its_frequency(
    name: str, kappa: float, taxonomy: Taxonomy, draw: Callable[[int], Photos], tmp_path: Path
) -> None:
    system, photos = built(name, taxonomy, balance=0.5, kappa=kappa), draw(6)
    system.prepare(TrainingConfig(), photos.labels)
    system.save(tmp_path / "a.keras")
    system = systems.load(tmp_path / "a.keras")
    outputs = system(photos.images.astype(np.float32))
    posteriors, vectors = np.asarray(system.posteriors(outputs)), np.asarray(system.vectors(outputs))
    for n, classes in enumerate(taxonomy.slices.values()):
        counts, p = photos.labels[:, classes].sum(axis=0) + 1, posteriors[:, classes]
        each = np.einsum("qm,cm->qcm", p, p) / (counts / counts.sum()) ** 0.5
        if kappa:
            phi = np.asarray(outputs["phi"])[:, classes]
            phi = phi / np.linalg.norm(phi, axis=-1, keepdims=True)
            each *= 1 + kappa * np.einsum("qmd,cmd->qcm", phi, phi)
        np.testing.assert_allclose(vectors[:, n] @ vectors[:, n].T, each.sum(axis=-1), rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_restores_everything(name: str, taxonomy: Taxonomy, draw: Callable[[int], Photos], tmp_path: Path) -> None:
    system = built(name, taxonomy, kappa=0.5)
    system.set_weights([weight + 0.25 for weight in system.get_weights()])  # centres among them
    images = draw(2).images.astype(np.float32)
    system.save(tmp_path / "a.keras")
    loaded = systems.load(tmp_path / "a.keras")
    assert (loaded.taxonomy, loaded.config) == (system.taxonomy, system.config)
    if name != "classifier":
        np.testing.assert_array_equal(np.asarray(loaded.centres.centres), 0.25)
    expected, got = system(images), loaded(images)
    for key in expected:
        np.testing.assert_allclose(np.asarray(got[key]), np.asarray(expected[key]), atol=1e-6)


def test_a_file_does_not_ask_for_the_backbones_start_weights(taxonomy: Taxonomy, tmp_path: Path) -> None:
    start = tmp_path / "start.weights.h5"
    built("m3net+", taxonomy).backbone.save_weights(start)
    system = systems.build(ModelConfig(weights=str(start), **CONFIG), taxonomy)
    system.save(tmp_path / "a.keras")
    start.unlink()
    assert systems.load(tmp_path / "a.keras").config.weights == ""


def test_an_unknown_system_is_refused_with_the_nearest_name(taxonomy: Taxonomy) -> None:
    with pytest.raises(ValueError, match=r'no system "m3nett"; did you mean "m3net"\?'):
        built("m3nett", taxonomy)


def test_the_registry_names_the_classes() -> None:
    assert resolve("system", "m3net", SYSTEMS) is M3Net
    assert resolve("system", "m3net+", SYSTEMS) is M3NetPlus
    assert all(callable(resolve("backbone", name, BACKBONES)) for name in BACKBONES)


@pytest.mark.parametrize(("instance", "cluster"), [(0.0, 0.0), (2.0, 0.0), (0.0, 3.0)])
def test_the_loss_is_the_weighted_sum_of_its_parts(
    taxonomy: Taxonomy, draw: Callable[[int], Photos], instance: float, cluster: float
) -> None:
    system, photos = built("m3net+", taxonomy), draw(12)
    y, outputs = told(photos), system(photos.images.astype(np.float32))
    parts = {}
    for name, weights in {"l_m": (0, 0), "l_ci": (1, 0), "l_cc": (0, 1)}.items():
        system.prepare(TrainingConfig(instance_weight=weights[0], cluster_weight=weights[1]), photos.labels)
        parts[name] = float(system.compute_loss(None, y, outputs, training=False)) - parts.get("l_m", 0)
    system.prepare(TrainingConfig(instance_weight=instance, cluster_weight=cluster), photos.labels)
    expected = parts["l_m"] + instance * parts["l_ci"] + cluster * parts["l_cc"]
    assert float(system.compute_loss(None, y, outputs, training=False)) == pytest.approx(expected, rel=1e-5)


def test_only_training_moves_the_centres(taxonomy: Taxonomy, draw: Callable[[int], Photos]) -> None:
    system, photos = built("m3net", taxonomy), draw(6)
    y, outputs = told(photos), system(photos.images.astype(np.float32))
    system.prepare(TrainingConfig(), photos.labels)
    system.compute_loss(None, y, outputs, training=False)
    assert not np.asarray(system.centres.centres).any()
    system.compute_loss(None, y, outputs, training=True)
    assert np.asarray(system.centres.centres).any()


def test_positives_weigh_the_root_of_how_rare_they_are() -> None:
    labels = np.array([[1, 0], [0, 0], [0, 0], [0, 0], [0, 1]], np.uint8)
    known = np.array([[1, 1]] * 5, np.uint8)
    np.testing.assert_allclose(positive_weights(labels, known), [2, 2])  # sqrt(4 / 1)
    known[1:4, 0] = 0  # photos without the label say nothing about it
    np.testing.assert_allclose(positive_weights(labels, known), [1, 2])  # sqrt(1 / 1)
    rare = np.zeros((1000, 1), np.uint8)
    rare[0] = 1
    assert positive_weights(rare, np.ones_like(rare))[0] == 10  # sqrt(999) is capped


def test_bfloat16_training_keeps_float32_outputs(taxonomy: Taxonomy, draw: Callable[[int], Photos]) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        system = built("m3net+", taxonomy)
    finally:
        keras.config.set_dtype_policy("float32")
    outputs = system(draw(2).images.astype(np.float32))
    assert {keras.backend.standardize_dtype(value.dtype) for value in outputs.values()} == {"float32"}
