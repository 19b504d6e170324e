"""What goes wrong in a night: kills, floods, slow clients, full disks, twenty releases. Nothing is lost, nothing is mixed."""

import base64
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import prediction_service_pb2_grpc

from serving import release
from serving.client import Client
from serving.policy import ModelConfig
from serving.server import Server, Settings
from tests.serving import drawn as drawing
from tests.serving.load import Answer, Askers, request
from tests.serving.test_under_way import wait_until

ROOT = Path(__file__).parents[2]
Start = Callable[..., drawing.Running]


@pytest.fixture
def releases(tmp_path: Path, compose_into: Callable[..., release.Manifest]) -> Path:
    """A folder with version 1."""
    release.push(tmp_path / "releases", compose_into)
    return tmp_path / "releases"


def assert_true(answers: list[Answer], drawn: Any, parts_of: Callable[[int], int] = lambda version: version) -> None:
    """Each is wholly of the version it names."""
    known = {parts: drawn(parts).neighbours(40, "pocket", 5) for parts in {parts_of(one.version) for one in answers}}
    for answer in answers:
        expected = known[parts_of(answer.version)]
        assert answer.ids == [i for i, _, _ in expected]
        np.testing.assert_allclose(answer.scores, [score for _, _, score in expected], rtol=1e-5)


@pytest.mark.slow
def test_killed_under_load_and_started_again(releases: Path, start: Start, photo: Any, drawn: Any) -> None:
    server = start(releases)
    address = server.said(r"^serving m3net version 1 on (\S+)$").group(1)
    with Askers(address, photo(40)) as askers:
        time.sleep(0.5)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(10)
        before = len(askers.answers)
        again = start(releases, port=int(address.rsplit(":", 1)[1]))
        again.said(rf"^serving m3net version 1 on {address}$")
        deadline = time.monotonic() + 30
        while len(askers.answers) < before + 20 and time.monotonic() < deadline:
            time.sleep(0.05)
    assert before > 0
    assert len(askers.answers) >= before + 20  # the very same clients are answered again
    assert_true(askers.answers, drawn)
    kinds = {failure.split(":")[0] for failure in askers.failures}
    # Loud and of the right kind: nobody there, or there and not loaded yet.
    assert kinds <= {"UNAVAILABLE", "NOT_FOUND"}
    assert release.verify(releases / "1").version == 1


@pytest.mark.long
def test_twenty_releases_under_load(
    releases: Path, start: Start, photo: Any, drawn: Any, compose_into: Callable[..., release.Manifest]
) -> None:
    server = start(releases)
    address = server.said(r"^serving m3net version 1 on (\S+)$").group(1)
    with Askers(address, photo(40)) as askers:
        for version in range(2, 22):
            # In turns the one's and the other's model, index and items: a mixture would show.
            release.push(releases, lambda into, number: compose_into(into, number, like=2 - number % 2))
            server.said(rf"^serving m3net version {version} on")
    assert askers.failures == []
    first: dict[int, list[float]] = defaultdict(list)
    for one in sorted(askers.answers, key=lambda answer: answer.asked):
        first[one.version].append(one.seconds)
    at_swaps = [seconds for version in range(2, 22) for seconds in first[version][:3]]
    usual = [one.seconds for one in askers.answers]
    # The first requests to a version wait no longer than others now and then do: it was warm before anybody asked.
    assert np.quantile(at_swaps, 0.5) < 5 * np.quantile(usual, 0.5)
    assert np.quantile(at_swaps, 0.99) < 5 * np.quantile(usual, 0.99)
    assert_true(askers.answers, drawn, lambda version: 2 - version % 2)
    for asker in askers.all:
        versions = [answer.version for answer in asker.answers]
        assert versions == sorted(versions)
        assert len(set(versions)) >= 18  # and so each was asked while it was the newest
    with Client(address) as client:
        states = client.versions()
    assert [version for version, state in states.items() if state == "AVAILABLE"] == [21]


def large(photo: Any, rows: int = 1024) -> list[bytes]:
    """Photos that keep the server at work for a while."""
    return [photo(number % 8) for number in range(rows)]


@pytest.mark.slow
def test_a_graceful_end_answers_what_is_under_way(releases: Path, start: Start, photo: Any, tmp_path: Path) -> None:
    (batching := tmp_path / "batching.txt").write_text("max_enqueued_batches { value: 1000 }")
    port = drawing.free_port()
    server = start(releases, "--rest_api_port", str(port), "--batching_parameters_file", batching)
    address = server.said(r"^serving m3net version 1 on (\S+)$").group(1)
    asked, images = request("embed", large(photo)), [{"b64": base64.b64encode(one).decode()} for one in large(photo)]
    body = json.dumps({"inputs": {"image": images, "attribute": ["pocket"] * 1024}}).encode()

    def by_rest(_: int) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models/m3net:predict", body, timeout=60) as answer:
            return len(json.loads(answer.read())["outputs"])

    with grpc.insecure_channel(address) as channel, ThreadPoolExecutor(2) as pool:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        calls = [stub.Predict.future(asked, timeout=60) for _ in range(12)]
        over_rest = [pool.submit(by_rest, number) for number in range(2)]
        while not any(call.done() for call in calls):
            time.sleep(0.005)
        server.process.terminate()
        assert not all(call.done() for call in calls)  # so that there is something to wait for
        answers = [call.result().outputs["vector"].tensor_shape.dim[0].size for call in calls]
        assert answers == [1024] * 12
        assert [one.result(60) for one in over_rest] == [1024] * 2
    assert server.process.wait(30) == 0
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port))


def resident(pid: int) -> int:
    """Bytes of memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_a_flood_is_refused_at_once_and_leaves_no_trace(releases: Path, start: Start, photo: Any, tmp_path: Path) -> None:
    (batching := tmp_path / "batching.txt").write_text("max_batch_size { value: 4 } max_enqueued_batches { value: 2 }")
    server = start(releases, "--batching_parameters_file", batching)
    address = server.said(r"^serving m3net version 1 on (\S+)$").group(1)
    asked = request("embed", [*large(photo, 383), photo(1) + b"\0" * 500_000])  # trailing bytes: a photo of half a megabyte
    with (
        grpc.insecure_channel(address) as channel,
        grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as aside,
    ):
        predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        check = health_pb2_grpc.HealthStub(aside).Check
        predict(asked)
        before = resident(server.process.pid)
        waits: list[tuple[float, grpc.Future]] = []

        def ask() -> grpc.Future:
            started, call = time.monotonic(), predict.future(asked, timeout=60)
            call.add_done_callback(lambda done: waits.append((time.monotonic() - started, done)))
            return call

        calls, most = [ask() for _ in range(600)], 0  # 300 MB at once
        while len(waits) < len(calls):
            try:
                check(health_pb2.HealthCheckRequest(), timeout=20)
            except grpc.RpcError as error:
                assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # noqa: PT017  (either is right)
            most = max(most, resident(server.process.pid))
        codes = Counter(call.code().name for call in calls)
        assert set(codes) == {"OK", "RESOURCE_EXHAUSTED"}
        assert codes["OK"] >= 3
        assert codes["RESOURCE_EXHAUSTED"] >= 300
        refused, answered = ([wait for wait, call in waits if (call.code().name == "OK") is ok] for ok in (False, True))
        # Beside what is computed: the whole burst goes through one connection, and so nobody's wait is nothing.
        assert statistics.median(refused) < statistics.median(answered) / 2
        assert max(refused) < max(answered)
        assert most - before < 250 << 20  # threads bound what is read at once
        assert predict(asked).outputs["vector"].tensor_shape.dim[0].size == 384  # and at once it is itself again
        with Client(address) as client:
            assert client.ready()


class Throttle(threading.Thread):
    """Passes bytes on to `target`, from client to server in small pieces with a pause after each."""

    def __init__(self, target: str, pause: float) -> None:
        super().__init__(daemon=True)
        host, port = target.rsplit(":", 1)
        self.target, self.pause = (host, int(port)), pause
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"

    def run(self) -> None:
        client, _ = self.listener.accept()
        server = socket.create_connection(self.target)
        threading.Thread(target=self._pass, args=(server, client, 65536, 0.0), daemon=True).start()
        self._pass(client, server, 8192, self.pause)

    def _pass(self, source: socket.socket, target: socket.socket, size: int, pause: float) -> None:
        try:
            while piece := source.recv(size):
                target.sendall(piece)
                time.sleep(pause)
        except OSError:
            return


def test_slow_clients_hold_up_nobody(address: str, photo: Any) -> None:
    slow = [Throttle(address, 0.04) for _ in range(8)]
    for one in slow:
        one.start()
    channels = [grpc.insecure_channel(one.address) for one in slow]
    asked = request("embed", [photo(1) + b"\0" * 400_000])  # 50 pieces: 2 seconds
    calls = [prediction_service_pb2_grpc.PredictionServiceStub(one).Predict.future(asked, timeout=60) for one in channels]
    with Client(address) as client:
        for number in range(20):
            client.embed([photo(number)], ["pocket"])
        assert not any(call.done() for call in calls)  # twenty were served while eight dragged on
    assert [len(call.result().outputs) for call in calls] == [1] * 8
    for channel in channels:
        channel.close()


def test_the_end_does_not_wait_for_a_release_that_loads(
    releases: Path, compose_into: Callable[..., release.Manifest], photo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(Settings({"m3net": ModelConfig(releases)}))
    running = threading.Thread(target=server.run)
    running.start()
    while not server.manager.ready()["m3net"]:
        time.sleep(0.01)
    loading, go, load = threading.Event(), threading.Event(), server.manager._load

    def slowly(name: str, folder: Path) -> Any:
        loading.set()
        go.wait(60)
        return load(name, folder)

    monkeypatch.setattr(server.manager, "_load", slowly)
    release.push(releases, lambda into, number: compose_into(into, number, like=1))
    assert loading.wait(30)
    with Client(server.address, timeout=2) as client:
        assert client.embed([photo(1)], ["pocket"]).shape == (1, 8)
        server.stop()
        wait_until(lambda: server._ended.is_set())
        assert running.is_alive()  # the load is not over
        assert not client.ready()
    go.set()
    running.join(30)
    assert not running.is_alive()


IDLE = 10_000


@pytest.mark.slow
def test_idle_connections(address: str, photo: Any) -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if 0 <= most < IDLE + 2_000:
        pytest.skip(f"{IDLE:,} connections and what else is open do not fit into this machine's limit of {most:,} open files")
    host, port = address.rsplit(":", 1)
    idle = []
    try:
        for _ in range(IDLE):
            idle.append(socket.create_connection((host, int(port)), timeout=20))  # noqa: PERF401  (closed, however many)
        with Client(address, timeout=30) as client:
            for number in range(5):
                assert client.embed([photo(number)], ["pocket"]).shape == (1, 8)
        assert len(idle) == IDLE
    finally:
        for connection in idle:
            connection.close()
    with Client(address, timeout=30) as client:
        assert client.ready()


# The server's clock alone goes wrong, and once it is under way: a client would reckon its own deadlines by it.
BACK = """
import sys, time
from pathlib import Path
real, wrong = time.time, Path(sys.argv.pop(1))
time.time = lambda: real() - 3600 * wrong.exists()
from serving import serve
sys.exit(serve.main(sys.argv[1:]))
"""


def test_a_clock_set_back(releases: Path, compose_into: Any, photo: Any, tmp_path: Path) -> None:
    command = [sys.executable, "-c", BACK, str(tmp_path / "wrong"), str(releases), "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout
            address = process.stdout.readline().split(" on ")[1].strip()
            with Client(address, timeout=20) as client:
                assert client.embed([photo(1)], ["pocket"]).shape == (1, 8)
                (tmp_path / "wrong").touch()
                assert client.embed([photo(1)], ["pocket"]).shape == (1, 8)
                release.push(releases, lambda into, number: compose_into(into, number, like=1))
                manifest = releases / "2" / release.MANIFEST
                early = {**json.loads(manifest.read_text()), "created": "1999-01-01T00:00:00+00:00"}
                manifest.write_text(json.dumps(early))  # its number alone makes it the newest
                wait_until(lambda: client.versions().get(2) == "AVAILABLE")
                assert client.embed([photo(1)], ["pocket"]).shape == (1, 8)
        finally:
            process.terminate()
            assert process.wait(30) == 0


FULL = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from serving import release
from tests.serving import drawn
if sys.argv[4:]:  # no disk that could be filled: a write fails in the middle of a file all the same, for it grows too large
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
release.push(Path(sys.argv[1]), lambda into, version: drawn.compose(into, version, Path(sys.argv[2])))
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path | None]:
    """A folder on a filesystem of 160 kB, enough for one release; None where this user may mount none."""
    (folder := tmp_path / "disk").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        yield None
        return
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_full(small_disk: Path | None, tmp_path: Path, compose_into: Any, parts: Callable[[int], Path]) -> None:
    releases = (small_disk or tmp_path) / "releases"
    release.push(releases, compose_into)
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(releases), str(parts(1)), str(ROOT), *([] if small_disk else ["limited"])],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    assert ("No space left on device" if small_disk else "File too large") in done.stderr
    assert [one.name for one in releases.iterdir()] == ["1"]  # not a trace of the second
    assert release.verify(releases / "1").version == 1
