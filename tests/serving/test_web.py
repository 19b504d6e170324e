"""The page's files and JSON, search by id, and which photos may leave the machine."""

import base64
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from serving import release
from serving.call import Code, RequestError
from serving.calls import Calls
from serving.manager import Manager
from serving.metrics import Metrics
from serving.policy import ModelConfig
from serving.rest_api import RestServer
from serving.servable import Servable
from serving.web.photos import folder_of, thumbnail
from tests.serving import web_release
from tests.serving.drawn import ITEMS, Drawn
from tests.serving.test_photos import bomb
from tests.serving.test_rest_api import ask
from tests.serving.web_release import HOSTILE, IDS, NO_PHOTO, neighbours


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory, parts: Callable[[int], Path]) -> Iterator[Manager]:
    folder = tmp_path_factory.mktemp("web")
    release.push(folder / "releases", lambda into, v: web_release.compose(into, v, parts(1), folder / "photos"))
    manager = Manager({"m3net": ModelConfig(folder / "releases")}, lambda _, one: Servable(one))
    manager.refresh()
    yield manager
    manager.close()


@pytest.fixture(scope="module")
def server(manager: Manager) -> Iterator[RestServer]:
    server = RestServer(("127.0.0.1", 0), Calls(manager), Metrics(manager.ready, {}), "/metrics")
    server.start()
    yield server
    server.stop(5)


def by_id(server: RestServer, ids: Any, attributes: Any, k: Any = 4, **more: Any) -> tuple[int, Any]:
    body = {"signature_name": "search_by_id", "inputs": {"id": ids, "attribute": attributes, "k": k}, **more}
    status, _, answer = ask(server, "POST", "/v1/models/m3net:predict", body)
    return status, answer


def test_search_by_id_is_search_with_the_items_own_vector(server: RestServer) -> None:
    status, answer = by_id(server, [IDS[7], IDS[0], IDS[7]], ["pocket", "neckline", "neckline"])
    assert status == 200
    found = answer["outputs"]
    assert set(found) == {"id", "score"}
    asked = [(7, "pocket"), (0, "neckline"), (7, "neckline")]
    others = [[one for one in neighbours(row, name, 5) if one != IDS[row]][:4] for row, name in asked]  # never itself
    assert found["id"] == others
    drawn = Drawn(1)
    scores = [score for _, _, score in drawn.ranked(drawn.vectors([7], "pocket")[0], "pocket", 4, but=7)]
    assert found["score"][0] == pytest.approx(scores, rel=1e-5)


def test_outputs_wanted_over_rest(server: RestServer) -> None:
    _, answer = by_id(server, [IDS[7]], ["pocket"], 2, output_filter=["class", "id"])
    assert set(answer["outputs"]) == {"class", "id"}
    assert by_id(server, [IDS[7]], ["pocket"], output_filter="class")[0] == 400
    status, answer = by_id(server, [IDS[7]], ["pocket"], output_filter=["nothing"])
    assert (status, answer["error"][:50]) == (400, "output tensor alias not found in signature: nothin")


def test_what_a_release_holds(server: RestServer) -> None:
    for path in ("", "/versions/1"):
        status, headers, told = ask(server, "GET", f"/v1/models/m3net{path}/release")
        assert (status, headers["Cache-Control"]) == (200, "no-store")
        assert (told["model"], told["version"], told["items"], told["dataset"]) == ("m3net", 1, ITEMS, HOSTILE)
        assert told["attributes"][0] == {"name": "neckline", "classes": ["round", "v_neck", HOSTILE], "multi_label": False}
        assert {"search", "search_by_id", "classify", "explain"} <= set(told["signatures"])
        assert set(told["examples"]) <= set(IDS)
        assert len(told["examples"]) == 12
    assert ask(server, "GET", "/v1/models/m3net/versions/2/release")[0] == 404
    assert ask(server, "GET", "/models")[2] == {"models": [{"name": "m3net", "ready": True}]}


def photo_of(server: RestServer, item: str, more: str = "") -> tuple[int, dict[str, str], bytes]:
    import http.client

    connection = http.client.HTTPConnection(server.address, timeout=20)
    connection.request("GET", f"/v1/models/m3net{more}/items/{quote(item, safe='')}/photo")
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read()


@pytest.mark.parametrize("item", [0, 1, 2, 3, 9])
def test_an_items_photo_whatever_its_id(server: RestServer, item: int) -> None:
    status, headers, content = photo_of(server, IDS[item], "/versions/1")
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    found = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), float)
    expected = np.asarray(Image.open(io.BytesIO(web_release.large(item))), float)
    assert found.shape == expected.shape
    assert np.abs(found - expected).mean() < 8  # JPEG rounds; another item's photo is about 85 away


@pytest.mark.parametrize(
    "item", ["../0.png", "/etc/passwd", "item-99", "..", "item-4\0", "\udcff".encode("utf-8", "replace").decode()]
)
def test_an_id_is_no_path(server: RestServer, item: str) -> None:
    status, _, content = photo_of(server, item)
    assert status == 404
    assert json.loads(content)["error"].startswith("no item has the id ")


def test_where_there_is_no_photo(server: RestServer) -> None:
    status, _, content = photo_of(server, IDS[NO_PHOTO])
    assert (status, json.loads(content)) == (404, {"error": "no photo of this item can be shown here"})


@pytest.mark.parametrize(
    ("images", "folder"),
    [
        (["/a/b/1.jpg", "/a/b/2.jpg"], "/a/b"),
        (["/a/b/1.jpg", "/a/bc/2.jpg", "/a/b/3.jpg"], "/a"),
        (["/a/b/1.jpg"], "/a/b"),
        (["/a/b", "/a/b/1.jpg"], "/a"),
        (["/a/b/1.jpg", "/a/b/1.jpg"], "/a/b"),
        (["/a/b/1.jpg", "gs://x/y.jpg", "photos/z.jpg"], "/a/b"),
        (["/a/1.jpg", "/b/1.jpg"], None),  # the root alone: all files of the machine
        (["/1.jpg"], None),
        (["gs://x/y.jpg", "z.jpg"], None),
    ],
)
def test_the_folder_that_all_local_photos_share(images: list[str], folder: str | None) -> None:
    assert folder_of(np.array([one.encode() for one in images], object)) == (Path(folder) if folder else None)


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    folder = tmp_path / "catalogue"
    folder.mkdir()
    (folder / "photo.png").write_bytes(web_release.large(1))
    (tmp_path / "outside.png").write_bytes(web_release.large(2))
    (folder / "link.png").symlink_to(tmp_path / "outside.png")
    (folder / "inside.png").symlink_to(folder / "photo.png")
    (folder / "secret.png").write_text("root:x:0:0")
    (folder / "bomb.png").write_bytes(bomb(60_000, 60_000))
    (folder / "cut.png").write_bytes(web_release.large(1)[:200])
    os.mkfifo(folder / "pipe.png")
    return folder


@pytest.mark.parametrize(
    "name",
    ["link.png", "../outside.png", "secret.png", "bomb.png", "cut.png", "pipe.png", "none.png", "", ".", "photo.png/x", "a\0b"],
)
def test_what_is_no_photo_of_the_catalogue_is_not_sent(catalogue: Path, name: str) -> None:
    with pytest.raises(RequestError, match="no photo of this item") as caught:
        thumbnail(f"{catalogue}/{name}".encode(), catalogue)
    assert caught.value.code is Code.NOT_FOUND


def test_photos_of_the_catalogue_are_sent_also_through_a_link_to_all_of_it(catalogue: Path, tmp_path: Path) -> None:
    for name in ("photo.png", "inside.png"):
        assert Image.open(io.BytesIO(thumbnail(f"{catalogue}/{name}".encode(), catalogue))).size == (120, 160)
    (tmp_path / "alias").symlink_to(catalogue)
    assert thumbnail(f"{tmp_path}/alias/photo.png".encode(), tmp_path / "alias")
    for folder in (None, tmp_path / "gone"):
        with pytest.raises(RequestError):
            thumbnail(f"{catalogue}/photo.png".encode(), folder)
    with pytest.raises(RequestError):  # relative: to what?
        thumbnail(os.path.relpath(catalogue / "photo.png").encode(), catalogue)


@pytest.mark.parametrize(("mode", "size"), [("RGB", (1000, 500)), ("RGBA", (400, 800)), ("L", (9, 9)), ("CMYK", (640, 640))])
def test_a_thumbnail_is_small_and_upright(tmp_path: Path, mode: str, size: tuple[int, int]) -> None:
    colour = {"RGB": (200, 0, 0), "RGBA": (0, 0, 0, 0), "L": 128, "CMYK": (0, 255, 255, 0)}[mode]
    path = tmp_path / ("photo.png" if "A" in mode else "photo.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6  # a camera held upright
    Image.new(mode, size, colour).save(path, exif=exif)
    small = Image.open(io.BytesIO(thumbnail(str(path).encode(), tmp_path)))
    scale = min(1, 320 / max(size))
    assert small.size == (round(size[1] * scale), round(size[0] * scale))
    assert not small.getexif()  # not where it was taken, nor by whom
    if mode == "RGBA":
        assert small.getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/page.css", "text/css"),
        ("/page.js", "text/javascript"),
        ("/icon.svg", "image/svg+xml"),
        ("/?item=x", "text/html"),
    ],
)
def test_the_pages_files(server: RestServer, path: str, kind: str) -> None:
    import http.client

    connection = http.client.HTTPConnection(server.address, timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Content-Type")) == (200, f"{kind}; charset=utf-8")
    assert "default-src 'none'" in answer.getheader("Content-Security-Policy", "")
    content = answer.read().decode()
    assert "://" not in content.replace("http://www.w3.org/2000/svg", "")  # nothing from elsewhere
    assert len(content) < 20_000


@pytest.mark.parametrize(
    "path", ["/page.html", "/photos.py", "/web/page.js", "/../openapi.json", "/page.css/", "/%2e%2e/serving/server.py"]
)
def test_no_other_file_is_sent(server: RestServer, path: str) -> None:
    assert ask(server, "GET", path)[0] == 404


def test_the_page_comes_without_a_token_and_nothing_else_does(manager: Manager) -> None:
    server = RestServer(("127.0.0.1", 0), Calls(manager), Metrics(manager.ready, {}), "/metrics", token="s3cret")
    server.start()
    try:
        for path in ("/", "/page.js", "/openapi.json"):
            assert ask(server, "GET", path)[0] == 200
        image = {"b64": base64.b64encode(web_release.large(1)).decode()}
        for method, path in (
            ("GET", "/models"),
            ("GET", "/v1/models/m3net/release"),
            ("GET", f"/v1/models/m3net/items/{IDS[9]}/photo"),
            ("POST", "/"),
            ("POST", "/v1/models/m3net:predict"),
        ):
            assert ask(server, method, path, {"inputs": [image]} if method == "POST" else None)[0] == 401, path
        assert ask(server, "GET", "/models", headers={"Authorization": "Bearer s3cret"})[0] == 200
    finally:
        server.stop(5)
