"""A client of any TensorFlow Serving endpoint that serves a release; gRPC, NumPy and messages alone.

`serving.aio` holds the same for asyncio, but for `wait_until_ready`.
"""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import grpc
import numpy as np
from grpc_health.v1 import health_pb2

from serving.asking import ClientError, Connected, Neighbour, Tls, names, strings

__all__ = ["Client", "ClientError", "Neighbour", "Tls"]

_PAUSE = 0.5  # seconds between looks at a server that is not ready


class Client(Connected):
    """Asks `address`, as host:port; every method raises ClientError. A context manager, which closes it.

    Raises: ValueError, see `serving.asking.Asked`.

    Args:
        timeout: seconds a request, its repetitions included: what may be asked again is, with growing pauses.
        version, label: which of the model's versions; the newest where neither is given.
        tls: for a server with an SSLConfig. token: the bearer token it asks for.
    """

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

    def wait_until_ready(self, seconds: float) -> bool:
        """`ready`, looked at until it is true or `seconds` have passed: a server may still be loading."""
        end = time.monotonic() + seconds
        while not (found := self.ready()) and time.monotonic() < end:
            time.sleep(_PAUSE)
        return found

    def versions(self) -> dict[int, str]:
        """Of each version the server knows its state; AVAILABLE is one that answers."""
        return self._asked.states(self._call(self._status, self._asked.status()))

    def predict(
        self, signature: str, inputs: dict[str, np.ndarray], output_filter: Sequence[str] = ()
    ) -> dict[str, np.ndarray]:
        """One Predict call: arrays a name in, arrays a name out, strings as bytes."""
        return self._asked.outputs(self._call(self._predict, self._asked.predict(signature, inputs, output_filter)))

    def embed(self, images: Sequence[bytes], attributes: Sequence[str]) -> np.ndarray:
        """Retrieval vectors, float32 (B, L), of B photos (JPEG or PNG) under an attribute each."""
        return self.predict("embed", {"image": strings(images), "attribute": names(attributes)})["vector"]

    def classify(self, image: bytes) -> dict[str, np.ndarray]:
        """For every attribute, a score for each of its classes, float32 (classes,)."""
        return {name: rows[0] for name, rows in self.predict("classify", {"image": strings([image])}).items()}

    def explain(self, image: bytes, attribute: str) -> np.ndarray:
        """Where in the photo the attribute was looked at, float32 (H, W), of sum 1."""
        inputs = {"image": strings([image]), "attribute": names([attribute])}
        return np.asarray(self.predict("explain", inputs)["attention"][0])

    def search(self, image: bytes, attribute: str, k: int = 10) -> list[Neighbour]:
        """The k items most like the photo `image` in `attribute`, best first."""
        return self.search_many([image], [attribute], k)[0]

    def search_by_id(self, item: str, attribute: str, k: int = 10) -> list[Neighbour]:
        """The k items most like the item `item`, without itself."""
        return self._asked.neighbours(self._call(self._predict, self._asked.search_by("id", item, attribute, k)))[0]

    def search_by_class(self, name: str, attribute: str, k: int = 10) -> list[Neighbour]:
        """The k items most like the mean of those labelled `name`."""
        return self._asked.neighbours(self._call(self._predict, self._asked.search_by("class", name, attribute, k)))[0]

    def search_many(self, images: Sequence[bytes], attributes: Sequence[str], k: int = 10) -> list[list[Neighbour]]:
        """As `search`, of many photos, an attribute each, in one request."""
        return self._asked.neighbours(self._call(self._predict, self._asked.search(images, attributes, k)))

    def _call(self, method: Any, request: Any) -> Any:
        try:
            return method(request, timeout=self.timeout, metadata=self._asked.metadata)
        except grpc.RpcError as error:
            raise self._asked.failed(error) from None
