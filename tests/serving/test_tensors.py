"""NumPy to TensorProto and back, against TensorFlow's own reading and writing and against malformed input."""

import numpy as np
import pytest

from serving.protos import tensor_pb2, types_pb2
from serving.tensors import from_proto, to_proto

ARRAYS = [
    np.array([[1.5, -2], [0, 4]], np.float32),
    np.array(7, np.int32),
    np.array([2**40, -1], np.int64),
    np.array([[b"a", b""], [b"\xff\0", b"dd"]], object),
    np.empty((0, 3), np.float32),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{a.shape}")
def test_tensorflow_reads_what_is_written_and_the_other_way_round(array: np.ndarray) -> None:
    import tensorflow as tf

    assert np.array_equal(tf.make_ndarray(to_proto(array)), array)
    back = from_proto(tf.make_tensor_proto(array))
    assert np.array_equal(back, array)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)


def test_typed_fields_and_tensor_content_are_one() -> None:
    typed = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[1, 2])
    typed.tensor_shape.dim.add(size=2)
    content = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, tensor_content=b"\0\0\x80?\0\0\0@")
    content.tensor_shape.dim.add(size=2)
    assert from_proto(typed).tolist() == from_proto(content).tolist() == [1.0, 2.0]


def test_strings_in_tensor_content() -> None:
    # The lengths first, 300 as the varint 0xAC 0x02; then the strings.
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, tensor_content=b"\x01\xac\x02" + b"a" + b"b" * 300)
    proto.tensor_shape.dim.add(size=2)
    assert from_proto(proto).tolist() == [b"a", b"b" * 300]


def test_one_typed_value_fills_a_small_tensor_and_no_large_one() -> None:
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_INT32, int_val=[3])
    proto.tensor_shape.dim.add(size=4)
    assert from_proto(proto).tolist() == [3, 3, 3, 3]
    proto.tensor_shape.dim[0].size = 1 << 40
    with pytest.raises(ValueError, match="1 values do not fill"):
        from_proto(proto)


def _proto(dims: list[int], **fields: object) -> object:
    proto = tensor_pb2.TensorProto(**fields)
    for size in dims:
        proto.tensor_shape.dim.add(size=size)
    return proto


@pytest.mark.parametrize(
    ("proto", "words"),
    [
        (_proto([3], dtype=types_pb2.DT_FLOAT, float_val=[1, 2]), "2 values do not fill a tensor of 3"),
        (_proto([2], dtype=types_pb2.DT_FLOAT, tensor_content=b"1234567"), "7 bytes of tensor_content do not fill"),
        (_proto([-1], dtype=types_pb2.DT_FLOAT), "negative"),
        (_proto([1 << 62, 4], dtype=types_pb2.DT_FLOAT), "0 values do not fill"),  # 2**64 elements, which wrap to 0
        (_proto([1], dtype=types_pb2.DT_HALF, half_val=[1]), "type 19 are not known"),
        (_proto([2], dtype=types_pb2.DT_STRING, tensor_content=b"\x01\x01a"), "do not hold 2 strings"),
        (_proto([2], dtype=types_pb2.DT_STRING, tensor_content=b"\x80"), "lengths of 2 strings"),
    ],
)
def test_malformed_tensors_are_refused(proto: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        from_proto(proto)


def test_a_type_that_no_signature_uses_is_not_sent() -> None:
    with pytest.raises(ValueError, match="float64 cannot be sent"):
        to_proto(np.zeros(2))
