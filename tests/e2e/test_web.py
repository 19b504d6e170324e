"""The page in a real browser, before a server of its own: photos dropped, keys pressed, small and dark screens, mishaps."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving import release
from tests.e2e.browser import BINARY, Page, browser
from tests.e2e.test_report import CONTRASTS
from tests.serving import drawn, web_release
from tests.serving.drawn import ITEMS, TAXONOMY, Running
from tests.serving.web_release import HOSTILE, IDS, NO_PHOTO, neighbours

pytestmark = [pytest.mark.slow, pytest.mark.skipif(BINARY is None, reason="no Chromium here; apt-get install chromium")]


class Served:
    """A server of the hostile release that can go away and come back on the same port."""

    def __init__(self, folder: Path) -> None:
        parts = drawn.parts_of(1, folder / "parts")
        self.folder, self.port = folder, drawn.free_port()
        self.releases = folder / "releases"
        release.push(self.releases, lambda into, v: web_release.compose(into, v, parts, folder / "photos"))
        self.parts, self.address = parts, f"http://127.0.0.1:{self.port}/"
        self.running = self.begin()

    def begin(self, *flags: str | Path) -> Running:
        self.running = Running(self.releases, "--rest_api_port", str(self.port), *flags)
        self.running.said("^serving m3net version")
        return self.running

    def photo(self, number: int) -> Path:
        path = self.folder / f"query-{number}.png"
        path.write_bytes(web_release.large(number))
        return path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("served"))
    yield served
    served.running.end()


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


def load(tab: Page, address: str, until: str = "document.querySelectorAll('#items img').length") -> None:
    tab.loaded = False
    tab.errors.clear()
    tab.call("Page.navigate", url=address)
    while not tab.loaded:
        tab._next()
    wait(tab, until)


def wait(tab: Page, expression: str, seconds: float = 30) -> None:
    """Until something holds on the page."""
    end = time.monotonic() + seconds
    while not tab.evaluate(f"!!({expression})"):
        assert time.monotonic() < end, (expression, tab.evaluate("document.body.innerText")[:1500], tab.errors)
        time.sleep(0.05)


def drop(tab: Page, *files: Path) -> None:
    """Files let go of over the page, as a hand would."""
    data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        tab.call("Input.dispatchDragEvent", type=kind, x=300, y=200, data=data)


def choose(tab: Page, file: Path) -> None:
    root = tab.call("DOM.getDocument")["root"]["nodeId"]
    node = tab.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    tab.call("DOM.setFileInputFiles", files=[str(file)], nodeId=node)


def text(tab: Page, selector: str) -> str:
    return str(tab.evaluate(f"document.querySelector({selector!r}).textContent"))


def ids(tab: Page) -> Any:
    return tab.evaluate("[...document.querySelectorAll('#items .words span:last-child')].map(e => e.textContent)")


FOUND = "!document.body.classList.contains('busy') && document.querySelector('#found-title').textContent.startsWith('Nearest')"
FOCUSED = "document.activeElement.id || document.activeElement.value || document.activeElement.textContent"
FRAMES = "[...document.querySelectorAll('#items .shown')]"
SHOWN = f"{FRAMES}.length && {FRAMES}.every(e => e.textContent || e.firstChild?.complete)"


def test_drop_a_photo_pick_an_attribute_see_the_neighbours(tab: Page, served: Served) -> None:
    tab.screen(1280, 900)
    tab.requested.clear()
    load(tab, served.address)
    assert text(tab, "#release") == f"{ITEMS} items of {HOSTILE} · <b>drawn</b> · release 1"
    drop(tab, served.photo(40))
    wait(tab, FOUND)
    assert ids(tab) == neighbours(40, "neckline", 24)
    tab.evaluate("document.querySelector('input[value=pocket]').click()")
    wait(tab, f"{FOUND} && document.querySelector('#found-title').textContent.endsWith('pocket')")
    assert ids(tab) == neighbours(40, "pocket", 24)
    scores = tab.evaluate("[...document.querySelectorAll('#items .words')].map(e => e.children[1].textContent)")
    assert scores[0] == f"score {drawn.Drawn(1).neighbours(40, 'pocket', 1)[0][2]:.3f}"
    wait(tab, SHOWN)
    assert tab.evaluate("document.querySelectorAll('#items img').length") == 24 - (IDS[NO_PHOTO] in ids(tab))
    tab.evaluate("document.querySelector('#more').click()")
    wait(tab, f"document.querySelectorAll('#items li').length == {ITEMS}")
    assert tab.evaluate("document.querySelector('#more').hidden")
    asked = {address.split("?")[0].rsplit("/", 1)[0] for address in tab.requested if not address.startswith("blob:")}
    assert all(address.startswith(served.address[:-1]) for address in asked)


def test_classes_and_attention_of_the_photo(tab: Page, served: Served) -> None:
    load(tab, served.address)
    choose(tab, served.photo(40))
    wait(tab, f"{FOUND} && document.querySelector('#looked').textContent")
    assert text(tab, "#looked") == "Looked at all of the photo alike"  # the drawn model does: 0.25 in each of 2 x 2
    import numpy as np

    logits = drawn._pixels(40).reshape(-1)[:3].astype(float) / 255
    shares = dict(zip(web_release.TAXONOMY["neckline"].classes, np.exp(logits) / np.exp(logits).sum(), strict=True))
    best = sorted(shares, key=lambda name: -shares[name])
    rows = tab.evaluate("[...document.querySelectorAll('#classes li')].map(e => [...e.children].map(c => c.textContent))")
    assert rows == [[name.replace("_", " "), f"{100 * shares[name]:.0f} %"] for name in best]
    guesses = tab.evaluate("[...document.querySelectorAll('.guess')].map(e => e.textContent)")
    assert guesses[0] == f"{rows[0][0]} {rows[0][1]}"
    opacity = "getComputedStyle(document.querySelector('#attention')).opacity"
    wait(tab, f"{opacity} == 1")
    tab.evaluate("document.querySelector('#shine').click()")
    wait(tab, f"{opacity} == 0")


def test_more_like_this_and_back(tab: Page, served: Served) -> None:
    load(tab, served.address)
    drop(tab, served.photo(40))
    wait(tab, FOUND)
    tab.evaluate("document.querySelector('input[value=pocket]').click()")
    wait(tab, f"{FOUND} && document.querySelector('#found-title').textContent.endsWith('pocket')")
    item = ids(tab)[2]
    tab.evaluate("document.querySelectorAll('#items button')[2].click()")
    wait(tab, f"{FOUND} && document.querySelector('#asked-title').textContent == {'Item ' + item!r}")
    wait(tab, "document.activeElement.id == 'found'")  # where reading goes on
    assert ids(tab) == [one for one in neighbours(IDS.index(item), "pocket", 25) if one != item][:24]
    wait(tab, f"{SHOWN} && document.querySelector('#photo').naturalWidth == 120")
    tab.evaluate("history.back()")
    wait(tab, f"{FOUND} && document.querySelector('#asked-title').textContent == 'Your photo'")
    assert ids(tab) == neighbours(40, "pocket", 24)


def test_hostile_ids_and_classes_are_text(tab: Page, served: Served) -> None:
    for item in (0, 1, 2):
        load(tab, served.address + "?attribute=pocket&item=" + "".join(f"%{byte:02X}" for byte in IDS[item].encode()), FOUND)
        assert text(tab, "#asked-title") == f"Item {IDS[item]}"
        wait(tab, SHOWN)
        assert tab.evaluate("document.querySelector('#photo').naturalWidth") == 120
    assert tab.evaluate("document.title") == "Find the same detail"
    assert tab.evaluate("document.scripts.length") == 1
    assert not [error for error in tab.errors if "404" not in error]
    load(tab, f"{served.address}?item={IDS[NO_PHOTO]}", FOUND)
    assert tab.evaluate("document.querySelector('#photoless').checkVisibility()")


def test_nothing_from_elsewhere_and_no_foreign_script(tab: Page, served: Served) -> None:
    load(tab, served.address)
    for attack in (
        "document.body.innerHTML = '<b>x</b>'",
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.mine = 1'}))",
    ):
        failed = tab.evaluate(f"(() => {{ try {{ {attack} }} catch (error) {{ return error.message }} }})()")
        assert failed, attack
    assert tab.evaluate("fetch('http://127.0.0.1:9/').then(() => '', error => error.message)")
    assert any("Content Security Policy" in error for error in tab.errors)
    # As a script of the page would; what DevTools evaluates may call eval otherwise.
    found = tab.call("Runtime.evaluate", expression="eval('window.mine = 1')", allowUnsafeEvalBlockedByCSP=False)
    assert "exceptionDetails" in found
    assert tab.evaluate("window.mine") is None


def test_keyboard_alone(tab: Page, served: Served) -> None:
    tab.screen(1280, 900)
    load(tab, served.address)
    reached = []
    for _ in range(5):
        tab.press("Tab")
        reached.append(tab.evaluate(FOCUSED))
    assert reached == [
        "Skip to the items found",
        "Find the same detail",
        "file",
        "found" if "found" in reached else "More like this",
        reached[4],
    ]
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    tab.press("Enter")  # on an example's button
    wait(tab, FOUND)
    wait(tab, "document.activeElement.id == 'found'")
    tab.evaluate("document.querySelector('input[value=neckline]').focus()")
    tab.press("ArrowRight")
    wait(tab, f"{FOUND} && document.querySelector('#found-title').textContent.endsWith('pocket')")
    assert tab.evaluate(FOCUSED) == "pocket"  # and it stays where it was


def test_what_a_screen_reader_is_told(tab: Page, served: Served) -> None:
    load(tab, f"{served.address}?item={IDS[9]}&attribute=pocket", f"{FOUND} && {SHOWN}")
    tab.call("Accessibility.enable")
    tree = tab.call("Accessibility.getFullAXTree")["nodes"]
    named = {(n["role"]["value"], n["name"]["value"]) for n in tree if not n.get("ignored") and n.get("name", {}).get("value")}
    for role, name in (
        ("heading", "Find the same detail"),
        ("heading", "Nearest in pocket"),
        ("radio", "neckline"),
        ("region", "Nearest in pocket"),
        ("image", f"Photo of item {IDS[9]}"),
        ("checkbox", "Show where it looked"),
    ):
        assert any(r == role and (n == name or (role == "radio" and n.startswith(name))) for r, n in named), (role, name)
    nameless = [
        n["role"]["value"]
        for n in tree
        if not n.get("ignored") and n["role"]["value"] in {"button", "radio", "link", "image", "textbox", "combobox"}
        and not n.get("name", {}).get("value")
    ]  # fmt: skip
    assert not nameless
    buttons = [name for role, name in named if role == "button" and name.startswith("More like this")]
    assert len(buttons) == 24  # each says of which item
    live = [n for n in tree if n["role"]["value"] == "status"]
    assert len(live) == 1
    assert text(tab, "#status") == f"24 items like item {IDS[9]} in pocket, the nearest first."


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_screen_is_too_narrow(tab: Page, served: Served, width: int) -> None:
    tab.screen(width, 800)
    for more in ("", f"?item={IDS[9]}&attribute=neckline"):
        load(tab, served.address + more, SHOWN if not more else f"{FOUND} && {SHOWN}")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        heights = tab.evaluate(f"[...new Set({FRAMES}.map(e => e.offsetHeight))]")
        assert len(heights) == 1  # whatever a photo's own shape
        small = "[...document.querySelectorAll('button, .button, #drop, #choices label')].filter(e => e.checkVisibility() && e.offsetHeight < 40).length"
        assert tab.evaluate(small) == 0  # room for a finger
        whole = "[...document.querySelectorAll('#choices span:nth-child(2), #classes span:last-child')].filter(e => e.checkVisibility())"
        assert tab.evaluate(f"{whole}.every(e => e.offsetHeight < 30)")  # no word, and no percentage, on two lines
        tab.shot(f"{'found' if more else 'start'}-{width}")
    tab.screen(1280, 900)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_colour_schemes(tab: Page, served: Served, scheme: str) -> None:
    tab.screen(1280, 900, scheme)
    for name, more in (("start", ""), ("found", f"?item={IDS[9]}&attribute=neckline"), ("unknown", "?item=none")):
        load(tab, served.address + more, "document.querySelector('#items img') || document.querySelector('#what').textContent")
        ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
        found: list[Any] = tab.evaluate(CONTRASTS)
        assert len(found) > 4
        assert not [one for one in found if one[0] < 4.5]
        assert tab.evaluate("document.querySelector('#found').checkVisibility()") == (name != "unknown")  # no empty list
        for width in (320, 1280):
            tab.screen(width, 900, scheme)
            tab.shot(f"{name}-{width}-{scheme}")
        tab.screen(1280, 900, scheme)
    tab.screen(1280, 900)


TROUBLE = "document.querySelector('#trouble').checkVisibility()"


def test_what_is_no_photo_is_said_in_plain_words(tab: Page, served: Served) -> None:
    load(tab, served.address)
    (served.folder / "corrupt.jpg").write_bytes(b"\xff\xd8\xff\xe0 and then nothing")
    drop(tab, served.folder / "corrupt.jpg")
    wait(tab, TROUBLE)
    words = "“corrupt.jpg” is not a photo that can be read. Choose a whole JPEG, PNG or WebP file."
    assert text(tab, "#what") == words
    assert tab.evaluate("document.querySelector('#again').hidden")  # again would help nobody
    tab.shot("no-photo")
    drop(tab, served.photo(41))
    wait(tab, FOUND)
    assert not tab.evaluate(TROUBLE)
    assert ids(tab) == neighbours(41, "neckline", 24)


def test_a_server_that_is_gone_and_comes_back_with_another_release(tab: Page, served: Served) -> None:
    load(tab, served.address)
    served.running.end()
    drop(tab, served.photo(42))
    wait(tab, TROUBLE)
    assert text(tab, "#what") == "The server does not answer. Is it still running, and are you connected?"
    tab.shot("no-server")
    compose: Callable[..., Any] = lambda into, v: web_release.compose(into, v, served.parts, served.folder / "photos")  # noqa: E731
    release.push(served.releases, compose)
    served.begin()
    tab.evaluate("document.querySelector('#again').click()")
    wait(tab, FOUND)  # though the version it knew is no longer served
    assert text(tab, "#release").endswith("release 2")
    assert ids(tab) == neighbours(42, "neckline", 24)


def test_a_token_is_asked_for(tab: Page, served: Served) -> None:
    served.running.end()
    (served.folder / "token").write_text("s3cret")
    served.begin("--token-file", served.folder / "token")
    load(tab, served.address, TROUBLE)
    assert text(tab, "#what") == "This server asks for a token."
    tab.shot("token")
    assert tab.evaluate(FOCUSED) == "token"
    for given, until in (
        ("wrong", "document.querySelector('#what').textContent.includes('not take')"),
        ("s3cret", f"!{TROUBLE}"),
    ):
        tab.evaluate("document.querySelector('#token').value = ''")
        tab.evaluate("document.querySelector('#token').focus()")
        tab.call("Input.insertText", text=given)
        tab.press("Enter")
        wait(tab, until)
    wait(tab, f"document.querySelectorAll('#items img').length && {SHOWN}")
    assert TAXONOMY.names[0] in tab.evaluate("[...document.querySelectorAll('input[type=radio]')].map(e => e.value)")
    tab.evaluate("sessionStorage.clear()")
