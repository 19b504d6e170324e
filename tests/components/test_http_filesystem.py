"""Photos and catalogues from a web server: a real one on loopback, that fails, stalls, lies and recovers."""

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from apache_beam.io.filesystems import FileSystems

from components.catalogue_gen import http_filesystem
from components.catalogue_gen.ingest import ingest
from components.catalogue_gen.shards import Folders
from tests.components.direct import direct_pipeline
from tests.components.test_catalogue import RED, examples, rejects
from tests.components.test_photo import encoded

PHOTO = encoded(RED)
CATALOGUE = "image,split,neck\n" + "".join(
    f"{name},train,v\n" for name in ("good.jpg", "slow.jpg", "lost.jpg", "broken.jpg", "short.jpg", "private.jpg", "moved.jpg")
)


class Shop(BaseHTTPRequestHandler):
    """slow: busy twice. broken: always. short: ends early twice. moved: at another address. private: 403."""

    asked: ClassVar[Counter[str]] = Counter()

    def do_HEAD(self) -> None:
        self.answer(200 if self.path in ("/catalogue.csv", "/good.jpg") else 404, b"")

    def do_GET(self) -> None:
        self.asked[self.path] += 1
        tries = self.asked[self.path]
        if self.path == "/catalogue.csv":
            self.answer(200, CATALOGUE.encode())
        elif self.path == "/good.jpg":
            self.answer(200, PHOTO)
        elif self.path == "/slow.jpg":
            self.answer(200 if tries > 2 else 503, PHOTO)
        elif self.path == "/short.jpg":
            self.answer(200, PHOTO if tries > 2 else PHOTO[:100], len(PHOTO))
        elif self.path == "/moved.jpg":
            self.answer(302, b"", to="/good.jpg")
        else:
            self.answer({"/broken.jpg": 500, "/private.jpg": 403}.get(self.path, 404), b"")

    def answer(self, status: int, body: bytes, length: int | None = None, to: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        if to:
            self.send_header("Location", to)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(http_filesystem, "_FIRST_WAIT_SEC", 0.001)
    Shop.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Shop) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_catalogue_on_a_web_server_is_ingested_and_what_fails_for_good_is_rejected(address: str, tmp_path: Path) -> None:
    folders = Folders(*(str(tmp_path / name) for name in ("examples", "labels", "staging")), 1)
    with direct_pipeline() as pipeline:
        ingest(pipeline, f"{address}/catalogue.csv", folders)
    assert set(examples(tmp_path / "examples", "train")) == {"good.jpg", "slow.jpg", "short.jpg", "moved.jpg"}
    found = rejects(tmp_path / "examples")
    assert {row: found[row].rpartition(": ")[2].split(" ")[:2] for row in found} == {
        4: ["HTTP", "404"], 5: ["HTTP", "500"], 7: ["HTTP", "403"],
    }  # fmt: skip
    assert (Shop.asked["/slow.jpg"], Shop.asked["/short.jpg"]) == (3, 3)
    assert (Shop.asked["/lost.jpg"], Shop.asked["/broken.jpg"], Shop.asked["/private.jpg"]) == (1, 4, 1)


def test_a_question_takes_a_photos_address(address: str) -> None:
    def answer(name: str) -> str:
        # A process of its own, which nothing else has taught to open web addresses.
        command = ["query", "--attribute=neck", "--server=127.0.0.1:1", f"{address}/{name}"]
        done = subprocess.run([sys.executable, "-m", "pipeline.cli", *command], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        return done.stderr

    assert "no server answers at 127.0.0.1:1" in answer("good.jpg")  # the photo was read
    assert "HTTP 404" in answer("lost.jpg")


def test_what_is_there_is_known_without_fetching_it(address: str) -> None:
    assert FileSystems.exists(f"{address}/good.jpg")
    assert not FileSystems.exists(f"{address}/lost.jpg")
    assert Shop.asked["/good.jpg"] == 0


def test_a_file_over_the_limit_is_refused_while_it_comes(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_filesystem, "MAX_BYTES", 100)
    with pytest.raises(http_filesystem.HttpError, match="more than"):
        FileSystems.open(f"{address}/good.jpg")


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_filesystem, "_FIRST_WAIT_SEC", 0.001)
    with ThreadingHTTPServer(("127.0.0.1", 0), Shop) as server:
        closed = f"http://127.0.0.1:{server.server_port}/a.jpg"
    with pytest.raises(http_filesystem.HttpError, match="refused"):
        FileSystems.open(closed)


def test_from_https_nothing_leads_to_http() -> None:
    request = http_filesystem.urllib.request.Request("https://shop/a.jpg")
    with pytest.raises(http_filesystem.HttpError, match="redirected"):
        http_filesystem._Redirects().redirect_request(request, None, 302, "", {}, "http://shop/a.jpg")


def test_a_web_address_cannot_be_written() -> None:
    with pytest.raises(http_filesystem.HttpError, match="only be read"):
        FileSystems.create("https://shop/a.jpg")
