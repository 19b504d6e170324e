"""Bytes of Examples and TFRecord files are those that TensorFlow writes, and TensorFlow reads them."""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from components.catalogue_gen.tfrecord import Values, example, framed


def by_tensorflow(features: dict[str, Values]) -> bytes:
    made = {}
    for name, values in features.items():
        if name.startswith("label/"):
            made[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        else:
            made[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    return bytes(tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString(deterministic=True))


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.text(), st.lists(st.binary(max_size=300), max_size=3), max_size=4),
    st.dictionaries(st.text(), st.lists(st.integers(0, 2**63 - 1), max_size=4), max_size=4),
)
def test_an_example_is_tensorflows_to_the_byte(texts: dict[str, list[bytes]], numbers: dict[str, list[int]]) -> None:
    features: dict[str, Values] = {f"image/{name}": values for name, values in texts.items()}
    features |= {f"label/{name}": values for name, values in numbers.items()}
    assert tf.train.Example.FromString(example(features)) == tf.train.Example.FromString(by_tensorflow(features))
    assert len(example(features)) == len(by_tensorflow(features))


@pytest.mark.parametrize("names", [("image/encoded", "image/id", "label/neck", "label/Übergröße", "role")])
def test_the_order_of_features_is_tensorflows(names: tuple[str, ...]) -> None:
    features: dict[str, Values] = {name: [1, 0, 300] if name.startswith("label/") else [b"x" * 200] for name in names}
    assert example(features) == by_tensorflow(features)


def test_tensorflow_reads_the_file(tmp_path: Path) -> None:
    records = [b"", b"a", bytes(range(256)) * 1000]
    (tmp_path / "ours").write_bytes(b"".join(map(framed, records)))
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for record in records:
            writer.write(record)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
