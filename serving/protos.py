"""TF Serving's messages and stubs without TensorFlow: importing them the usual way costs seconds and 700 MB.

The generated modules need only their packages' folders, so bare packages stand in for `tensorflow` while they are
imported; a later real import finds nothing in its way. Where TensorFlow is loaded already, it is used as it is.
"""

import importlib
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


def _stand_in() -> tuple[str, ...]:
    """Puts the bare packages where the import system looks first. Returns: the names put there."""
    if "tensorflow" in sys.modules:
        return ()
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.origin:
        raise ImportError("tensorflow is not installed; its message files are needed, install requirements.lock")
    root = Path(spec.origin).parent.parent
    for name in _PACKAGES:
        package = types.ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")))]
        sys.modules[name] = package
    return _PACKAGES


def _load(*names: str) -> list[types.ModuleType]:
    stand_ins = _stand_in()
    try:
        return [importlib.import_module(name) for name in names]
    finally:
        for name in stand_ins:
            del sys.modules[name]


# By name, not by import statements: those would have to run between two statements, and a checker of imports would
# read them as the TensorFlow that the client is to live without.
tensor_pb2, tensor_shape_pb2, types_pb2, meta_graph_pb2, saved_model_pb2 = _load(
    "tensorflow.core.framework.tensor_pb2",
    "tensorflow.core.framework.tensor_shape_pb2",
    "tensorflow.core.framework.types_pb2",
    "tensorflow.core.protobuf.meta_graph_pb2",
    "tensorflow.core.protobuf.saved_model_pb2",
)
model_pb2, predict_pb2, get_model_metadata_pb2, get_model_status_pb2, model_management_pb2, prediction_log_pb2 = _load(
    "tensorflow_serving.apis.model_pb2",
    "tensorflow_serving.apis.predict_pb2",
    "tensorflow_serving.apis.get_model_metadata_pb2",
    "tensorflow_serving.apis.get_model_status_pb2",
    "tensorflow_serving.apis.model_management_pb2",
    "tensorflow_serving.apis.prediction_log_pb2",
)
model_service_pb2_grpc, prediction_service_pb2_grpc, model_server_config_pb2 = _load(
    "tensorflow_serving.apis.model_service_pb2_grpc",
    "tensorflow_serving.apis.prediction_service_pb2_grpc",
    "tensorflow_serving.config.model_server_config_pb2",
)
