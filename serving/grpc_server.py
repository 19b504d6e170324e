"""gRPC's own side of the server: threads and messages bounded, TLS, a token asked for, health, reflection, an end that waits."""

import hmac
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from serving.call import Code
from serving.grpc_api import ModelService, PredictionService
from serving.grpc_bytes import BytesCheck
from serving.http_server import Limits
from serving.protos import model_service_pb2_grpc, prediction_service_pb2_grpc
from serving.reflection import add_reflection
from serving.settings import Tls
from serving.tls import grpc_credentials

_LAST_SECONDS = 0.5


class GrpcServer:
    """The two services, health and reflection. Listens from the start and answers once `start` is called.

    Args:
        threads: requests that are answered side by side. limits: bytes of a message, and of all together.
    Raises: RuntimeError where the port cannot be had.
    """

    def __init__(
        self,
        where: tuple[str, int],
        services: tuple[PredictionService, ModelService],
        threads: int,
        limits: Limits,
        tls: Tls | None = None,
        token: str = "",
    ) -> None:
        self._pool, self._health = Pool(threads), health.HealthServicer()
        # so_reuseport off: two servers on one port would each get half the requests and nobody an error.
        options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", limits.most_bytes)]
        refused = partial(services[0].metrics.request, "", "", "GRPC", Code.RESOURCE_EXHAUSTED.name, 0.0)
        checks = [BytesCheck(limits.most_bytes_together, refused), *([TokenCheck(token)] if token else [])]
        # A message is read once a thread takes its request, so that threads bound what is on its way; of requests without a thread
        # as many again may stand in line, further ones are refused by gRPC itself.
        self._server = grpc.server(self._pool, options=options, interceptors=checks, maximum_concurrent_rpcs=2 * threads)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(services[0], self._server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(services[1], self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        add_reflection(self._server)
        host = f"[{where[0]}]" if ":" in where[0] else where[0]
        wanted = f"{host}:{where[1]}"
        port = self._server.add_secure_port(wanted, grpc_credentials(tls)) if tls else self._server.add_insecure_port(wanted)
        self.address = f"{host}:{port}"

    def start(self) -> None:
        """Answers, on threads of its own."""
        self._server.start()

    def stop(self, seconds: float) -> None:
        """Refuses what is new; returns once what is under way is answered, or `seconds` are over."""
        self._server.stop(seconds)
        self._pool.wait_idle(seconds)

    def close(self) -> None:
        """The end, after `stop`."""
        # A second, shorter grace for the last answers to leave: by itself gRPC waits for connections that only linger.
        self._server.stop(_LAST_SECONDS).wait()

    def tell(self, ready: Mapping[str, bool]) -> None:
        """What health says of each model, and of "", all of them."""
        state = health_pb2.HealthCheckResponse
        for service, one in ready.items():
            self._health.set(service, state.SERVING if one else state.NOT_SERVING)


class Pool(ThreadPoolExecutor):
    """The threads that answer; knows when none is at work and none is asked for."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self._under_way = 0
        self._changed = threading.Condition()

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> "Future[Any]":
        """See `concurrent.futures.Executor`; gRPC hands every request over here."""
        with self._changed:
            self._under_way += 1
        future = super().submit(function, *arguments, **named)
        future.add_done_callback(self._done)
        return future

    def _done(self, _: "Future[Any]") -> None:
        with self._changed:
            self._under_way -= 1
            self._changed.notify_all()

    def wait_idle(self, seconds: float) -> None:
        """Returns once all is answered, or `seconds` are over."""
        with self._changed:
            self._changed.wait_for(lambda: not self._under_way, seconds)


class TokenCheck(grpc.ServerInterceptor):
    """Refuses calls without `authorization: Bearer <token>`; health checks, which tell nothing, go through."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

        def refuse(_: Any, context: Any) -> None:
            context.abort(Code.UNAUTHENTICATED, "a bearer token is needed, as metadata authorization")

        self._refusal = grpc.unary_unary_rpc_method_handler(refuse)

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """See `grpc.ServerInterceptor`."""
        given = dict(details.invocation_metadata).get("authorization", "")
        if details.method.startswith("/grpc.health.") or hmac.compare_digest(given.encode(), self._expected):
            return continuation(details)
        return self._refusal
