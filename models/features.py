"""From stored Examples to tensors, in TensorFlow: the one decoding of a photo that training and serving share."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from models.sampling import Photos
from models.taxonomy import Taxonomy

LABEL = "label/"


def feature_spec(taxonomy: Taxonomy) -> dict[str, Any]:
    """How `tf.io.parse_example` reads our Examples."""
    text = tf.io.FixedLenFeature([], tf.string, default_value="")
    labels = {f"{LABEL}{name}": tf.io.RaggedFeature(tf.int64) for name in taxonomy.names}
    return {"image/encoded": text, "image/id": text, "role": text, **labels}


def decode_photo(data: tf.Tensor, size: int) -> tf.Tensor:
    """JPEG or PNG bytes, a scalar, to float32 (size, size, 3), whole numbers in 0..255; squashed to a square, antialiased.

    Rounded, because training reads these pixels from a file of bytes: serving sees the very same numbers.
    """
    image = tf.io.decode_image(data, channels=3, expand_animations=False)
    image = tf.ensure_shape(image, (None, None, 3))
    return tf.clip_by_value(tf.round(tf.image.resize(image, (size, size), antialias=True)), 0.0, 255.0)


def decode_photos(data: tf.Tensor, size: int) -> tf.Tensor:
    """Strings (B,) to float32 (B, size, size, 3)."""
    signature = tf.TensorSpec((size, size, 3), tf.float32)
    return tf.map_fn(lambda photo: decode_photo(photo, size), data, fn_output_signature=signature)


def multi_hot(parsed: dict[str, Any], taxonomy: Taxonomy) -> tf.Tensor:
    """The labels of one parsed Example as uint8 (M,)."""
    columns = []
    for attribute in taxonomy.attributes:
        hot = tf.one_hot(parsed[f"{LABEL}{attribute.name}"], len(attribute.classes), dtype=tf.uint8)
        columns.append(tf.cast(tf.reduce_sum(hot, axis=0) > 0, tf.uint8))
    return tf.concat(columns, axis=0)


def read_photos(patterns: Sequence[str], taxonomy: Taxonomy, size: int, cache: Path) -> Photos:
    """Decodes TFRecord files of Examples once, in parallel, into `cache`, a file of uint8 (n, size, size, 3).

    The pixels stay on disk; memory holds labels, ids and roles. Sorted by id: Beam promises no order.
    """
    spec = feature_spec(taxonomy)

    def parse(serialised: tf.Tensor) -> tuple[tf.Tensor, ...]:
        parsed = tf.io.parse_single_example(serialised, spec)
        pixels = tf.cast(decode_photo(parsed["image/encoded"], size), tf.uint8)
        return pixels, multi_hot(parsed, taxonomy), parsed["image/id"], parsed["role"]

    files = sorted(file for pattern in patterns for file in tf.io.gfile.glob(pattern))
    examples = tf.data.TFRecordDataset(files).map(parse, num_parallel_calls=tf.data.AUTOTUNE).prefetch(64)
    return _collect(examples.as_numpy_iterator(), taxonomy, size, cache)


def _collect(rows: Iterable[tuple[Any, ...]], taxonomy: Taxonomy, size: int, cache: Path) -> Photos:
    labels, ids, roles = [], [], []
    with cache.open("wb") as file:
        for pixels, hot, photo_id, role in rows:
            file.write(pixels.tobytes())
            labels.append(hot)
            ids.append(photo_id.decode())
            roles.append(role.decode())
    shape = (len(ids), size, size, 3)
    images = np.memmap(cache, np.uint8, "r", shape=shape) if ids else np.zeros(shape, np.uint8)
    order = np.array(sorted(range(len(ids)), key=ids.__getitem__), np.int64)
    hot = np.array(labels, np.uint8).reshape(len(ids), taxonomy.num_classes)
    return Photos(images, order, hot[order], [ids[i] for i in order], [roles[i] for i in order])
