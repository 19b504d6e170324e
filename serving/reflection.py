"""gRPC reflection, so that grpcurl and its like need no .proto files. The real TF Serving has none.

The services are described here once more: the generated modules that describe them cannot be imported beside the
protobuf that TensorFlow runs with.
"""

import threading
from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc  # type: ignore[import-untyped, unused-ignore]

from serving import protos  # noqa: F401  (puts the messages where they are looked up)

_STREAMS = 4  # at once: each holds a thread for as long as its client likes
_PACKAGE = "tensorflow.serving"
# file, service, and of each method what its two messages begin with
_SERVICES = {
    ("prediction_service", "PredictionService"): {
        "Classify": "Classification",
        "Regress": "Regression",
        "Predict": "Predict",
        "MultiInference": "MultiInference",
        "GetModelMetadata": "GetModelMetadata",
    },
    ("model_service", "ModelService"): {"GetModelStatus": "GetModelStatus", "HandleReloadConfigRequest": "ReloadConfig"},
}


class Reflection(reflection.ReflectionServicer):
    """Tells of all services there are, to a few clients at once."""

    def __init__(self) -> None:
        ours = [f"{_PACKAGE}.{name}" for _, name in _SERVICES]
        generated = [one.full_name for file in _GENERATED for one in file.services_by_name.values()]
        super().__init__([*ours, *generated], _pool())
        self._places = threading.BoundedSemaphore(_STREAMS)

    def ServerReflectionInfo(self, request_iterator: Any, context: Any) -> Iterator[Any]:  # noqa: N802  (gRPC's name)
        """See gRPC's `ServerReflection`."""
        if not self._places.acquire(blocking=False):
            message = f"more than {_STREAMS} clients ask for reflection; ask again later"
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, message)
        try:
            yield from super().ServerReflectionInfo(request_iterator, context)
        finally:
            self._places.release()


def add_reflection(server: Any) -> None:
    """To a `grpc.Server`."""
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(Reflection(), server)


_GENERATED = (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR)


def _pool() -> Any:
    """The services and all that they are made of; a pool of its own, so that nothing else of this process is told."""
    known, pool, there = descriptor_pool.Default(), descriptor_pool.DescriptorPool(), set()

    def add(file: Any) -> None:
        if file.name not in there:
            there.add(file.name)
            for one in file.dependencies:
                add(one)
            pool.AddSerializedFile(file.serialized_pb)

    for file in _GENERATED:
        add(file)
    for (name, service), methods in _SERVICES.items():
        described = descriptor_pb2.FileDescriptorProto(package=_PACKAGE, syntax="proto3")
        described.name = f"tensorflow_serving/apis/{name}.proto"
        made = described.service.add(name=service)
        for method, kind in methods.items():
            asked, answered = (known.FindMessageTypeByName(f"{_PACKAGE}.{kind}{end}") for end in ("Request", "Response"))
            made.method.add(name=method, input_type=f".{asked.full_name}", output_type=f".{answered.full_name}")
            for file in (asked.file, answered.file):
                add(file)
                if file.name not in described.dependency:
                    described.dependency.append(file.name)
        pool.Add(described)
    return pool
