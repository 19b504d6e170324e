"""What the tests of this room share: a taxonomy small enough to work out by hand, and photos whose label one can see."""

import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from models.grid import Grid
from models.sampling import Photos
from models.taxonomy import Attribute, Taxonomy

# Two classes and three, so that the grid has an empty slot: M = 5, N = 2, K = 3.
TAXONOMY = Taxonomy((Attribute("neck", ("v", "crew")), Attribute("sleeve", ("none", "short", "long"), multi_label=True)))
COLOURS = np.array([[220, 30, 30], [30, 200, 60], [40, 60, 210]], np.uint8)  # one a sleeve class
SIZE = 32


@pytest.fixture
def taxonomy() -> Taxonomy:
    return TAXONOMY


@pytest.fixture
def grid() -> Grid:
    return Grid(TAXONOMY)


@pytest.fixture(scope="session")
def draw() -> Callable[[int], Photos]:
    """Photos whose colour is the sleeve and whose bright half, left or right, is the neck; every third is a query."""

    def photos(count: int) -> Photos:
        random = np.random.default_rng(count)
        sleeve, neck = random.integers(0, 3, count), random.integers(0, 2, count)
        images = np.repeat(COLOURS[sleeve], SIZE * SIZE, axis=0).reshape(count, SIZE, SIZE, 3)
        dark = (np.arange(SIZE) < SIZE // 2) == neck[:, None].astype(bool)  # (count, SIZE)
        images = np.where(dark[:, None, :, None], images // 3, images)
        labels = np.zeros((count, 5), np.uint8)
        labels[np.arange(count), neck] = 1
        labels[np.arange(count), 2 + sleeve] = 1
        roles = ["query" if i % 3 == 0 else "candidate" for i in range(count)]
        return Photos(images, np.arange(count), labels, [f"{i:03}" for i in range(count)], roles)

    return photos


@pytest.fixture(scope="session")
def write_examples() -> Callable[[Path, Photos], None]:
    """Writes photos as the TFRecord of Examples that ingestion makes: PNG here, so that no pixel is lost."""

    def write(path: Path, photos: Photos) -> None:
        import tensorflow as tf

        path.parent.mkdir(parents=True, exist_ok=True)
        with tf.io.TFRecordWriter(str(path)) as file:
            for i, name in enumerate(photos.ids):
                text = {"image/id": name, "image/group": name, "role": photos.roles[i]}
                values = {key: [value.encode()] for key, value in text.items()}
                values["image/encoded"] = [tf.io.encode_png(photos.batch(np.array([i]))[0]).numpy()]
                feature = {k: tf.train.Feature(bytes_list=tf.train.BytesList(value=v)) for k, v in values.items()}
                for attribute, classes in TAXONOMY.slices.items():
                    found = np.flatnonzero(photos.labels[i, classes])
                    feature[f"label/{attribute}"] = tf.train.Feature(int64_list=tf.train.Int64List(value=found))
                example = tf.train.Example(features=tf.train.Features(feature=feature))
                file.write(example.SerializeToString())

    return write
