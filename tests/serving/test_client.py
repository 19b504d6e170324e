"""The client against the real server, and alone: without TensorFlow, and beside it in either order of imports."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from serving import release
from serving.client import Client, ClientError, Neighbour

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Client]:
    with Client(address) as client:
        yield client


def test_search(client: Client, photo: Callable[[int], bytes], drawn: Any) -> None:
    expected = [
        Neighbour(i, classes, pytest.approx(score, rel=1e-5), f"photos/{i.split('-')[1]}.png")
        for i, classes, score in drawn(1).neighbours(40, "neckline", 12)
    ]
    assert client.search(photo(40), "neckline", 12) == expected
    assert "" in {one.classes for one in expected}  # an unlabelled item among them


def test_embed_and_classify(client: Client, photo: Callable[[int], bytes], drawn: Any) -> None:
    vectors = client.embed([photo(1), photo(2)], ["neckline", "pocket"])
    expected = [drawn(1).vectors([1], "neckline")[0], drawn(1).vectors([2], "pocket")[0]]
    np.testing.assert_allclose(vectors, expected, rtol=1e-5, atol=1e-5)
    assert {name: scores.shape for name, scores in client.classify(photo(1)).items()} == {
        "neckline": (3,),
        "pocket": (2,),
    }


def test_errors_are_one_line(client: Client, address: str, photo: Callable[[int], bytes]) -> None:
    with pytest.raises(ClientError) as caught:
        client.search(photo(1), "colour")
    assert str(caught.value) == (
        f'{address} answered INVALID_ARGUMENT: unknown attribute "colour"; there are: neckline, pocket'
    )
    with Client(address, model_name="x") as other:
        assert not other.ready()
        with pytest.raises(ClientError, match=r"NOT_FOUND: Servable not found for request: Latest\(x\)"):
            other.classify(photo(1))


def test_versions_labels_and_many_at_once(address: str, client: Client, photo: Callable[[int], bytes], drawn: Any) -> None:
    assert client.versions() == {1: "AVAILABLE"}
    found = client.search_many([photo(40), photo(41)], ["neckline", "pocket"], 3)
    expected = [drawn(1).neighbours(40, "neckline", 3), drawn(1).neighbours(41, "pocket", 3)]
    assert [[one.id for one in row] for row in found] == [[i for i, _, _ in row] for row in expected]
    assert client.explain(photo(1), "pocket").tolist() == [[0.25, 0.25], [0.25, 0.25]]
    with Client(address, version=1) as first, Client(address, version=2) as second, Client(address, label="x") as labelled:
        assert set(first.classify(photo(1))) == {"neckline", "pocket"}
        with pytest.raises(ClientError, match=r"Specific\(m3net, 2\)") as caught:
            second.classify(photo(1))
        assert caught.value.code is grpc.StatusCode.NOT_FOUND
        with pytest.raises(ClientError, match="Unrecognized servable version label: x"):
            labelled.classify(photo(1))
    with pytest.raises(ValueError, match="either a version or a label"):
        Client(address, version=1, label="x")


def test_what_cannot_be_asked_is_one_line_too(client: Client, address: str) -> None:
    whole: list[tuple[Any, str]] = [
        (2**31, "k lies between 1 and 2,147,483,647"),
        (1.5, "whole number; got 1.5"),
        ("3", "got '3'"),
    ]
    asks: list[tuple[Callable[[], object], str]] = [
        *((lambda k=k: client.search_by_id("v1-1", "pocket", k), words) for k, words in whole),
        (lambda: client.search(b"", "\udcff"), r"'\udcff' is no text that can be sent"),
        (lambda: client.search_by_id("\udcff", "pocket"), "is no text that can be sent"),
        (lambda: client.predict("\udcff", {}), "this cannot be asked"),
        (lambda: client.predict("embed", {"image": np.zeros(1, complex)}), "a tensor of complex128 cannot be sent"),
    ]
    for ask, words in asks:
        with pytest.raises(ClientError) as caught:
            ask()
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
        assert caught.value.code is None
    assert len(client.search_by_id("v1-1", "pocket", np.int64(3))) == 3  # type: ignore[arg-type]
    for mistake in ({"token": "two\nlines"}, {"token": "schlüssel"}, {"version": 2**63}, {"model_name": "\udcff"}):
        with pytest.raises(ValueError):  # noqa: PT011  (protocol buffers have words of their own)
            Client(address, **mistake)


class Shy(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Refuses with `codes`, one after the other, each after some `seconds`; then answers."""

    def __init__(self, *codes: grpc.StatusCode, seconds: float = 0.0) -> None:
        self.codes, self.seconds, self.asked_at = list(codes), seconds, list[float]()

    def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.asked_at.append(time.monotonic())
        time.sleep(self.seconds)
        if self.codes:
            context.abort(self.codes.pop(0), "not yet")
        return predict_pb2.PredictResponse()


@pytest.fixture
def shy() -> Iterator[Callable[..., tuple[Shy, str]]]:
    servers = []

    def start(*codes: grpc.StatusCode, seconds: float = 0.0) -> tuple[Shy, str]:
        server, servicer = grpc.server(ThreadPoolExecutor(2)), Shy(*codes, seconds=seconds)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return servicer, f"127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop(0)


Code = grpc.StatusCode
LARGE = np.array([b"x" * 1_000_000], object)  # above what gRPC keeps by itself to ask again


def test_what_passes_is_asked_again_with_pauses(shy: Callable[..., tuple[Shy, str]]) -> None:
    servicer, address = shy(Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE)
    with Client(address) as client:
        assert client.predict("embed", {"image": LARGE}) == {}
    assert len(servicer.asked_at) == 4
    # gRPC spreads each pause by a fifth: 0.08 to 0.12 s, 0.16 to 0.24, 0.32 to 0.48. Never less; more on a busy machine.
    pauses = np.diff(servicer.asked_at)
    assert (pauses > [0.07, 0.15, 0.3]).all(), pauses


@pytest.mark.parametrize(
    ("codes", "asked"), [([Code.UNAVAILABLE] * 9, 4), ([Code.INVALID_ARGUMENT] * 9, 1), ([Code.NOT_FOUND] * 9, 1)]
)
def test_what_does_not_pass_is_told(shy: Callable[..., tuple[Shy, str]], codes: list[grpc.StatusCode], asked: int) -> None:
    servicer, address = shy(*codes)
    with Client(address) as client, pytest.raises(ClientError) as caught:
        client.predict("embed", {"image": LARGE})
    assert (caught.value.code, len(servicer.asked_at)) == (codes[0], asked)


def test_the_deadline_holds_for_all_tries_together(shy: Callable[..., tuple[Shy, str]]) -> None:
    servicer, address = shy(*[Code.UNAVAILABLE] * 9, seconds=1.0)
    started = time.monotonic()
    with Client(address, timeout=1.6) as client, pytest.raises(ClientError) as caught:
        client.predict("embed", {"image": LARGE})
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert time.monotonic() - started < 3.5  # four tries, each with a time of its own, would be 4.5 at least
    assert len(servicer.asked_at) <= 2
    assert all(at - started < 1.6 for at in servicer.asked_at)


def test_a_server_that_is_not_up_yet_is_waited_for(start: Callable[..., Any], compose_into: Any, tmp_path: Path) -> None:
    release.push(tmp_path, compose_into)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Client(f"127.0.0.1:{port}") as client, ThreadPoolExecutor(1) as pool:
        assert not client.wait_until_ready(0)
        waited = pool.submit(client.wait_until_ready, 120)
        start(tmp_path, port=port)
        assert waited.result()


def test_a_silent_server_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never says a word
        port = silent.getsockname()[1]
        with Client(f"127.0.0.1:{port}", timeout=0.5) as client:
            assert not client.ready()
            with pytest.raises(ClientError, match=r"did not answer within 0.5 seconds|no server answers"):
                client.classify(b"")


def _python(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_no_tensorflow_is_imported_and_a_later_import_works() -> None:
    _python("""
import sys
import serving.client
heavy = {"tensorflow", "tensorflow.python", "scann", "pyarrow", "keras", "tfx"} & set(sys.modules)
assert not heavy, heavy
import tensorflow as tf
assert int(tf.constant(2) + 3) == 5
from tensorflow.core.framework import tensor_pb2
from serving.tensors import from_proto, to_proto
assert isinstance(tf.make_tensor_proto([1.0]), tensor_pb2.TensorProto)
assert from_proto(tf.make_tensor_proto([1.0, 2.0])).tolist() == [1, 2]
assert tf.make_ndarray(to_proto(from_proto(tf.make_tensor_proto([4])))).tolist() == [4]
""")


def test_the_client_is_small() -> None:
    """Its own peak; TensorFlow's import would be 700 MB."""
    _python("""
import re, serving.client
# Not getrusage: its peak is that of the process this one was forked from.
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 1024
assert 10 < peak < 150, peak
""")


def test_after_tensorflow() -> None:
    import tensorflow as tf  # other tests have it imported already; alone, this is where it happens

    from serving import protos

    assert type(tf.make_tensor_proto([1.0])) is protos.tensor_pb2.TensorProto
