"""ResNet-34 after its stage C4: the backbone of ASEN++'s local branch, which keras.applications does not have."""

from pathlib import Path

import keras
import numpy as np
from keras import KerasTensor as Tensor
from keras import layers

from models.normalization import FusedBatchNormalization

# ImageNet's colour statistics, of pixels in 0..255, under which the weights that are around were trained.
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
BLOCKS = {64: 3, 128: 4, 256: 6}  # residual blocks by width, in order


def resnet34_c4(image_size: int, weights: str) -> keras.Model:
    """224 px -> 14 x 14 x 256.

    Args:
        weights: "", a Keras weights file of this model, or an .npz with the arrays of the usual ImageNet checkpoint by
            their names there (`conv1.weight`, `layer1.0.bn1.running_mean`, ...); what lies behind C4 is not read.
    Raises: ValueError for "imagenet": no package here brings such weights; and for an .npz that lacks an array.
    """
    if weights == "imagenet":
        raise ValueError('the backbone "resnet34_c4" has ImageNet weights only from a file; give its path')
    images = keras.Input((image_size, image_size, 3), name="images")
    x = layers.Normalization(mean=MEAN, variance=[d * d for d in DEVIATION])(images)
    x = layers.ReLU()(_convolution(x, 64, 7, 2, "conv1", "bn1"))
    x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))  # after a ReLU a zero is no larger than any pixel
    for stage, (width, blocks) in enumerate(BLOCKS.items(), start=1):
        for block in range(blocks):
            x = _block(x, width, 2 if block == 0 and stage > 1 else 1, f"layer{stage}.{block}")
    model = keras.Model(images, x, name="resnet34_c4")
    if weights.endswith(".npz"):
        _load(model, Path(weights))
    elif weights:
        model.load_weights(weights)
    return model


def _convolution(x: Tensor, width: int, kernel: int, stride: int, name: str, norm: str) -> Tensor:
    """Convolution and batch normalisation under the checkpoint's names; padded evenly, as it was trained."""
    x = layers.ZeroPadding2D(kernel // 2)(x) if kernel > 1 else x
    x = layers.Conv2D(width, kernel, stride, use_bias=False, kernel_initializer="he_normal", name=_named(name))(x)
    return FusedBatchNormalization(momentum=0.9, epsilon=1e-5, name=_named(norm))(x)


def _block(x: Tensor, width: int, stride: int, name: str) -> Tensor:
    shortcut = x
    if stride > 1:
        shortcut = _convolution(x, width, 1, stride, f"{name}.downsample.0", f"{name}.downsample.1")
    y = layers.ReLU()(_convolution(x, width, 3, stride, f"{name}.conv1", f"{name}.bn1"))
    return layers.ReLU()(layers.add([shortcut, _convolution(y, width, 3, 1, f"{name}.conv2", f"{name}.bn2")]))


def _named(name: str) -> str:
    return name.replace(".", "_")  # a dot is not allowed in a layer's name


def _load(model: keras.Model, path: Path) -> None:
    """Kernels come as (out, in, height, width)."""
    with np.load(path) as found:
        by_layer = {_named(name.rpartition(".")[0]): name.rpartition(".")[0] for name in found.files}
        for layer in model.layers:
            if not isinstance(layer, layers.Conv2D | layers.BatchNormalization):
                continue
            name = by_layer.get(layer.name)
            if name is None:
                raise ValueError(f"{path} has no array for the layer {layer.name}; it is no ResNet-34")
            if isinstance(layer, layers.Conv2D):
                layer.set_weights([found[f"{name}.weight"].transpose(2, 3, 1, 0)])
            else:
                layer.set_weights([found[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")])
