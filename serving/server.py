"""The embedded server: loads the newest release, answers TF Serving's protocol, moves to newer releases as they come.

A release is verified, loaded and warmed before the first request sees it; one that fails leaves the former in place.
"""

import argparse
import signal
import sys
import threading
from concurrent import futures
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from serving.grpc_api import ModelService, PredictionService
from serving.protos import model_service_pb2_grpc, prediction_service_pb2_grpc
from serving.release import versions
from serving.servable import Servable

_POLL_SECONDS = 1.0
_GRACE_SECONDS = 10.0
_THREADS = 8
_MOST_BYTES = 64 << 20  # of a request: a batch of photos is soon more than gRPC's own limit of 4 MB


class Server:
    """A gRPC server over the folder `releases`; `port` 0 takes a free one, `address` says which.

    It listens on loopback unless told otherwise, for it knows neither users nor encryption yet.
    Raises: RuntimeError where the port cannot be had.
    """

    def __init__(self, releases: Path, port: int, model_name: str = "m3net", host: str = "127.0.0.1") -> None:
        self.releases, self.model_name = releases, model_name
        self._servable: Servable | None = None
        self._refused: set[int] = set()
        self._stopping = threading.Event()
        self._health = health.HealthServicer()
        self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        # so_reuseport off: two servers on one port would each get half the requests and nobody an error.
        options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", _MOST_BYTES)]
        self._grpc = grpc.server(futures.ThreadPoolExecutor(_THREADS), options=options)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            PredictionService(model_name, lambda: self._servable), self._grpc
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(model_name, lambda: self._servable), self._grpc)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._grpc)
        self.address = f"{host}:{self._grpc.add_insecure_port(f'{host}:{port}')}"
        self._grpc.start()

    def run(self) -> None:
        """Serves until `stop`; then lets requests under way finish. gRPC's own threads answer all the while."""
        while not self._stopping.is_set():
            self._refresh()
            self._stopping.wait(_POLL_SECONDS)
        self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        self._grpc.stop(_GRACE_SECONDS).wait()

    def stop(self) -> None:
        """Ends `run`; may be called from a signal handler."""
        self._stopping.set()

    def _refresh(self) -> None:
        """Moves to the newest release that is newer than the one that answers, if there is one and it is whole."""
        loaded = self._servable.manifest.version if self._servable else -1
        try:
            newer = [v for v in versions(self.releases) if v > loaded and v not in self._refused]
        except OSError:
            return  # the folder is away, as a network's share can be for a while: what is loaded goes on answering
        for version in reversed(newer):
            try:
                # One reference, set once the release is warm: a request reads it once and never sees two releases.
                self._servable = Servable(self.releases / str(version))
            except Exception as error:  # whatever is wrong with it, the former release goes on answering
                self._refused.add(version)
                reason = " ".join(str(error).split()) or repr(error)
                print(f"version {version} refused: {reason}", file=sys.stderr, flush=True)
                continue
            self._set_health(health_pb2.HealthCheckResponse.SERVING)
            print(f"serving {self.model_name} version {version} on {self.address}", flush=True)
            return

    def _set_health(self, state: int) -> None:
        for service in ("", self.model_name):
            self._health.set(service, state)


def serve(releases: Path, port: int, model_name: str, host: str) -> int:
    """Serves until SIGTERM or SIGINT. Returns: the exit code, 2 for a user's mistake, with one line on stderr."""
    if not releases.is_dir():
        print(f"m3net serve: {releases} is no folder; give the folder that holds the releases", file=sys.stderr)
        return 2
    try:
        server = Server(releases, port, model_name, host)
    except RuntimeError:
        print(f"m3net serve: {host}:{port} cannot be listened on; choose another --port", file=sys.stderr)
        return 2
    if not versions(releases):
        inside = releases / "releases"
        hint = f" (did you mean {inside}?)" if inside.is_dir() else ""
        print(f"{releases} holds no release yet{hint}; waiting for the first", file=sys.stderr, flush=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    server.run()
    return 0


def main(argv: list[str] | None = None) -> int:
    """`python -m serving.server`. Returns: the exit code."""
    parser = argparse.ArgumentParser(prog="m3net serve", description="Serve the newest release of a folder over gRPC.")
    parser.add_argument("releases", type=Path, help="the folder that holds the versions")
    parser.add_argument("--port", type=int, default=8500, help="8500 unless said; 0 takes a free one")
    parser.add_argument("--model-name", default="m3net", help="the name that clients ask for")
    parser.add_argument("--host", default="127.0.0.1", help="loopback unless said: there is no authentication")
    arguments = parser.parse_args(argv)
    return serve(arguments.releases, arguments.port, arguments.model_name, arguments.host)


if __name__ == "__main__":
    sys.exit(main())
