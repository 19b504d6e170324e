"""Backbones: from RGB photos to the map of features that every attention looks at."""

from pathlib import Path
from typing import Any

import keras
from keras import KerasTensor as Tensor
from keras import layers

from models.normalization import FusedBatchNormalization
from models.registry import BACKBONES, resolve

SMALL_WIDTHS = (64, 128, 256)  # channels of the small backbone's three blocks


def build_backbone(name: str, image_size: int, weights: str = "") -> keras.Model:
    """A model from float32 (B, S, S, 3), RGB in 0..255, to a map of features (B, H, W, C); normalises its input itself.

    Args:
        name: a key of `registry.BACKBONES`.
        image_size: S, pixels.
        weights: "" = random, "imagenet" (where the backbone has such), or the path of a Keras weights file.
    Raises: ValueError for an unknown name or weights that it does not have; FileNotFoundError for a path without a file.
    """
    backbone = resolve("backbone", name, BACKBONES)
    if weights not in {"", "imagenet"} and not Path(weights).is_file():
        raise FileNotFoundError(f'backbone weights "{weights}": no such file; give "", "imagenet" or the path of a file')
    model: keras.Model = backbone(image_size, weights)
    return model


def finer_map(backbone: keras.Model) -> Tensor:
    """The last map of a backbone that is higher than its own: (B, about 2 H, about 2 W, C'), of half the stride."""
    height = backbone.output_shape[1]
    maps = [one.output for one in backbone.layers if not isinstance(one, layers.ZeroPadding2D)]  # an edge makes no map
    found: Tensor = [x for x in maps if len(x.shape) == 4 and x.shape[1] > height][-1]
    return found


def small(image_size: int, weights: str) -> keras.Model:
    """A residual network of stride 16 that trains from random weights in minutes on a CPU; 96 px -> 6 x 6 x 256."""
    if weights == "imagenet":
        raise ValueError('the backbone "small" has no ImageNet weights; leave `weights` empty or give a file')
    images = keras.Input((image_size, image_size, 3), name="images")
    # A fixed shift and scale suffices: the first batch normalisation learns the rest.
    x = layers.Rescaling(1 / 64, offset=-127.5 / 64)(images)
    x = layers.ReLU()(_convolution(x, 32, kernel=3, stride=2))
    for width in SMALL_WIDTHS:
        x = _residual_block(x, width)
    model = keras.Model(images, x, name="small")
    if weights:
        model.load_weights(weights)
    return model


def _convolution(x: Tensor, width: int, kernel: int, stride: int) -> Tensor:
    """Convolution and batch normalisation, (B, H, W, C) to (B, H / stride, W / stride, width)."""
    x = layers.Conv2D(width, kernel, stride, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
    # Keras's default momentum 0.99 still remembers the random start when a run of a few hundred steps ends.
    return FusedBatchNormalization(momentum=0.9, epsilon=1e-5)(x)


def _residual_block(x: Tensor, width: int) -> Tensor:
    """Two 3x3 convolutions, the first of stride 2, beside a strided 1x1 shortcut."""
    shortcut = _convolution(x, width, kernel=1, stride=2)
    y = layers.ReLU()(_convolution(x, width, kernel=3, stride=2))
    return layers.ReLU()(layers.add([shortcut, _convolution(y, width, kernel=3, stride=1)]))


def resnet50_c4(image_size: int, weights: str) -> keras.Model:
    """ResNet-50 after its stage C4, as the ASEN family cuts it: 224 px -> 14 x 14 x 1024."""
    images = keras.Input((image_size, image_size, 3), name="images")
    # It alone of those below does not normalise for itself.
    seen = keras.applications.resnet.preprocess_input(images)
    return _cut(keras.applications.ResNet50, images, seen, weights, "conv4_block6_out", "resnet50_c4")


def convnext_tiny(image_size: int, weights: str) -> keras.Model:
    """ConvNeXt-Tiny after its third stage: 224 px -> 14 x 14 x 384."""
    images = keras.Input((image_size, image_size, 3), name="images")
    last = "convnext_tiny_stage_2_block_8_identity"
    return _cut(keras.applications.ConvNeXtTiny, images, images, weights, last, "convnext_tiny")


def efficientnetv2_b0(image_size: int, weights: str) -> keras.Model:
    """EfficientNetV2-B0 at stride 16, the widest layer of it: 224 px -> 14 x 14 x 672."""
    images = keras.Input((image_size, image_size, 3), name="images")
    last = "block6a_expand_activation"
    return _cut(keras.applications.EfficientNetV2B0, images, images, weights, last, "efficientnetv2_b0")


def _cut(whole: Any, images: Tensor, seen: Tensor, weights: str, layer: str, name: str) -> keras.Model:
    """A network of keras.applications up to `layer`. Weights files are those of the whole network without its top.

    Raises: FileNotFoundError where ImageNet weights are asked for and cannot be fetched.
    """
    try:
        network = whole(include_top=False, weights=weights or None, input_tensor=seen)
    except Exception as error:
        if weights != "imagenet":
            raise
        line = " ".join(str(error).split())
        raise FileNotFoundError(f"{name}: no ImageNet weights: {line}; give the path of a file instead") from None
    return keras.Model(images, network.get_layer(layer).output, name=name)
