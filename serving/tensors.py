"""NumPy arrays to TensorProto and back, for the types that a release's signatures use; without TensorFlow."""

from typing import Any

import numpy as np

from serving.protos import tensor_pb2, tensor_shape_pb2, types_pb2

# dtype, its enum, the typed field that may hold its values
_TYPES: dict[str, tuple[int, str]] = {
    "float32": (types_pb2.DT_FLOAT, "float_val"),
    "int32": (types_pb2.DT_INT32, "int_val"),
    "int64": (types_pb2.DT_INT64, "int64_val"),
}


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
    """The array in a TensorProto, typed fields or tensor_content. Raises: ValueError where it is malformed."""
    shape = [dim.size for dim in proto.tensor_shape.dim]
    size = int(np.prod(shape, dtype=np.int64))
    if min(shape, default=0) < 0:
        raise ValueError(f"a tensor's shape has no negative size; got {shape}")
    if proto.dtype == types_pb2.DT_STRING:
        return _filled(np.array(list(proto.string_val), object), size).reshape(shape)
    for name, (number, field) in _TYPES.items():
        if proto.dtype == number:
            if proto.tensor_content:
                if len(proto.tensor_content) != size * np.dtype(name).itemsize:
                    raise ValueError(f"{len(proto.tensor_content)} bytes of tensor_content do not fill {shape} of {name}")
                return np.frombuffer(proto.tensor_content, name).reshape(shape)
            return _filled(np.array(getattr(proto, field), name), size).reshape(shape)
    raise ValueError(f"tensors of type {proto.dtype} are not known here; there are: {', '.join(_TYPES)}, bytes")


def _filled(values: np.ndarray, size: int) -> np.ndarray:
    """A single typed value stands for a whole tensor, as TensorFlow reads it."""
    if len(values) == 1 and size > 1:
        return np.repeat(values, size)
    if len(values) != size:
        raise ValueError(f"{len(values)} values do not fill a tensor of {size}")
    return values
