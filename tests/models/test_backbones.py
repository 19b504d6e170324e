"""Backbones: the map's shape, what they do to pixels, and what they say to a wrong name or file."""

from pathlib import Path

import keras
import numpy as np
import pytest

from models.backbones import build_backbone


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
        ("small", "/no/such.weights.h5", FileNotFoundError, "/no/such.weights.h5.*no such file"),
    ],
)
def test_what_is_wrong_is_said(name: str, weights: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build_backbone(name, 32, weights)
