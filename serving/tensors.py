"""NumPy arrays to TensorProto and back, for the types that a release's signatures use; without TensorFlow."""

import itertools
import math
from typing import Any

import numpy as np

from serving.protos import tensor_pb2, tensor_shape_pb2, types_pb2

# dtype: its number in the protocol, and the typed field that may hold its values
_TYPES: dict[str, tuple[int, str]] = {
    "float32": (types_pb2.DT_FLOAT, "float_val"),
    "int32": (types_pb2.DT_INT32, "int_val"),
    "int64": (types_pb2.DT_INT64, "int64_val"),
}
_NAMES = {number: name for name, (number, _) in _TYPES.items()}
# the protocol's number to the array's type; strings are objects
DTYPES: dict[int, str] = {**_NAMES, types_pb2.DT_STRING: "object"}
_MOST_REPEATS = 1 << 16  # elements


def to_proto(array: np.ndarray) -> Any:
    """A TensorProto of a float32, int32, int64 or bytes array. Raises: ValueError for another type."""
    shape = tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=n) for n in array.shape])
    if array.dtype.kind in "SO":
        return tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, tensor_shape=shape, string_val=array.ravel().tolist())
    if array.dtype.name not in _TYPES:
        raise ValueError(f"a tensor of {array.dtype} cannot be sent; there are: {', '.join(_TYPES)}, bytes")
    content = np.ascontiguousarray(array).tobytes()
    return tensor_pb2.TensorProto(dtype=_TYPES[array.dtype.name][0], tensor_shape=shape, tensor_content=content)


def from_proto(proto: Any) -> np.ndarray:
    """The array in a TensorProto, typed fields or tensor_content; strings as an object array of bytes.

    Raises: ValueError where it is malformed or of a type that no signature uses.
    """
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if proto.tensor_shape.unknown_rank or min(shape, default=0) < 0:
        raise ValueError(f"a tensor that is sent has a known shape without negative sizes; got {shape}")
    size = math.prod(shape)
    if proto.dtype == types_pb2.DT_STRING:
        strings = _strings(proto.tensor_content, size) if proto.tensor_content else proto.string_val
        return _filled(np.array(list(strings), object), size).reshape(shape)
    if proto.dtype not in _NAMES:
        raise ValueError(f"tensors of type {proto.dtype} are not known here; there are: {', '.join(_TYPES)}, bytes")
    name = _NAMES[proto.dtype]
    if not proto.tensor_content:
        return _filled(np.array(getattr(proto, _TYPES[name][1]), name), size).reshape(shape)
    if len(proto.tensor_content) != size * np.dtype(name).itemsize:
        raise ValueError(f"{len(proto.tensor_content)} bytes of tensor_content do not fill {shape} of {name}")
    return np.frombuffer(proto.tensor_content, name).reshape(shape)


def _strings(content: bytes, size: int) -> list[bytes]:
    """What C++ clients send: the lengths of all strings as varints, then the strings end to end."""
    lengths, place = [], 0
    for _ in range(size):
        length = shift = 0
        while True:
            if place >= len(content) or shift > 28:
                raise ValueError(f"tensor_content does not hold the lengths of {size} strings")
            byte, place = content[place], place + 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        lengths.append(length)
    if place + sum(lengths) != len(content):
        raise ValueError(f"{len(content)} bytes of tensor_content do not hold {size} strings of the lengths they name")
    ends = np.cumsum([place, *lengths]).tolist()
    return [content[start:end] for start, end in itertools.pairwise(ends)]


def _filled(values: np.ndarray, size: int) -> np.ndarray:
    """A single typed value stands for a whole tensor, as TensorFlow reads it."""
    # Bounded, for the shape is only claimed: a request of 30 bytes must not make the server allocate terabytes.
    if len(values) == 1 and 1 < size <= _MOST_REPEATS:
        return np.repeat(values, size)
    if len(values) != size:
        raise ValueError(f"{len(values)} values do not fill a tensor of {size}")
    return values
