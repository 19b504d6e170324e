"""The embedded server: loads releases, answers TF Serving's protocols, moves to newer releases as they come.

A release is verified, loaded and warmed before the first request sees it; one that fails leaves the former in place.
"""

import argparse
import os
import signal
import ssl
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from serving import settings
from serving.batcher import Batching
from serving.call import RequestError
from serving.calls import Calls
from serving.flags import add_flags
from serving.grpc_api import ModelService, Pool, PredictionService, TokenCheck
from serving.http_server import Limits
from serving.manager import Manager
from serving.metrics import Metrics
from serving.policy import ModelConfig, configs_of
from serving.protos import model_service_pb2_grpc, prediction_service_pb2_grpc
from serving.release import versions
from serving.remote import RemoteModel
from serving.request_log import RequestLogs
from serving.rest_api import RestServer
from serving.servable import Model, Servable
from serving.tls import grpc_credentials, rest_context

_POLL_SECONDS = 1.0
_GRACE_SECONDS = 10.0
_LAST_SECONDS = 0.5
_SPARE_THREADS = 16  # beside those that wait for the model: for health, status, and refusing in time
_MOST_THREADS = 256
_MOST_BYTES = Limits().most_bytes  # of a request: a batch of photos is soon more than gRPC's own limit of 4 MB


@dataclass(frozen=True)
class Settings:
    """What a server is started with. `rest_port` None = no REST; a port of 0 takes a free one.

    `embedder`: host:port of a TF Serving over the same folders that computes instead; "" = this process does.
    """

    models: Mapping[str, ModelConfig]
    port: int = 0
    rest_port: int | None = None
    host: str = "127.0.0.1"
    batching: Batching = field(default_factory=Batching)
    tls: settings.Tls | None = None
    token: str = ""
    metrics_path: str = settings.METRICS_PATH
    rest_seconds: float = 30.0
    embedder: str = ""


class Server:
    """gRPC and, if asked for, REST; `address` and `rest.address` say where. It listens at once and loads in `run`.

    Raises: RuntimeError or OSError where a port cannot be had; SettingsError for TLS texts that are none.
    """

    def __init__(self, given: Settings) -> None:
        self._given = given
        # First, for gRPC says of a bad certificate no more than that it cannot listen.
        context = rest_context(given.tls) if given.tls else None
        self.manager = Manager(given.models, self._load, self._say)
        gauges: dict[str, Callable[[], Mapping[str, float]]] = {
            ":m3net:waiting_rows": self.manager.waiting,
            ":m3net:model_ready": self.manager.ready,
        }
        self.metrics = Metrics(self.manager.ready, gauges)
        self._logs = RequestLogs()
        calls = Calls(self.manager, lambda name, *pair: self._logs.add(self.manager.logging(name), *pair))
        self._stopping, self._ended = threading.Event(), threading.Event()
        self._health = health.HealthServicer()
        self._tell_health()
        self._pool = Pool(_threads(given.batching))
        self._grpc = _grpc_server(given, self._pool)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(calls, self.metrics), self._grpc)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(calls, self.metrics), self._grpc)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._grpc)
        host = f"[{given.host}]" if ":" in given.host else given.host
        wanted = f"{host}:{given.port}"
        port = (
            self._grpc.add_secure_port(wanted, grpc_credentials(given.tls))
            if given.tls
            else self._grpc.add_insecure_port(wanted)
        )
        self.address = f"{host}:{port}"
        self.rest = self._rest(calls, context) if given.rest_port is not None else None
        self._grpc.start()

    def _rest(self, calls: Calls, context: ssl.SSLContext | None) -> RestServer:
        given = self._given
        where = (given.host, given.rest_port or 0)
        rest = RestServer(
            where,
            calls,
            self.metrics,
            given.metrics_path,
            given.token,
            context,
            Limits(seconds=given.rest_seconds),
        )
        rest.start()
        return rest

    def run(self, config_file: Path | None = None, config_seconds: float = 0.0) -> None:
        """Serves until `stop`; then answers what is under way. `config_file` is read anew every `config_seconds`."""
        read_at, text = time.monotonic(), config_file.read_bytes() if config_file else b""
        while not self._stopping.is_set():
            self.manager.refresh()
            self._tell_health()
            self._stopping.wait(_POLL_SECONDS)
            if config_file and config_seconds and time.monotonic() >= read_at + config_seconds:
                read_at, text = time.monotonic(), self._reread(config_file, text)
        self._ended.wait()
        self.manager.close()
        self._logs.close()

    def stop(self) -> None:
        """Ends `run`; may be called from a signal handler."""
        if not self._stopping.is_set():
            self._stopping.set()
            # At once and on a thread of its own, for `run` may be loading a large release just then.
            threading.Thread(target=self._end).start()

    def _end(self) -> None:
        """Refuses what is new, and returns once what is under way is answered."""
        self._tell_health()
        self._grpc.stop(_GRACE_SECONDS)
        self._pool.wait_idle(_GRACE_SECONDS)
        if self.rest:
            self.rest.stop(_GRACE_SECONDS)
        # A second, shorter grace for the last answers to leave: by itself gRPC waits for connections that only linger.
        self._grpc.stop(_LAST_SECONDS).wait()
        self._ended.set()

    def _reread(self, config_file: Path, before: bytes) -> bytes:
        try:
            if (text := config_file.read_bytes()) != before:
                self.manager.reload(settings.read_models(config_file))
                print(f"{config_file} read again", flush=True)
            return text
        except (OSError, settings.SettingsError, RequestError) as error:
            print(f"{config_file} not taken over: {error}", file=sys.stderr, flush=True)
            return before

    def _load(self, name: str, folder: Path) -> Servable:
        given, observe = self._given, partial(self.metrics.batch, name)
        if not given.embedder:
            return Servable(folder, given.batching, observe)

        def remote(_: Path, definitions: dict[str, Any], version: int) -> Model:
            return RemoteModel(given.embedder, name, version, definitions)

        return Servable(folder, given.batching, observe, remote)

    def _say(self, name: str, version: int) -> None:
        self._tell_health()
        print(f"serving {name} version {version} on {self.address}", flush=True)

    def _tell_health(self) -> None:
        """Ready is what answers; nothing is from the first moment of the end."""
        ready = {name: one and not self._stopping.is_set() for name, one in self.manager.ready().items()}
        ready[""] = bool(ready) and all(ready.values())
        state = health_pb2.HealthCheckResponse
        for service, one in ready.items():
            self._health.set(service, state.SERVING if one else state.NOT_SERVING)


def _threads(batching: Batching) -> int:
    waiting = batching.most_waiting + batching.max_batch_size * batching.num_batch_threads
    return min(_MOST_THREADS, waiting + _SPARE_THREADS)


def _grpc_server(given: Settings, pool: Pool) -> Any:
    # so_reuseport off: two servers on one port would each get half the requests and nobody an error.
    options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", _MOST_BYTES)]
    # A message is read once a thread takes its request, so that threads bound the memory; of requests without a thread
    # as many again may stand in line, further ones are refused by gRPC itself.
    most, interceptors = 2 * _threads(given.batching), [TokenCheck(given.token)] if given.token else []
    return grpc.server(pool, options=options, interceptors=interceptors, maximum_concurrent_rpcs=most)


def serve(arguments: argparse.Namespace) -> int:
    """Serves until SIGTERM or SIGINT, as the flags say. Returns: the exit code, 2 for a mistake, one line on stderr."""
    try:
        given = _settings(arguments)
        server = Server(given)
    except (settings.SettingsError, RequestError, FileNotFoundError, PermissionError, IsADirectoryError) as error:
        print(f"m3net serve: {error}", file=sys.stderr)
        return 2
    except (RuntimeError, OSError):
        ports = f"{arguments.host}:{arguments.port}"
        others = f" or {arguments.rest_api_port}" if arguments.rest_api_port else ""
        flags = " or --rest-api-port" if arguments.rest_api_port else ""
        print(f"m3net serve: {ports}{others} cannot be listened on; choose another --port{flags}", file=sys.stderr)
        return 2
    for config in given.models.values():
        _hint(config.base_path)
    if server.rest:
        scheme = "https" if given.tls else "http"
        print(f"page: {scheme}://{server.rest.address}/ REST: {scheme}://{server.rest.address}/v1/models", flush=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    server.run(arguments.model_config_file, arguments.model_config_file_poll_wait_seconds)
    return 0


def _settings(arguments: argparse.Namespace) -> Settings:
    if arguments.model_config_file:
        models = configs_of(settings.read_models(arguments.model_config_file))
    elif arguments.releases is None:
        raise settings.SettingsError("give the folder that holds the releases, or --model-config-file")
    elif not arguments.releases.is_dir():
        raise settings.SettingsError(f"{arguments.releases} is no folder; give the folder that holds the releases")
    else:
        models = {arguments.model_name: ModelConfig(arguments.releases)}
    token = arguments.token_file.read_text(encoding="utf-8").strip() if arguments.token_file else ""
    if arguments.token_file and not token:
        raise settings.SettingsError(f"{arguments.token_file}: holds no token")
    read = settings
    batching, tls, page = arguments.batching_parameters_file, arguments.ssl_config_file, arguments.monitoring_config_file
    return Settings(
        models,
        arguments.port,
        arguments.rest_api_port or None,
        arguments.host,
        read.read_batching(batching) if batching else Batching(),
        read.read_tls(tls) if tls else None,
        token,
        read.read_metrics_path(page) if page else settings.METRICS_PATH,
        arguments.rest_api_timeout_in_ms / 1000,
        arguments.embedder,
    )


def _hint(releases: Path) -> None:
    if releases.is_dir() and not versions(releases):
        inside = releases / "releases"
        hint = f" (did you mean {inside}?)" if inside.is_dir() else ""
        print(f"{releases} holds no release yet{hint}; waiting for the first", file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> int:
    """`python -m serving.server`. Returns: the exit code."""
    parser = argparse.ArgumentParser(prog="m3net serve", description="Serve releases over gRPC and REST.")
    add_flags(parser, rest_api_port=0)
    return serve(parser.parse_args(argv))


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # all is answered and closed; taking TensorFlow down piece by piece would cost seconds more
