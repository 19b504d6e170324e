"""A client of any TensorFlow Serving endpoint that serves a release; gRPC, NumPy and messages alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc

from serving.protos import predict_pb2, prediction_service_pb2_grpc
from serving.tensors import from_proto, to_proto

_MOST_BYTES = 64 << 20  # of an answer; gRPC's own limit of 4 MB is less than a batch of attention maps


class ClientError(RuntimeError):
    """The server gave no answer; the message is one line, for people."""


@dataclass(frozen=True)
class Neighbour:
    """One item found: its id, its classes of the attribute joined by | ('' = unlabelled), its score, its location."""

    id: str
    classes: str
    score: float
    image: str


class Client:
    """Asks `address`, as host:port. `timeout` in seconds a request. Usable as a context manager, which closes it."""

    def __init__(self, address: str, model_name: str = "m3net", timeout: float = 10.0) -> None:
        self.address, self.model_name, self.timeout = address, model_name, timeout
        self._channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", _MOST_BYTES)])
        self._predict = prediction_service_pb2_grpc.PredictionServiceStub(self._channel).Predict
        self._health = health_pb2_grpc.HealthStub(self._channel).Check

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()

    def ready(self) -> bool:
        """Whether a release is loaded and warm; false also where no server answers."""
        try:
            answer = self._health(health_pb2.HealthCheckRequest(service=self.model_name), timeout=self.timeout)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def predict(
        self, signature: str, inputs: dict[str, np.ndarray], output_filter: Sequence[str] = ()
    ) -> dict[str, np.ndarray]:
        """One Predict call: arrays a name in, arrays a name out, strings as bytes. Raises: ClientError."""
        request = predict_pb2.PredictRequest(output_filter=output_filter)
        request.model_spec.name, request.model_spec.signature_name = self.model_name, signature
        for name, array in inputs.items():
            request.inputs[name].CopyFrom(to_proto(array))
        try:
            answer = self._predict(request, timeout=self.timeout)
            return {name: from_proto(proto) for name, proto in answer.outputs.items()}
        except grpc.RpcError as error:
            raise ClientError(self._words(error)) from None
        except ValueError as error:
            raise ClientError(f"{self.address} sent an answer that cannot be read: {error}") from None

    def embed(self, images: Sequence[bytes], attributes: Sequence[str]) -> np.ndarray:
        """Retrieval vectors, float32 (B, L), of B photos (JPEG or PNG) under an attribute each. Raises: ClientError."""
        return self.predict("embed", {"image": _strings(images), "attribute": _names(attributes)})["vector"]

    def classify(self, image: bytes) -> dict[str, np.ndarray]:
        """For every attribute, a score for each of its classes, float32 (classes,). Raises: ClientError."""
        return {name: rows[0] for name, rows in self.predict("classify", {"image": _strings([image])}).items()}

    def search(self, image: bytes, attribute: str, k: int = 10) -> list[Neighbour]:
        """The k items most like the photo `image` in `attribute`, best first. Raises: ClientError."""
        inputs = {"image": _strings([image]), "attribute": _names([attribute]), "k": np.array(k, np.int32)}
        found = self.predict("search", inputs, ["id", "class", "score", "image"])
        rows = zip(*(found[name][0].tolist() for name in ("id", "class", "score", "image")), strict=True)
        return [Neighbour(i.decode(), classes.decode(), score, place.decode()) for i, classes, score, place in rows]

    def _words(self, error: Any) -> str:
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return f"no server answers at {self.address}; start one with m3net serve RELEASES"
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"{self.address} did not answer within {self.timeout:g} seconds; ask again, or with a longer timeout"
        return f"{self.address} answered {error.code().name}: {error.details()}"


def _names(texts: Sequence[str]) -> np.ndarray:
    return _strings(text.encode() for text in texts)


def _strings(values: Iterable[bytes]) -> np.ndarray:
    return np.array(list(values), object)
