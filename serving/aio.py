"""The client for asyncio: what `serving.client` does, awaited."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any

import grpc
import numpy as np
from grpc_health.v1 import health_pb2

from serving.asking import Connected, Neighbour, names, strings


class AsyncClient(Connected):
    """See `serving.client.Client`: the same arguments, methods and errors. To be made within a running event loop."""

    _grpc = grpc.aio

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection."""
        await self._channel.close()

    async def ready(self) -> bool:
        """See `Client.ready`."""
        request = health_pb2.HealthCheckRequest(service=self.model_name)
        try:
            answer = await self._health(request, timeout=self.timeout)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def versions(self) -> dict[int, str]:
        """See `Client.versions`."""
        return self._asked.states(await self._call(self._status, self._asked.status()))

    async def predict(
        self, signature: str, inputs: dict[str, np.ndarray], output_filter: Sequence[str] = ()
    ) -> dict[str, np.ndarray]:
        """See `Client.predict`."""
        return self._asked.outputs(await self._call(self._predict, self._asked.predict(signature, inputs, output_filter)))

    async def embed(self, images: Sequence[bytes], attributes: Sequence[str]) -> np.ndarray:
        """See `Client.embed`."""
        return (await self.predict("embed", {"image": strings(images), "attribute": names(attributes)}))["vector"]

    async def classify(self, image: bytes) -> dict[str, np.ndarray]:
        """See `Client.classify`."""
        return {name: rows[0] for name, rows in (await self.predict("classify", {"image": strings([image])})).items()}

    async def explain(self, image: bytes, attribute: str) -> np.ndarray:
        """See `Client.explain`."""
        inputs = {"image": strings([image]), "attribute": names([attribute])}
        return np.asarray((await self.predict("explain", inputs))["attention"][0])

    async def search(self, image: bytes, attribute: str, k: int = 10) -> list[Neighbour]:
        """See `Client.search`."""
        return (await self.search_many([image], [attribute], k))[0]

    async def search_by_id(self, item: str, attribute: str, k: int = 10) -> list[Neighbour]:
        """See `Client.search_by_id`."""
        request = self._asked.search_by("id", item, attribute, k)
        return self._asked.neighbours(await self._call(self._predict, request))[0]

    async def search_by_class(self, name: str, attribute: str, k: int = 10) -> list[Neighbour]:
        """See `Client.search_by_class`."""
        request = self._asked.search_by("class", name, attribute, k)
        return self._asked.neighbours(await self._call(self._predict, request))[0]

    async def search_many(self, images: Sequence[bytes], attributes: Sequence[str], k: int = 10) -> list[list[Neighbour]]:
        """See `Client.search_many`."""
        return self._asked.neighbours(await self._call(self._predict, self._asked.search(images, attributes, k)))

    async def _call(self, method: Any, request: Any) -> Any:
        try:
            return await method(request, timeout=self.timeout, metadata=self._asked.metadata)
        except grpc.RpcError as error:
            raise self._asked.failed(error) from None
