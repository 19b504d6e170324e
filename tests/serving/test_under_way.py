"""What is under way in a server: how much of it there may be, and that nothing is computed for those who have gone."""

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import prediction_service_pb2_grpc

import serving.server
from serving import release
from serving.client import Client
from serving.http_server import Limits
from serving.policy import ModelConfig
from serving.protos import model_pb2
from serving.server import Server, Settings
from serving.tensors import from_proto
from tests.serving.load import request


@pytest.fixture
def releases(tmp_path: Path, compose_into: Callable[..., release.Manifest]) -> Path:
    """A folder with version 1."""
    release.push(tmp_path / "releases", compose_into)
    return tmp_path / "releases"


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@contextmanager
def running(releases: Path, **settings: Any) -> Iterator[Server]:
    """A server in this process, once it answers."""
    server = Server(Settings({"m3net": ModelConfig(releases)}, **settings))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.manager.ready()["m3net"])
        yield server
    finally:
        server.stop()
        thread.join(30)


@dataclass
class Held:
    """A model that runs only once `go` is set; `ran` are the rows of each run."""

    batcher: Any
    go: threading.Event = field(default_factory=threading.Event)
    ran: list[int] = field(default_factory=list)


@contextmanager
def held(server: Server) -> Iterator[Held]:
    """The model of a running server, in the test's hand."""
    with server.manager.use(model_pb2.ModelSpec(name="m3net")) as servable:
        model = Held(servable._batcher)
    run = model.batcher._run

    def wait(signature: str, inputs: Any, *more: Any) -> Any:
        model.go.wait(60)
        model.ran.append(len(inputs["image"]))
        return run(signature, inputs, *more)

    model.batcher._run = wait
    try:
        yield model
    finally:
        model.go.set()


def test_a_client_that_leaves_is_not_computed_for(releases: Path, photo: Any) -> None:
    with running(releases) as server, held(server) as model, grpc.insecure_channel(server.address) as channel:
        predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        calls = []
        for waiting in (0, 1, 2):  # the first is with the model, the others wait
            calls.append(predict.future(request("embed", [photo(1)]), timeout=60))
            wait_until(lambda waiting=waiting: model.batcher.waiting() == waiting)
            time.sleep(0.05)
        calls[1].cancel()
        wait_until(lambda: model.batcher.waiting() == 1)
        late = predict.future(request("embed", [photo(1)]), timeout=0.2)
        with pytest.raises(grpc.RpcError):
            late.result()
        model.go.set()
        assert [len(calls[place].result().outputs) for place in (0, 2)] == [1, 1]
        assert model.ran == [1, 1]


def test_the_parts_of_a_large_request_end_with_its_caller(releases: Path, photo: Any) -> None:
    with running(releases) as server, held(server) as model, grpc.insecure_channel(server.address) as channel:
        predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        large = request("embed", [photo(1)] * 1024)
        leaver, late = predict.future(large, timeout=60), predict.future(large, timeout=1)
        wait_until(lambda: model.batcher.waiting() == 1024)  # one is with the model, the other waits
        leaver.cancel()
        with pytest.raises(grpc.RpcError):
            late.result()
        patient = predict.future(request("embed", [photo(1)]), timeout=60)
        time.sleep(0.2)  # until the server has heard of it
        model.go.set()
        assert len(patient.result().outputs) == 1
        assert model.ran == [32, 1]


def test_a_deadline_that_is_over_in_the_server(releases: Path, photo: Any) -> None:
    with running(releases) as server, held(server) as model, grpc.insecure_channel(server.address) as channel:
        predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        # The server is told of a deadline, and the client knows of none that it could keep by itself.
        late = predict.future(request("embed", [photo(1)]), metadata=[("grpc-timeout", "300m")])
        with pytest.raises(grpc.RpcError) as caught:
            late.result(timeout=30)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        wait_until(lambda: 'status="DEADLINE_EXCEEDED"} 1' in server.metrics.page())
        model.go.set()


def test_one_bad_photo_among_sixteen_requests(releases: Path, photo: Any, drawn: Any) -> None:
    with running(releases) as server, held(server) as model, grpc.insecure_channel(server.address) as channel:
        predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        first = predict.future(request("embed", [photo(0)]), timeout=60)
        time.sleep(0.5)  # it is with the model
        asked = [photo(number)[:60] if number == 7 else photo(number) for number in range(16)]
        calls = [predict.future(request("embed", [one]), timeout=60) for one in asked]
        wait_until(lambda: model.batcher.waiting() == 16)
        model.go.set()
        assert len(first.result().outputs) == 1
        for number, call in enumerate(calls):
            if number == 7:
                assert (call.code(), call.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "Invalid PNG data, size 60")
            else:
                got = from_proto(call.result().outputs["vector"])
                np.testing.assert_allclose(got, drawn(1).vectors([number], "pocket"), rtol=1e-5, atol=1e-5)
        assert model.ran == [1, 16, 15, 1]


def test_a_client_of_rest_that_leaves_is_not_computed_for(releases: Path, photo: Any) -> None:
    body = json.dumps({"instances": [{"image": {"b64": base64.b64encode(photo(1)).decode()}, "attribute": "pocket"}]})
    head = f"POST /v1/models/m3net:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with running(releases, rest_port=0) as server, held(server) as model:
        assert server.rest
        clients = []
        for waiting in (0, 1, 2):
            clients.append(socket.create_connection(server.rest.server_address[:2], timeout=20))
            clients[-1].sendall((head + body).encode())
            wait_until(lambda waiting=waiting: model.batcher.waiting() == waiting)
            time.sleep(0.05)
        clients[1].close()
        time.sleep(0.1)
        model.go.set()
        for place in (0, 2):
            assert clients[place].recv(1 << 16).startswith(b"HTTP/1.1 200 ")
            clients[place].close()
        assert model.ran == [1, 1]


@pytest.mark.slow
def test_more_bytes_than_may_be_under_way_are_refused(releases: Path, photo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving.server, "Limits", partial(Limits, most_bytes_together=64 << 20))
    asked = request("embed", [photo(1) + bytes(31 << 20)])  # two of them fit
    with running(releases) as server, held(server) as model, grpc.insecure_channel(server.address) as channel:
        predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        calls = [predict.future(asked, timeout=60) for _ in range(4)]
        wait_until(lambda: sum(call.done() for call in calls) == 2)
        done = [call for call in calls if call.done()]
        assert {call.code() for call in done} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert {call.details() for call in done} == {"too many bytes are being answered; ask again later"}
        with Client(server.address, timeout=20) as client:
            assert client.ready()  # and what is small goes on
            assert client.versions() == {1: "AVAILABLE"}
        model.go.set()
        assert [len(call.result().outputs) for call in calls if call not in done] == [1, 1]
        for _ in range(4):  # their places are free again, also those of requests that were refused or fail
            assert len(predict(asked, timeout=60).outputs) == 1
            with pytest.raises(grpc.RpcError, match="unknown attribute"):
                predict(unlike(asked), timeout=60)
    assert 'status="RESOURCE_EXHAUSTED"} 2' in server.metrics.page()


def unlike(asked: Any) -> Any:
    """The same at the same length, for an attribute that is not there."""
    other = type(asked).FromString(asked.SerializeToString())
    other.inputs["attribute"].string_val[0] = b"sleeve"
    return other
