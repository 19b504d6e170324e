"""A client of any TensorFlow Serving endpoint that serves a release; gRPC, NumPy and messages alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc

from serving.protos import predict_pb2, prediction_service_pb2_grpc
from serving.tensors import from_proto, to_proto


class ClientError(RuntimeError):
    """The server gave no answer; the message is one line, for people."""


@dataclass(frozen=True)
class Neighbour:
    """One item found: its id, its score, its classes of the attribute joined by | ('' = unlabelled), its location."""

    id: str
    score: float
    classes: str
    image: str


class Client:
    """Asks `address`, as host:port. `timeout` in seconds a request."""

    def __init__(self, address: str, model_name: str = "m3net", timeout: float = 10.0) -> None:
        self.address, self.model_name, self.timeout = address, model_name, timeout
        self._channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", 64 << 20)])
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._channel.close()

    def ready(self) -> bool:
        """Whether a release is loaded and warm."""
        stub = health_pb2_grpc.HealthStub(self._channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(service=self.model_name), timeout=self.timeout)
        except grpc.RpcError:
            return False
        return answer.status == health_pb2.HealthCheckResponse.SERVING

    def predict(self, signature: str, inputs: dict[str, np.ndarray], wanted: Sequence[str] = ()) -> dict[str, np.ndarray]:
        """One Predict call: arrays a name in, arrays a name out. Raises: ClientError."""
        request = predict_pb2.PredictRequest(output_filter=list(wanted))
        request.model_spec.name = self.model_name
        request.model_spec.signature_name = signature
        for name, array in inputs.items():
            request.inputs[name].CopyFrom(to_proto(array))
        try:
            answer = self._stub.Predict(request, timeout=self.timeout)
        except grpc.RpcError as error:
            raise ClientError(_words(self.address, error)) from None
        return {name: from_proto(proto) for name, proto in answer.outputs.items()}

    def embed(self, images: Sequence[bytes], attributes: Sequence[str]) -> np.ndarray:
        """Retrieval vectors, float32 (B, L), of B photos (JPEG or PNG) under an attribute each."""
        return self.predict("embed", {"image": _strings(images), "attribute": _strings(a.encode() for a in attributes)})[
            "vector"
        ]

    def search(self, image: bytes, attribute: str, k: int = 10) -> list[Neighbour]:
        """The k items most like the photo `image` in `attribute`, best first."""
        inputs = {"image": _strings([image]), "attribute": _strings([attribute.encode()]), "k": np.array(k, np.int32)}
        found = self.predict("search", inputs, ["id", "score", "class", "image"])
        rows = zip(*(found[name][0].tolist() for name in ("id", "score", "class", "image")), strict=True)
        return [Neighbour(i.decode(), score, classes.decode(), place.decode()) for i, score, classes, place in rows]


def _strings(values: Any) -> np.ndarray:
    return np.array(list(values), object)


def _words(address: str, error: Any) -> str:
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return f"no server answers at {address}; start one with m3net serve RELEASES"
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"{address} did not answer in time"
    return f"{address} answered {error.code().name}: {error.details()}"
