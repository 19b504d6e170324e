"""TF Serving's messages and stubs without TensorFlow: importing them the usual way costs seconds and 700 MB.

The generated modules need only the packages' folders, so bare packages stand in for `tensorflow` while they are
imported; a later real import finds nothing in its way. Where TensorFlow is loaded already, it is used as it is.
"""

import importlib.util
import sys
import types
from pathlib import Path

_PACKAGES = (
    "tensorflow",
    "tensorflow.core",
    "tensorflow.core.framework",
    "tensorflow.core.protobuf",
    "tensorflow.core.example",
)


def _stand_in() -> list[str]:
    if "tensorflow" in sys.modules:
        return []
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.origin:
        raise ImportError("tensorflow is not installed; its message files are needed")
    root = Path(spec.origin).parent.parent
    for name in _PACKAGES:
        package = types.ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")))]
        sys.modules[name] = package
    return list(_PACKAGES)


_added = _stand_in()
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2  # noqa: E402
from tensorflow_serving.apis import (  # noqa: E402
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

for _name in _added:
    del sys.modules[_name]

__all__ = [
    "get_model_status_pb2",
    "model_service_pb2_grpc",
    "predict_pb2",
    "prediction_log_pb2",
    "prediction_service_pb2_grpc",
    "tensor_pb2",
    "tensor_shape_pb2",
    "types_pb2",
]
