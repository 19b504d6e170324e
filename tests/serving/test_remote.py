"""The retrieval tier: another server runs the network. The embedder here is the embedded server, asked as the real one."""

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from serving import manager as managing
from serving import release
from serving.batcher import Batching
from serving.client import Client, ClientError
from serving.flags import add_flags
from serving.manager import Status
from serving.policy import ModelConfig, Policy
from serving.protos import meta_graph_pb2, model_service_pb2_grpc, prediction_service_pb2_grpc
from serving.remote import BATCHING, RemoteModel
from serving.serve import _settings
from serving.server import Server, Settings
from tests.serving.drawn import Drawn

Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Servers in this process; each runs until the test ends."""
    made: list[tuple[Server, threading.Thread]] = []

    def start(releases: Path, **settings: Any) -> Server:
        policy = Policy(settings.pop("latest", 2))
        server = Server(Settings({"m3net": ModelConfig(releases, policy)}, **settings))
        thread = threading.Thread(target=server.run)
        thread.start()
        made.append((server, thread))
        return server

    yield start
    for server, thread in reversed(made):
        server.stop()
        thread.join(30)


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def releases(tmp_path: Path, compose_into: Callable[..., release.Manifest]) -> Path:
    release.push(tmp_path, compose_into)
    return tmp_path


def test_answers_are_those_of_one_process(releases: Path, serve: Serve, photo: Any) -> None:
    embedder = serve(releases)
    until(lambda: embedder.manager.ready()["m3net"])
    with pytest.raises(release.ReleaseError, match="has another embed in version 1; let both serve the same folder"):
        RemoteModel(embedder.address, "m3net", 1, {"embed": meta_graph_pb2.SignatureDef()})
    tier = serve(releases, embedder=embedder.address)
    until(lambda: tier.manager.ready()["m3net"])
    with Client(tier.address) as client, Client(embedder.address) as whole:
        for number in range(40, 44):
            assert client.search(photo(number), "pocket", 6) == whole.search(photo(number), "pocket", 6)
        expected = [i for i, _, _ in Drawn(1).neighbours(40, "neckline", 5)]
        assert [one.id for one in client.search(photo(40), "neckline", 5)] == expected
        assert client.classify(photo(1)).keys() == whole.classify(photo(1)).keys()
        assert client.explain(photo(1), "pocket").tolist() == whole.explain(photo(1), "pocket").tolist()
        with pytest.raises(ClientError) as here:
            client.search(b"no photo", "pocket")
        with pytest.raises(ClientError) as there:
            whole.search(b"no photo", "pocket")
        assert str(here.value).split(" ", 1)[1] == str(there.value).split(" ", 1)[1]
        embedder.stop()
        until(lambda: not whole.ready())
        with pytest.raises(ClientError) as caught:
            client.search(photo(40), "neckline")
        assert caught.value.code is not None
        assert caught.value.code.name == "UNAVAILABLE"


def test_a_version_is_waited_for_and_then_taken(
    releases: Path, serve: Serve, photo: Any, compose_into: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(managing, "WAIT_SECONDS", 0.2)
    (mirror := tmp_path / "mirror").mkdir()
    (releases / "1").rename(mirror / "1")
    release.push(mirror, compose_into)  # the tier sees versions 1 and 2, the embedder only what is moved to it
    embedder = serve(releases)
    tier = serve(mirror, embedder=embedder.address, latest=1)
    until(lambda: {v: s for v, s, _ in states(tier)}.get(2) == Status.START)
    assert not tier.manager.ready()["m3net"]
    subprocess.run(["cp", "-r", mirror / "1", releases / ".aside"], check=True)
    (releases / ".aside").rename(releases / "1")
    with Client(tier.address) as client:
        until(client.ready)
        assert client.search(photo(40), "pocket", 1)[0].id.startswith("v1-")
        assert client.versions()[1] == "AVAILABLE"
        subprocess.run(["cp", "-r", mirror / "2", releases / ".aside"], check=True)
        (releases / ".aside").rename(releases / "2")
        until(lambda: client.versions()[2] == "AVAILABLE")
        expected = [i for i, _, _ in Drawn(2).neighbours(40, "pocket", 4)]
        assert [one.id for one in client.search(photo(40), "pocket", 4)] == expected


class Astray:
    """Hands everything on to a real embedder, and once `version` is set, says that this one answered.

    A Predict goes on once as many wait as `together` asks for; `left` is how long its caller would have waited.
    """

    def __init__(self, address: str) -> None:
        self.version, self._channel = 0, grpc.insecure_channel(address)
        self.together, self.left = threading.Barrier(1), list[float]()
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._states = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self._server = grpc.server(ThreadPoolExecutor(4))
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(self, self._server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.left.append(context.time_remaining())
        self.together.wait(20)
        answer = self._stub.Predict(request, timeout=30)
        if self.version:
            answer.model_spec.version.value = self.version
        return answer

    def __getattr__(self, name: str) -> Any:  # the other methods
        stub = self._states if name in ("GetModelStatus", "HandleReloadConfigRequest") else self._stub
        return lambda request, _: getattr(stub, name)(request, timeout=30)

    def close(self) -> None:
        self._server.stop(0).wait()
        self._channel.close()


def test_vectors_of_another_version_are_not_taken(releases: Path, serve: Serve, photo: Any, compose_into: Any) -> None:
    embedder = serve(releases)
    until(lambda: embedder.manager.ready()["m3net"])
    astray = Astray(embedder.address)
    tier = serve(releases, embedder=astray.address)
    until(lambda: tier.manager.ready()["m3net"])
    line = rf"the embedder {astray.address} answered with version 7, not the {{}} it was asked for; its vectors are not taken"
    with Client(tier.address) as client:
        assert client.search(photo(40), "pocket", 1)
        astray.version = 7
        with pytest.raises(ClientError, match=f"INTERNAL: {line.format(1)}$"):
            client.search(photo(40), "pocket", 1)
        release.push(releases, compose_into)  # nor is a release taken whose own photos are embedded so
        until(lambda: {v: s for v, s, _ in states(tier)}.get(2) == Status.END)
        assert {v: e for v, _, e in states(tier)}[2] == line.format(2)
        astray.version = 0
        assert client.search(photo(40), "pocket", 1)[0].id.startswith("v1-")  # the former goes on answering
    astray.close()


def test_calls_run_side_by_side_for_as_long_as_their_callers_wait(releases: Path, serve: Serve, photo: Any) -> None:
    embedder = serve(releases)
    until(lambda: embedder.manager.ready()["m3net"])
    astray = Astray(embedder.address)
    tier = serve(releases, embedder=astray.address, batching=BATCHING)
    until(lambda: tier.manager.ready()["m3net"])
    with Client(tier.address, timeout=25) as client, ThreadPoolExecutor(2) as pool:
        astray.together, astray.left = threading.Barrier(2), []
        slow = pool.submit(client.classify, photo(1)), pool.submit(client.search, photo(40), "pocket", 1)
        assert [len(one.result(30)) for one in slow] == [2, 1]
        assert len(astray.left) == 2
        assert all(0 < left < 30 for left in astray.left)  # not the minute of a call without an end; gRPC rounds 25 s up
        astray.together = threading.Barrier(2)
    with Client(tier.address, timeout=2) as client, pytest.raises(ClientError) as caught:
        client.classify(photo(1))  # that nobody joins
    assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    astray.together.abort()
    astray.close()


def test_several_calls_at_once_unless_a_file_says_otherwise(tmp_path: Path) -> None:
    def batching(*flags: str | Path) -> Batching:
        parser = argparse.ArgumentParser()
        add_flags(parser, rest_api_port=0)
        return _settings(parser.parse_args([str(tmp_path), *map(str, flags)])).batching

    (file := tmp_path / "batching").write_text("max_batch_size { value: 8 }")
    beside, given = ("--embedder", "127.0.0.1:9"), ("--batching-parameters-file", file)
    assert [batching(*flags).num_batch_threads for flags in ((), beside, given, (*beside, *given))] == [1, 8, 1, 8]
    assert batching(*beside, *given).max_batch_size == 8
    file.write_text("num_batch_threads { value: 2 }")
    assert batching(*beside, *given).num_batch_threads == 2


def states(server: Server) -> list[tuple[int, int, str]]:
    from serving.protos import model_pb2

    try:
        return server.manager.states(model_pb2.ModelSpec(name="m3net"))
    except Exception:
        return []


WITHOUT = """
import sys
from serving import serve
heavy = {"tensorflow", "keras", "tfx"} & set(sys.modules)
assert not heavy, heavy
"""


def test_a_server_that_only_searches_needs_no_tensorflow() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT], cwd=Path(__file__).parents[2], check=True, timeout=60)
