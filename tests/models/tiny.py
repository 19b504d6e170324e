"""A backbone of one convolution, so that a test of the engine does not wait for the compiler of ten."""

import keras
from keras import layers

from models.registry import BACKBONES

NAME = "tiny"
BACKBONES[NAME] = "tests.models.tiny:tiny"
CONFIG = {"backbone": NAME, "local_backbone": NAME, "image_size": 32, "attention_dim": 8, "class_dim": 4}


def tiny(image_size: int, _: str) -> keras.Model:
    """Stride 16 after a map of stride 8, 8 channels, batch normalisation; from 0..255 like all of them."""
    images = keras.Input((image_size, image_size, 3))
    x = layers.Conv2D(8, 8, 8, kernel_initializer="he_normal")(layers.Rescaling(1 / 64, offset=-2)(images))
    x = layers.AveragePooling2D(2)(x)
    return keras.Model(images, layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x)))
