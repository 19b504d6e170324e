"""Backbones: the map's shape, what they do to pixels, and what they say to a wrong name or file."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from models import systems
from models.backbones import build_backbone
from models.m3net_plus import enlarged
from models.recipe import ModelConfig, TrainingConfig
from models.sampling import Photos
from models.taxonomy import Taxonomy
from models.training import fit
from tests.models.tiny import CONFIG


def test_small_has_stride_16_and_256_channels() -> None:
    assert build_backbone("small", 96).output_shape == (None, 6, 6, 256)


def test_resnet50_is_cut_at_c4_and_normalises_as_imagenet_did() -> None:
    model = build_backbone("resnet50_c4", 64)
    assert model.output_shape == (None, 4, 4, 1024)
    # As published for the ASEN family, whose convolutions have no biases; Keras's add theirs.
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables if v.name != "bias") == 8_543_296
    first = next(layer for layer in model.layers if layer.name == "conv1_pad")
    seen = keras.Model(model.input, first.input)(np.full((1, 64, 64, 3), [10.0, 20.0, 30.0], np.float32))
    np.testing.assert_allclose(np.asarray(seen)[0, 0, 0], [30 - 103.939, 20 - 116.779, 10 - 123.68], atol=1e-4)  # BGR


@pytest.mark.parametrize(("name", "channels"), [("resnet34_c4", 256), ("convnext_tiny", 384), ("efficientnetv2_b0", 672)])
def test_every_backbone_has_stride_16_and_takes_pixels_from_0_to_255(name: str, channels: int) -> None:
    model = build_backbone(name, 48)
    assert model.output_shape == (None, 3, 3, channels)
    first = next(i for i, layer in enumerate(model.layers) if layer.trainable_weights)
    pixels = np.repeat(np.linspace(0, 255, 48 * 48).reshape(1, 48, 48, 1), 3, axis=-1).astype(np.float32)
    seen = np.asarray(keras.Model(model.input, model.layers[first - 1].output)(pixels))
    assert -3.5 < seen.min() < -0.9  # shifted and scaled by the model itself, whatever its way
    assert 0.9 < seen.max() < 3.5


@pytest.mark.parametrize(("name", "size"), [("small", 72), ("convnext_tiny", 72), ("small", 56)])
def test_the_finer_map_need_not_have_exactly_twice_the_height(name: str, size: int, taxonomy: Taxonomy) -> None:
    system = systems.build(ModelConfig(**{**CONFIG, "backbone": name, "image_size": size}), taxonomy)
    height, finer = system.backbone.output_shape[1], system.attended_size[0]
    assert finer != 2 * height
    outputs = system(np.random.default_rng(0).uniform(0, 255, (2, size, size, 3)).astype(np.float32))
    assert outputs["attention"].shape == (2, 2, finer, finer)
    np.testing.assert_allclose(np.asarray(outputs["attention"]).sum(axis=(2, 3)), 1, atol=1e-5)


def test_an_enlarged_map_repeats_cells_and_continues_its_edge() -> None:
    x = np.arange(4, dtype=np.float32).reshape(1, 2, 2, 1)
    rows = [[0, 0, 1, 1, 1], [0, 0, 1, 1, 1], [2, 2, 3, 3, 3]]
    np.testing.assert_array_equal(np.asarray(enlarged(x, 3, 5))[0, :, :, 0], rows)


def test_resnet34_has_the_sizes_of_the_published_one_and_reads_its_arrays(tmp_path: Path) -> None:
    model = build_backbone("resnet34_c4", 32)
    # torchvision's resnet34 has 21,797,672: less the last stage 13,114,368 and the classifier 513,000.
    trainable = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert trainable == 21_797_672 - 13_114_368 - 513_000
    random, arrays = np.random.default_rng(0), {}
    for layer in model.layers:
        name = re.sub(r"layer(\d)_(\d)_", r"layer\1.\2.", layer.name).replace("downsample_", "downsample.")
        if isinstance(layer, keras.layers.Conv2D):
            arrays[f"{name}.weight"] = random.normal(size=layer.kernel.shape).transpose(3, 2, 0, 1)
        elif isinstance(layer, keras.layers.BatchNormalization):
            for part in ("weight", "bias", "running_mean", "running_var"):
                arrays[f"{name}.{part}"] = random.random(layer.gamma.shape)
    np.savez(tmp_path / "resnet34.npz", **arrays, **{"fc.weight": np.zeros(3)})
    loaded = build_backbone("resnet34_c4", 32, str(tmp_path / "resnet34.npz"))
    kernel = arrays["layer2.0.downsample.0.weight"]
    got = np.asarray(loaded.get_layer("layer2_0_downsample_0").kernel)
    np.testing.assert_allclose(got[0, 0, 5, 7], kernel[7, 5, 0, 0], rtol=1e-6)
    norm = loaded.get_layer("layer3_5_bn2")
    np.testing.assert_allclose(np.asarray(norm.moving_variance), arrays["layer3.5.bn2.running_var"], rtol=1e-6)
    del arrays["layer1.0.conv1.weight"]
    np.savez(tmp_path / "less.npz", **arrays)
    with pytest.raises(ValueError, match=r"less\.npz has no array for the layer layer1_0_conv1"):
        build_backbone("resnet34_c4", 32, str(tmp_path / "less.npz"))


@pytest.mark.parametrize(
    ("recipe", "moved"),
    [
        # Which of a kernel, a scale and a running mean of the backbone a step moves.
        ({}, (True, True, True)),
        ({"backbone_rate": 0.0}, (False, False, False)),
        ({"frozen_norm": True}, (True, False, False)),
    ],
)
def test_freezing(
    recipe: dict[str, Any], moved: tuple[bool, bool, bool], taxonomy: Taxonomy, draw: Callable[[int], Photos]
) -> None:
    system = systems.build(ModelConfig(system="classifier", **CONFIG), taxonomy)
    norm = next(layer for layer in system.backbone.layers if isinstance(layer, keras.layers.BatchNormalization))
    first = next(layer for layer in system.backbone.layers if isinstance(layer, keras.layers.Conv2D))
    watched = [first.kernel, norm.gamma, norm.moving_mean]
    before = [np.array(v) for v in watched]
    head = np.array(system.classifier)
    fit(system, draw(8), None, TrainingConfig(epochs=1, batch_size=8, weight_decay=0.0, **recipe))
    assert tuple(bool((np.array(v) != old).any()) for v, old in zip(watched, before, strict=True)) == moved
    assert (np.array(system.classifier) != head).any()


def test_weights_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "small.weights.h5"
    first = build_backbone("small", 32)
    first.save_weights(path)
    for expected, got in zip(first.get_weights(), build_backbone("small", 32, str(path)).get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("name", "weights", "error", "message"),
    [
        ("smal", "", ValueError, 'no backbone "smal"; did you mean "small"?'),
        ("small", "imagenet", ValueError, "has no ImageNet weights"),
        ("resnet34_c4", "imagenet", ValueError, "only from a file; give its path"),
        ("small", "/no/such.weights.h5", FileNotFoundError, "/no/such.weights.h5.*no such file"),
    ],
)
def test_what_is_wrong_is_said(name: str, weights: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build_backbone(name, 32, weights)
