"""A server in a process of its own under what no honest client or pusher does: one line for each, and it goes on answering."""

import json
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from serving import release
from serving.client import Client, ClientError
from serving.protos import model_management_pb2, model_service_pb2_grpc
from tests.serving import drawn
from tests.serving.drawn import Running, free_port
from tests.serving.load import Askers


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, compose_into: Any) -> Iterator[tuple[Running, Path, str, int]]:
    """A server, its folder, its address and its REST port; it is alive and whole at the end, too."""
    folder, port = tmp_path_factory.mktemp("hostile"), free_port()
    release.push(folder / "releases", compose_into)
    running = Running(folder / "releases", "--rest_api_port", str(port))
    try:
        address = running.said(r"^serving m3net version 1 on (\S+)$").group(1)
        yield running, folder / "releases", address, port
        with Client(address) as client:
            assert client.search(drawn.photo(40), "pocket", 3)
    finally:
        assert running.end() == 0
        assert not any("Traceback" in line for line in running.lines)


def http(port: int, request: bytes) -> bytes:
    """What comes back for these bytes, after which nothing more is said."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as one:
        one.sendall(request)
        one.shutdown(socket.SHUT_WR)
        answer = b""
        while more := one.recv(1 << 16):
            answer += more
        return answer


PREDICT = b"POST /v1/models/m3net:predict HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (PREDICT + b'Content-Length: 900\r\n\r\n{"inst', b"400"),  # ends within its body
        (PREDICT + b"Content-Length: -1\r\n\r\n", b"400"),
        (PREDICT + b"Content-Length: 5, 6\r\n\r\n{}", b"400"),
        (PREDICT + b"Content-Length: \xb2\r\n\r\n{}", b"400"),  # a digit to Unicode, and no number to int()
        (PREDICT + b"Content-Type: image/png\r\nContent-Length: 8\r\n\r\n\x89PNG\r\n\x1a\n", b"400"),
        (PREDICT + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", b"400"),
        (b"GET /v1/models/m3net/versions/99999999999999999999 HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /v1/models/m3net/versions/" + b"9" * 5000 + b" HTTP/1.1\r\n\r\n", b"400"),
        (b"POST /v1/models/m3net:predict HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", b"429"),
        (b"GET /v1/models/m3net/versions/%D9%A1 HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /v1/models/%ff%00 HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /v1/models/m3net/items/%ff%fe/photo HTTP/1.1\r\n\r\n", b"404"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),  # TLS to a port without
        (b"GET / HTTP/9.9\r\n\r\n", b"505"),
    ],
)
def test_http_that_is_none(served: tuple[Running, Path, str, int], asked: bytes, status: bytes) -> None:
    answer = http(served[3], asked)
    assert answer.split(b" ")[1] == status, answer[:300]
    assert b'"error"' in answer
    assert b"Traceback" not in answer


def embed(*, image: Any = None, **more: np.ndarray) -> dict[str, np.ndarray]:
    return {"image": np.array([image or drawn.photo(1)], object), "attribute": np.array([b"pocket"], object), **more}


@pytest.mark.parametrize(
    ("signature", "inputs", "words"),
    [
        ("search", embed(k=np.array(2**31 - 1, np.int32)), "from 1 to 1000"),
        ("search", embed(k=np.array(-(2**31), np.int32)), "from 1 to 1000"),
        ("search", embed(k=np.array(np.nan, np.float32)), "from 1 to 1000"),
        ("search", embed(k=np.array([[3]], np.int32)), "from 1 to 1000"),
        ("embed", {**embed(), "image": np.full((1, 4), np.nan, np.float32)}, 'input "image" must be string'),
        ("search_by_id", {"id": np.array(["𝒮ku-☃".encode()], object)}, 'unknown id "𝒮ku-☃"'),
        ("search_by_id", {"id": np.array([b"\xff\xfe\x00" * 90], object)}, "unknown id"),
        ("search_by_class", {"class": np.array([b"a\nb\x1b[31m"], object)}, "unknown class"),
    ],
)
def test_tensors_of_another_mind(
    served: tuple[Running, Path, str, int], signature: str, inputs: dict[str, np.ndarray], words: str
) -> None:
    if "image" not in inputs:
        inputs = {**inputs, "attribute": np.array([b"pocket"], object), "k": np.array(3, np.int32)}
    with Client(served[2]) as client, pytest.raises(ClientError) as caught:
        client.predict(signature, inputs)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert words in str(caught.value)


@pytest.mark.slow
def test_reloads_that_cannot_be_while_others_ask(served: tuple[Running, Path, str, int], photo: Callable[[int], bytes]) -> None:
    _, releases, address, _ = served
    refused: list[str] = []

    def reload(base_path: str, version: int) -> None:
        request = model_management_pb2.ReloadConfigRequest()
        one = request.config.model_config_list.config.add(name="m3net", base_path=base_path)
        one.model_version_policy.specific.versions.append(version)
        with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as caught:
            model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=60)
        refused.append(caught.value.details())

    bad = [("relative", 1), (str(releases.parent), 1), ("/proc/self/fd", 0), ("/dev/null", 1)]
    with Askers(address, photo(40)) as askers:
        threads = [threading.Thread(target=reload, args=one) for one in bad * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(90)
    assert len(refused) == len(threads)
    assert all("\n" not in one for one in refused)
    assert askers.failures == []
    assert {answer.version for answer in askers.answers} == {1}


@pytest.mark.slow
def test_releases_that_are_not_what_they_say(served: tuple[Running, Path, str, int], compose_into: Any) -> None:
    running, releases, address, _ = served
    aside = releases / ".aside"

    def lying(version: int, change: Callable[[Path], object]) -> None:
        """As whoever may write to the folder could: the checksums are those of the lie."""
        compose_into(aside, version, like=1)
        change(aside / release.INDEX / "pocket")
        manifest, told = aside / release.MANIFEST, release.read_manifest(aside)
        files = {name: release._sha256(aside / name) for name in told.files}
        manifest.write_text(json.dumps({**asdict(told), "files": files}))
        aside.rename(releases / str(version))

    def info(**changed: Any) -> Callable[[Path], object]:
        def write(index: Path) -> None:
            text = json.loads((index / "index.json").read_text())
            (index / "index.json").write_text(json.dumps({**text, **changed}))

        return write

    lies: dict[int, Callable[[Path], object]] = {
        2: info(size=10**12), 3: info(kind="shards", shards=10**9), 4: info(kind="scann", leaves=3), 5: info(length=-8),
        6: lambda index: (index / "index.json").write_text("[]"),
    }  # fmt: skip
    for version, lie in lies.items():
        lying(version, lie)
        assert "\n" not in running.said(rf"^version {version} refused: (.+)").group(1)
    (releases / "7").symlink_to(releases / "nowhere")  # no folder, and so no version
    outside = releases.parent / "outside"
    compose_into(outside, 8, like=1)
    (outside / "variables" / "extra").symlink_to("/etc/hostname")  # a file that no manifest names
    (releases / "8").symlink_to(outside)
    running.said(r"^version 8 refused: .*extra is not in the manifest")
    (outside / "variables" / "extra").unlink()
    (releases / "8").unlink()
    (loop := releases / "9").mkdir()
    (loop / "loop").symlink_to(loop)
    running.said(r"^version 9 refused: ")
    with Client(address) as client:
        assert client.versions()[1] == "AVAILABLE"
        assert client.search(drawn.photo(40), "pocket", 1)[0].id.startswith("v1-")
    for version in (*lies, 9):
        shutil.rmtree(releases / str(version))
