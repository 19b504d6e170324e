"""The page: its parts and what it asks for over HTTP, and then a real browser, a keyboard and a phone's screen."""

import base64
import http.client
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from serving import page, release
from serving.calls import Calls
from serving.manager import Manager
from serving.metrics import Metrics
from serving.policy import ModelConfig
from serving.rest_api import RestServer
from serving.servable import Servable
from tests.e2e.browser import BINARY, Page, browser
from tests.serving import drawn as drawing


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the items' locations name: a photo each, but for item 4 a text, for item 5 nothing."""
    folder = tmp_path_factory.mktemp("photos")
    for item in range(drawing.ITEMS):
        (folder / f"{item}.png").write_bytes(drawing.photo(item))
    (folder / "4.png").write_text("root:x:0:0")
    (folder / "5.png").unlink()
    return folder


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Iterator[Manager]:
    folder = tmp_path_factory.mktemp("page")
    parts = drawing.parts_of(1, folder / "parts")
    drawing.save_items(drawing.Drawn(1), parts / "items.parquet", str(photos))
    release.push(folder / "releases", lambda into, version: drawing.compose(into, version, parts))
    manager = Manager({"m3net": ModelConfig(folder / "releases")}, lambda _, folder: Servable(folder))
    manager.refresh()
    yield manager
    manager.close()


@pytest.fixture
def served(manager: Manager) -> Iterator[Callable[..., RestServer]]:
    made: list[RestServer] = []

    def make(**options: Any) -> RestServer:
        metrics = Metrics(manager.ready, {})
        made.append(RestServer(("127.0.0.1", 0), Calls(manager), metrics, "/metrics", page.Page(manager), **options))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.stop(5)


def ask(server: RestServer, path: str, body: Any = None, token: str = "") -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(server.address, timeout=20)
    try:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def test_its_parts_come_from_here_and_nothing_from_elsewhere(served: Any) -> None:
    server = served()
    for path, kind in (("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")):
        status, headers, body = ask(server, path)
        assert (status, headers["Content-Type"].split(";")[0]) == (200, kind)
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
        assert b"http:" not in body
        assert b"https:" not in body
    for path in ("/web/page.js", "/../page.py", "/page.js/..%2f..%2fpage.py", "/index.html", "/page.jsx"):
        assert ask(server, path)[0] == 404


def test_a_question_is_answered_with_all_of_one_release(served: Any) -> None:
    server = served()
    models = json.loads(ask(server, "/page/models")[2])["models"]
    assert models == [
        {
            "name": "m3net",
            "version": 1,
            "attributes": [
                {"name": "neckline", "classes": ["round", "v_neck", "square"]},
                {"name": "pocket", "classes": ["patch", "flap"]},
            ],
        }
    ]
    question = {"model": "m3net", "attribute": "neckline", "k": 4}
    image = base64.b64encode(drawing.photo(40)).decode()
    answer = json.loads(ask(server, "/page/ask", {**question, "image": image})[2])
    expected = drawing.Drawn(1).neighbours(40, "neckline", 4)
    found = [(one["id"], one["classes"], pytest.approx(one["score"], rel=1e-5)) for one in answer["found"]]
    assert found == expected
    assert answer["version"] == 1
    assert np.sum(answer["attention"]) == pytest.approx(1.0)
    assert {name: len(likely) for name, likely in answer["classes"].items()} == {"neckline": 3, "pocket": 2}
    for likely in answer["classes"].values():
        scores = [score for _, score in likely]
        assert scores == sorted(scores, reverse=True)
    again = json.loads(ask(server, "/page/ask", {**question, "id": expected[0][0]})[2])
    item = int(expected[0][0].removeprefix("v1-"))
    assert [one["id"] for one in again["found"]] == [i for i, _, _ in drawing.Drawn(1).neighbours(item, "neckline", 4)]
    assert set(again) == {"version", "found"}


@pytest.mark.parametrize(
    ("changed", "status", "words"),
    [
        ({"model": "x"}, 404, "Servable not found for request: Latest(x)"),
        ({"attribute": "colour"}, 400, 'unknown attribute "colour"'),
        ({"attribute": 3}, 400, '"attribute" must be there, and text'),
        ({"k": 0}, 400, '"k" must be a whole number from 1 to 100'),
        ({"k": True}, 400, '"k" must be a whole number from 1 to 100'),
        ({"image": "%"}, 400, '"image" must be base64'),
        ({"image": "bm9uZQ=="}, 400, "Unknown image file format"),
        ({"id": "nobody"}, 400, 'unknown id "nobody"'),
    ],
)
def test_questions_that_are_none(served: Any, changed: dict[str, Any], status: int, words: str) -> None:
    image = base64.b64encode(drawing.photo(1)).decode()
    code, _, body = ask(served(), "/page/ask", {"model": "m3net", "attribute": "pocket", "image": image, **changed})
    assert (code, words in json.loads(body)["error"]) == (status, True)


def test_photos_of_items_and_of_nothing_else(served: Any) -> None:
    server = served()
    status, headers, body = ask(server, "/page/photo?model=m3net&id=v1-3")
    assert (status, headers["Content-Type"], body) == (200, "image/png", drawing.photo(3))
    assert headers["X-Content-Type-Options"] == "nosniff"
    # A location that names a text file, one that names none, an id that is a path, no id.
    for query in ("id=v1-4", "id=v1-5", f"id={quote('/etc/passwd')}", f"id={quote('../../etc/passwd')}", "id=%00", ""):
        status, _, body = ask(server, f"/page/photo?model=m3net&{query}")
        assert status in (400, 404)
        assert b"root:" not in body


def test_the_page_is_shown_to_all_and_its_answers_to_those_with_the_token(served: Any) -> None:
    server = served(token="s3cret")
    for path in ("/", "/page.css", "/page.js"):
        assert ask(server, path)[0] == 200
    for path in ("/page/models", "/page/photo?model=m3net&id=v1-3"):
        assert ask(server, path)[0] == 401
        assert ask(server, path, token="s3cret")[0] == 200
    assert ask(server, "/page/ask", {"model": "m3net"})[0] == 401


needs_browser = pytest.mark.skipif(BINARY is None, reason="no Chromium here; apt-get install chromium")


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


def until(tab: Page, expression: str, seconds: float = 20.0) -> Any:
    """The value of an expression once it is true."""
    end = time.monotonic() + seconds
    while not (value := tab.evaluate(expression)):
        assert time.monotonic() < end, f"never true: {expression}; {tab.evaluate('document.body.innerText')}"
        time.sleep(0.05)
    return value


def visit(tab: Page, server: RestServer) -> None:
    tab.requested.clear()
    tab.errors.clear()
    tab.call("Page.navigate", url=f"http://{server.address}/")
    until(tab, "document.getElementById('attribute')?.options.length === 2")


def choose(tab: Page, file: Path) -> None:
    root = tab.call("DOM.getDocument")["root"]["nodeId"]
    node = tab.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    tab.call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])


IDS = "[...document.querySelectorAll('#neighbours button')].map(one => one.getAttribute('aria-label').slice(10))"


@pytest.fixture(scope="module")
def garment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo, 40 x 60, as a JPEG that says it was taken sideways."""
    path = tmp_path_factory.mktemp("garment") / "photo.jpg"
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.random.default_rng(5).integers(0, 255, (40, 60, 3), np.uint8)).save(path, exif=exif)
    return path


@needs_browser
@pytest.mark.slow
def test_choose_a_photo_and_go_on_by_keyboard(served: Any, tab: Page, garment: Path) -> None:
    tab.screen(1200, 900)
    visit(tab, server := served())
    choose(tab, garment)
    until(tab, f"{IDS}.length === 12")
    assert tab.evaluate("document.getElementById('photo').naturalHeight") == 60  # turned as its camera meant it
    status = tab.evaluate("document.getElementById('status').textContent")
    assert status == "12 items found; version 1."
    assert "Same neckline as your photo" in tab.evaluate("document.getElementById('found').textContent")
    assert tab.evaluate("document.querySelectorAll('#classes dt').length") == 2
    assert tab.evaluate("document.getElementById('attention').width") == 2
    until(tab, "document.querySelectorAll('#neighbours img').length >= 9")  # two items have no photo
    second = tab.evaluate(IDS)[1]
    tab.evaluate("document.querySelectorAll('#neighbours button')[1].focus()")
    tab.press("Enter")
    until(tab, f"document.getElementById('found').textContent.includes('as {second},')")
    item = int(second.removeprefix("v1-"))
    assert tab.evaluate(IDS) == [i for i, _, _ in drawing.Drawn(1).neighbours(item, "neckline", 12)]
    assert tab.evaluate("document.activeElement.id") == "found"  # a reader of the screen goes on from the new list
    tab.evaluate("const s = document.getElementById('attribute'); s.value = 'pocket'; s.dispatchEvent(new Event('change'))")
    until(tab, "document.getElementById('found').textContent.includes('Same pocket as your photo')")
    assert [error for error in tab.errors if "/page/photo" not in error] == []  # the two photos that are not there
    assert all(one.startswith((f"http://{server.address}/", "blob:", "data:")) for one in tab.requested)


@needs_browser
@pytest.mark.slow
def test_everything_has_a_name_and_fits_a_phone(served: Any, tab: Page, garment: Path, tmp_path: Path) -> None:
    for scheme, width in (("light", 1200), ("dark", 360)):
        tab.screen(width, 800, scheme)
        visit(tab, served())
        choose(tab, garment)
        until(tab, f"{IDS}.length === 12")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        time.sleep(0.3)
        shot = tab.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        (tmp_path / f"{scheme}.png").write_bytes(base64.b64decode(shot))
    tab.call("Accessibility.enable")
    tree = tab.call("Accessibility.getFullAXTree")["nodes"]
    roles = ("button", "combobox", "checkbox", "image", "img", "textbox")
    nameless = [
        node["role"]["value"]
        for node in tree
        if not node["ignored"] and node["role"]["value"] in roles and not node["name"].get("value")
    ]
    assert nameless == []
    assert tab.evaluate("document.documentElement.lang") == "en"


@needs_browser
@pytest.mark.slow
def test_what_goes_wrong_is_said(served: Any, tab: Page, tmp_path: Path) -> None:
    visit(tab, served())
    (tmp_path / "text.jpg").write_text("no photo")
    choose(tab, tmp_path / "text.jpg")
    until(tab, "document.getElementById('error').textContent === 'This file is no photo that the browser can open.'")
    tab.call("Page.navigate", url=f"http://{served(token='s3cret').address}/")
    until(tab, "document.getElementById('secret')?.hidden === false")
    assert "bearer token" in tab.evaluate("document.getElementById('error').textContent")
    tab.evaluate("const t = document.getElementById('token'); t.value = 's3cret'; t.dispatchEvent(new Event('change'))")
    until(tab, "document.getElementById('attribute').options.length === 2")
    assert tab.evaluate("document.getElementById('error').textContent") == ""


def test_ids_and_classes_are_text_wherever_they_come_from() -> None:
    script = (Path(page.__file__).parent / "web" / "page.js").read_text()
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert way not in script
