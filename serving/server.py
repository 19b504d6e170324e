"""The embedded server: loads releases, answers TF Serving's protocols, moves to newer releases as they come.

A release is verified, loaded and warmed before the first request sees it; one that fails leaves the former in place.
"""

import ssl
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from serving import logs, settings
from serving.batcher import Batching
from serving.call import RequestError
from serving.calls import Calls
from serving.grpc_api import ModelService, PredictionService
from serving.grpc_server import GrpcServer
from serving.http_server import Limits
from serving.manager import Manager
from serving.metrics import Metrics
from serving.policy import ModelConfig
from serving.remote import RemoteModel
from serving.request_log import RequestLogs
from serving.rest_api import RestServer
from serving.servable import Model, Servable
from serving.tls import rest_context

_POLL_SECONDS = 1.0
_GRACE_SECONDS = 10.0
_SPARE_THREADS = 16  # beside those that wait for the model: for health, status, and refusing in time
_MOST_THREADS = 256


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
        self._runs: dict[tuple[str, int], str] = {}  # which pipeline run each loaded version came from
        calls = Calls(self.manager, lambda name, *pair: self._logs.add(self.manager.logging(name), *pair))
        self._stopping, self._ended = threading.Event(), threading.Event()
        services = PredictionService(calls, self.metrics), ModelService(calls, self.metrics)
        threads = _threads(given.batching)
        self._grpc = GrpcServer((given.host, given.port), services, threads, Limits(), given.tls, given.token)
        self._tell_health()
        self.address = self._grpc.address
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
        if self.rest:
            self.rest.stop(_GRACE_SECONDS)
        self._grpc.close()
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
            return self._noted(name, Servable(folder, given.batching, observe))

        def remote(_: Path, definitions: dict[str, Any], version: int) -> Model:
            return RemoteModel(given.embedder, name, version, definitions)

        return self._noted(name, Servable(folder, given.batching, observe, remote))

    def _noted(self, name: str, servable: Servable) -> Servable:
        self._runs[name, servable.manifest.version] = servable.manifest.run
        return servable

    def _say(self, name: str, version: int) -> None:
        self._tell_health()
        run = self._runs.get((name, version), "")
        text = f"serving {name} version {version}{f' (run {run})' if run else ''} on {self.address}"
        logs.say(text, model=name, version=version, run=run, address=self.address)

    def _tell_health(self) -> None:
        """Ready is what answers; nothing is from the first moment of the end."""
        ready = {name: one and not self._stopping.is_set() for name, one in self.manager.ready().items()}
        ready[""] = bool(ready) and all(ready.values())
        self._grpc.tell(ready)


def _threads(batching: Batching) -> int:
    waiting = batching.most_waiting + batching.max_batch_size * batching.num_batch_threads
    return min(_MOST_THREADS, waiting + _SPARE_THREADS)
