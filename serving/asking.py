"""What the client and its async variant share: requests written, answers read, failures in words."""

import json
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import grpc
import numpy as np
from grpc_health.v1 import health_pb2_grpc

from serving.protos import (
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from serving.tensors import from_proto, to_proto

_MOST_K = 2**31 - 1  # int32, as it is sent
_MOST_BYTES = 64 << 20  # of a message; gRPC's own limits, 4 MB of an answer and 256 KB kept to ask again, are a few photos
# gRPC itself asks again, within the deadline and with jitter: nothing is changed by asking, so it is safe. A flood ends
# for itself, too: once too many fail, the throttle lets no more be asked again.
_RETRIES = {
    "methodConfig": [
        {
            "name": [{"service": "tensorflow.serving.PredictionService"}, {"service": "tensorflow.serving.ModelService"}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
            },
        }
    ],
    "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
}
OPTIONS = [
    ("grpc.max_receive_message_length", _MOST_BYTES),
    ("grpc.per_rpc_retry_buffer_size", _MOST_BYTES),
    ("grpc.enable_retries", 1),
    ("grpc.service_config", json.dumps(_RETRIES)),
]


class ClientError(RuntimeError):
    """The server gave no answer; the message is one line, for people. `code` is gRPC's, None where there is none."""

    def __init__(self, message: str, code: grpc.StatusCode | None = None) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Neighbour:
    """One item found: its id, its classes of the attribute joined by | ('' = unlabelled), its score, its location."""

    id: str
    classes: str
    score: float
    image: str


@dataclass(frozen=True)
class Tls:
    """PEM texts: the authority that signed the server's certificate (none = the system's), and, where the server asks
    for it, the client's own key and certificate."""

    ca: bytes | None = None
    key: bytes | None = None
    certificate: bytes | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """For a channel."""
        return grpc.ssl_channel_credentials(self.ca, self.key, self.certificate)


@dataclass(frozen=True)
class Asked:
    """Whom to ask: `version` or `label` of the model, or neither for the newest.

    Raises: ValueError for both, for a token that no header can hold, and for a name, version or label that no message can.
    """

    address: str
    model_name: str = "m3net"
    timeout: float = 10.0
    version: int | None = None
    label: str = ""
    token: str = ""

    def __post_init__(self) -> None:
        if self.version is not None and self.label:
            raise ValueError(f"either a version or a label is asked for; got {self.version} and {self.label}")
        if not (self.token.isascii() and self.token.isprintable()):
            raise ValueError("a token is one line of printable ASCII characters")
        self.spec()

    @property
    def metadata(self) -> list[tuple[str, str]]:
        """What goes with every call."""
        return [("authorization", f"Bearer {self.token}")] if self.token else []

    def spec(self, signature: str = "") -> Any:
        """The ModelSpec."""
        spec = model_pb2.ModelSpec(name=self.model_name, signature_name=signature)
        if self.version is not None:
            spec.version.value = self.version
        elif self.label:
            spec.version_label = self.label
        return spec

    def predict(self, signature: str, inputs: dict[str, np.ndarray], output_filter: Sequence[str] = ()) -> Any:
        """A PredictRequest. Raises: ClientError, as all that make one do."""
        try:
            request = predict_pb2.PredictRequest(model_spec=self.spec(signature), output_filter=output_filter)
            for name, array in inputs.items():
                request.inputs[name].CopyFrom(to_proto(array))
        except (ValueError, TypeError) as error:
            raise ClientError(f"this cannot be asked: {error}") from None
        return request

    def search(self, images: Sequence[bytes], attributes: Sequence[str], k: int) -> Any:
        """A PredictRequest of `search`, with all that a Neighbour holds."""
        return self._search("search", "image", images, attributes, k)

    def search_by(self, what: str, one: str, attribute: str, k: int) -> Any:
        """A PredictRequest of `search_by_id` or `search_by_class`; `what` is id or class."""
        return self._search(f"search_by_{what}", what, names([one]), [attribute], k)

    def _search(self, signature: str, name: str, asked: Iterable[bytes], attributes: Sequence[str], k: int) -> Any:
        inputs = {name: strings(asked), "attribute": names(attributes), "k": _depth(k)}
        return self.predict(signature, inputs, ["id", "class", "score", "image"])

    def status(self) -> Any:
        """A GetModelStatusRequest."""
        return get_model_status_pb2.GetModelStatusRequest(model_spec=self.spec())

    def outputs(self, answer: Any) -> dict[str, np.ndarray]:
        """The arrays of a PredictResponse. Raises: ClientError."""
        try:
            return {name: from_proto(proto) for name, proto in answer.outputs.items()}
        except ValueError as error:
            raise ClientError(f"{self.address} sent an answer that cannot be read: {error}") from None

    def neighbours(self, answer: Any) -> list[list[Neighbour]]:
        """A list a photo. Raises: ClientError."""
        found = self.outputs(answer)
        if missing := {"id", "class", "score", "image"} - set(found):
            raise ClientError(f"{self.address} sent an answer without {sorted(missing)[0]}")
        columns = (found[name].tolist() for name in ("id", "class", "score", "image"))
        return [[_neighbour(*one) for one in zip(*row, strict=True)] for row in zip(*columns, strict=True)]

    def states(self, answer: Any) -> dict[int, str]:
        """Of each version its state, AVAILABLE for one that answers."""
        return {one.version: one.State.Name(one.state) for one in answer.model_version_status}

    def failed(self, error: Any) -> ClientError:
        """An RpcError in words."""
        code = error.code()
        if code is grpc.StatusCode.UNAVAILABLE and "CERTIFICATE_VERIFY_FAILED" in (error.details() or ""):
            advice = "give the PEM of who signed its certificate (Tls.ca, --ca)"
            return ClientError(f"no server answers at {self.address} that is trusted here; {advice}", code)
        if code is grpc.StatusCode.UNAVAILABLE:
            return ClientError(f"no server answers at {self.address}; start one with m3net serve RELEASES", code)
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            advice = "ask again, or with a longer timeout"
            return ClientError(f"{self.address} did not answer within {self.timeout:g} seconds; {advice}", code)
        return ClientError(f"{self.address} answered {code.name}: {error.details()}", code)


class Connected:
    """The connection of a client, and whom it asks; `_grpc` is grpc, or its side for asyncio. See `serving.client.Client`."""

    _grpc: ClassVar[Any] = grpc

    def __init__(
        self,
        address: str,
        model_name: str = "m3net",
        timeout: float = 10.0,
        *,
        version: int | None = None,
        label: str = "",
        tls: Tls | None = None,
        token: str = "",
    ) -> None:
        self.address, self.model_name, self.timeout = address, model_name, timeout
        self._asked = Asked(address, model_name, timeout, version, label, token)
        self._channel = (
            self._grpc.secure_channel(address, tls.credentials(), OPTIONS)
            if tls
            else self._grpc.insecure_channel(address, OPTIONS)
        )
        self._predict = prediction_service_pb2_grpc.PredictionServiceStub(self._channel).Predict
        self._status = model_service_pb2_grpc.ModelServiceStub(self._channel).GetModelStatus
        self._health = health_pb2_grpc.HealthStub(self._channel).Check


def _neighbour(item: bytes, classes: bytes, score: float, image: bytes) -> Neighbour:
    return Neighbour(item.decode(), classes.decode(), score, image.decode())


def _depth(k: int) -> np.ndarray:
    try:
        whole = operator.index(k)
    except TypeError:
        raise ClientError(f"k is a whole number; got {k!r}") from None
    if not 1 <= whole <= _MOST_K:
        raise ClientError(f"k lies between 1 and {_MOST_K:,}")
    return np.array(whole, np.int32)


def names(texts: Iterable[str]) -> np.ndarray:
    """Texts as bytes. Raises: ClientError."""
    try:
        return strings(text.encode() for text in texts)
    except UnicodeEncodeError as error:
        raise ClientError(f"{error.object!r} is no text that can be sent: {error.reason}") from None


def strings(values: Iterable[bytes]) -> np.ndarray:
    """An array of objects: one of dtype S would lose zero bytes at the end."""
    return np.array(list(values), object)
