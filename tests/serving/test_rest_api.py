"""REST beyond what the real server answers too (that is `tests/conformance`): retrieval, limits, metrics, an honest end."""

import base64
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from serving import release
from serving.call import Call, Code, RequestError
from serving.calls import Calls
from serving.http_server import Limits
from serving.manager import Manager
from serving.metrics import Metrics
from serving.policy import ModelConfig
from serving.rest_api import RestServer
from serving.servable import Servable

Answer = tuple[int, dict[str, str], Any]


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory, compose_into: Callable[..., release.Manifest]) -> Iterator[Manager]:
    releases = tmp_path_factory.mktemp("rest")
    release.push(releases, compose_into)
    manager = Manager({"m3net": ModelConfig(releases)}, lambda _, folder: Servable(folder))
    manager.refresh()
    yield manager
    manager.close()


@pytest.fixture
def rest(manager: Manager) -> Iterator[Callable[..., RestServer]]:
    made: list[RestServer] = []

    def make(calls: Calls | None = None, **options: Any) -> RestServer:
        metrics = Metrics(manager.ready, {})
        made.append(RestServer(("127.0.0.1", 0), calls or Calls(manager), metrics, "/metrics", **options))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.stop(5)


def ask(server: RestServer, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
    connection = http.client.HTTPConnection(server.address, timeout=20)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers or {})
        answer = connection.getresponse()
        content = answer.read()
        kind = answer.getheader("Content-Type", "")
        return (
            answer.status,
            dict(answer.getheaders()),
            json.loads(content) if kind == "application/json" else content.decode(errors="replace"),
        )
    finally:
        connection.close()


def test_search_in_columns(rest: Any, photo: Callable[[int], bytes], drawn: Any) -> None:
    image = {"b64": base64.b64encode(photo(40)).decode()}
    body = {"signature_name": "search", "inputs": {"image": [image], "attribute": ["pocket"], "k": 3}}
    status, _, answer = ask(rest(), "POST", "/v1/models/m3net:predict", body)
    assert (status, set(answer["outputs"])) == (200, {"id", "score"})
    expected = drawn(1).neighbours(40, "pocket", 3)
    assert answer["outputs"]["id"] == [[i for i, _, _ in expected]]
    assert answer["outputs"]["score"][0] == pytest.approx([score for _, _, score in expected], rel=1e-5)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            '{"signature_name": "\\ud800", "inputs": {"id": ["x"]}}',
            "JSON Parse error: The surrogate pair in string is invalid.",
        ),
        ('{"signature_name": "search_by_id", "inputs": {"\\udc00": 1}}', "The surrogate pair in string is invalid."),
        (f'{{"inputs": {"1" * 5000}}}', "JSON Parse error: an integer of more than 4,300 digits"),
        (b'{"inputs": "\xed\xa0\x80"}', "JSON Parse error: not UTF-8 at offset: 12"),
        ('{"signature_name": "\\ud83d\\ude00", "inputs": 1}', 'signature name: "\U0001f600"'),  # both halves: a letter
    ],
)
def test_text_and_numbers_that_are_none_are_named(rest: Any, body: str | bytes, words: str) -> None:
    connection = http.client.HTTPConnection(rest().address, timeout=20)
    connection.request("POST", "/v1/models/m3net:predict", body)
    answer = connection.getresponse()
    assert answer.status == 400
    assert words in json.loads(answer.read())["error"]
    connection.close()


def test_a_connection_is_kept_for_the_next_request(rest: Any) -> None:
    server = rest()
    connection = http.client.HTTPConnection(server.address, timeout=20)
    for path, status in (("/v1/models/m3net", 200), ("/v1/models/x", 404), ("/v1/models/m3net/metadata", 200)):
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status
    connection.request("POST", "/v1/models/m3net:nothing", b"{}")
    answer = connection.getresponse()
    assert json.loads(answer.read()) == {"error": "Malformed request: POST /v1/models/m3net:nothing"}
    connection.request("GET", "/v1/models/m3net")
    assert connection.getresponse().status == 200


def test_metrics_count_what_was_asked_and_not_what_was_made_up(rest: Any) -> None:
    server = rest()
    ask(server, "GET", "/v1/models/m3net")
    ask(server, "GET", '/v1/models/a"b%0Ac')
    expected = {
        ':tensorflow:serving:request_count{model_name="m3net",status="OK"} 1',
        ':tensorflow:serving:request_count{model_name="",status="NOT_FOUND"} 1',
    }
    for _ in range(100):  # a request is counted a moment after its answer was sent
        status, headers, page = ask(server, "GET", "/metrics")
        if found := expected <= set(page.splitlines()):
            break
        time.sleep(0.05)
    assert found, page
    assert (status, headers["Content-Type"].split(";")[0]) == (200, "text/plain")


@pytest.mark.parametrize(
    "path", ["/page", "/etc/passwd", "/v2/models/m3net", "/../../etc/passwd", "/metrics/../x", "//evil/", "/metricsx"]
)
def test_paths_outside_are_nothing(rest: Any, path: str) -> None:
    assert ask(rest(), "GET", path)[0] == 404


def test_token(rest: Any) -> None:
    server = rest(token="s3cret")
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "s3cret"}, {"Authorization": "Bearer s3cretx"}):
        status, answered, body = ask(server, "GET", "/v1/models/m3net", headers=headers)
        assert (status, answered["WWW-Authenticate"], set(body)) == (401, "Bearer", {"error"})
    assert ask(server, "GET", "/metrics")[0] == 401
    assert ask(server, "GET", "/v1/models/m3net", headers={"Authorization": "Bearer s3cret"})[0] == 200


def raw(server: RestServer, content: bytes, seconds: float = 10.0) -> bytes:
    """What comes back until the server closes."""
    with socket.create_connection(server.server_address[:2], timeout=seconds) as connection:
        connection.sendall(content)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


POST = b"POST /v1/models/m3net:predict HTTP/1.1\r\nHost: x\r\n"


def test_bodies_too_large_or_of_unknown_size_are_not_read(rest: Any) -> None:
    server = rest(limits=Limits(most_bytes=100, most_bytes_together=150))
    answer = raw(server, POST + b"Content-Length: 101\r\n\r\n")  # answered although not a byte of it was sent
    assert answer.startswith(b"HTTP/1.1 429 ")
    assert b"a body of 101 bytes is more than the 100 that are read" in answer
    assert raw(server, POST + b"Transfer-Encoding: chunked\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert raw(server, POST + b"Content-Length: -1\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    server.begin()
    assert server.reserve(60)  # by a request that is being answered
    assert raw(server, POST + b"Content-Length: 100\r\n\r\n").startswith(b"HTTP/1.1 429 ")
    server.end(60)
    assert raw(server, POST + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}").startswith(b"HTTP/1.1 400 ")


def test_a_client_that_falls_silent_is_let_go_and_holds_up_nobody(rest: Any) -> None:
    server = rest(limits=Limits(idle_seconds=0.5, connections=3))
    silent = [socket.create_connection(server.server_address[:2]) for _ in range(2)]
    silent[0].sendall(POST + b"Content-Length: 50\r\n\r\nhalf")
    assert ask(server, "GET", "/v1/models/m3net")[0] == 200  # the third place
    more = [socket.create_connection(server.server_address[:2], timeout=5) for _ in range(5)]
    assert sum(one.recv(1) == b"" for one in more) == 5  # turned away, or silent too long
    for one in silent:
        one.settimeout(5)
        assert one.recv(1) == b""
    end = time.monotonic() + 5
    while server._busy and time.monotonic() < end:
        time.sleep(0.01)
    assert (server._busy, server._bytes) == (0, 0)
    assert ask(server, "GET", "/v1/models/m3net")[0] == 200


def test_where_all_places_are_taken_the_longest_idle_makes_room(rest: Any) -> None:
    server = rest(limits=Limits(connections=3))
    half, *idle = [socket.create_connection(server.server_address[:2], timeout=5) for _ in range(3)]
    half.sendall(b"GET /v1/mod")
    used = http.client.HTTPConnection(server.address, timeout=20)
    for _ in range(2):  # the second time on the same connection
        used.request("GET", "/v1/models/m3net")
        assert used.getresponse().read()
    assert idle[0].recv(1) == b""
    half.sendall(b"els/m3net HTTP/1.1\r\nHost: x\r\n\r\n")  # it had begun to ask, and is not idle
    assert half.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
    idle[1].sendall(b"GET /v1/models/m3net HTTP/1.1\r\nHost: x\r\n\r\n")
    assert idle[1].recv(1 << 16).startswith(b"HTTP/1.1 200 ")  # one place was needed, and one was taken
    for begun in (half, idle[1]):
        begun.sendall(b"GET")
    used.sock.sendall(b"GET")
    time.sleep(0.2)
    with socket.create_connection(server.server_address[:2], timeout=5) as none_left:
        assert none_left.recv(1) == b""
    for one in (half, *idle, used):
        one.close()


class Slow(Calls):
    """Answers status after a while, and knows of deadlines."""

    def status(self, request: Any, call: Call) -> Any:
        time.sleep(0.5)
        return super().status(request, call)

    def predict(self, request: Any, call: Call) -> Any:
        time.sleep(0.2)
        if call.remaining() == 0.0:
            raise RequestError(Code.DEADLINE_EXCEEDED, "Deadline Exceeded")
        return super().predict(request, call)


def test_its_end_waits_for_what_is_under_way(rest: Any, manager: Manager) -> None:
    server = rest(Slow(manager))
    with socket.create_connection(server.server_address[:2], timeout=10) as connection:
        connection.sendall(b"GET /v1/models/m3net HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.2)
        started = time.monotonic()
        server.stop(10)
        assert time.monotonic() - started < 8  # for the request, not for the connection that would be kept
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nConnection: close\r\n" in answer
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(server.server_address[:2])


def test_too_late_is_504(rest: Any, manager: Manager, photo: Callable[[int], bytes]) -> None:
    server = rest(Slow(manager), limits=Limits(seconds=0.1))
    image = {"b64": base64.b64encode(photo(1)).decode()}
    body = {"signature_name": "classify", "instances": [image]}
    status, _, answer = ask(server, "POST", "/v1/models/m3net:predict", body)
    assert (status, answer) == (504, {"error": "Deadline Exceeded"})


def test_a_defect_is_500_and_tells_nothing(rest: Any, manager: Manager, capfd: pytest.CaptureFixture[str]) -> None:
    class Broken(Calls):
        def status(self, request: Any, call: Call) -> Any:
            raise KeyError("/secret/path")

    status, _, answer = ask(rest(Broken(manager)), "GET", "/v1/models/m3net")
    assert (status, answer) == (500, {"error": "the server failed on this request; its log says why"})
    assert "KeyError('/secret/path')" in capfd.readouterr().err


def test_a_port_in_use(rest: Any, manager: Manager) -> None:
    with pytest.raises(OSError, match="Address already in use"):
        RestServer(rest().server_address[:2], Calls(manager), Metrics(manager.ready, {}), "")
