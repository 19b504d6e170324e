"""A real browser, told what to do over its DevTools protocol: real keys, another colour scheme, a phone's screen."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
BINARY = next((found for name in NAMES if (found := shutil.which(name))), None)


class Page:
    """One tab. `requested`: every address that it asked for, the page's own included."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket, self.last, self.loaded = socket, 0, False
        self.requested: list[str] = []
        self.errors: list[str] = []
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Sends one command and waits for its answer; events that come before it are noted."""
        self.last += 1
        self.socket.send(json.dumps({"id": self.last, "method": method, "params": parameters}))
        while (message := self._next()).get("id") != self.last:
            pass
        assert "error" not in message, message
        return dict(message["result"])

    def open(self, path: Path) -> None:
        """Loads a file and waits until all of it is there, with or without scripts."""
        self.loaded = False
        self.call("Page.navigate", url=path.as_uri())
        while not self.loaded:
            self._next()

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, promises waited for."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """A key, as a hand would press it."""
        codes = {"Tab": 9, "Enter": 13, "ArrowRight": 39, "ArrowLeft": 37, "End": 35, "Home": 36}
        text = {"text": "\r"} if key == "Enter" else {}
        for kind, more in (("keyDown", text), ("keyUp", {})):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key], **more)

    def screen(self, width: int, height: int, scheme: str = "light", media: str = "") -> None:
        """A screen of that size in pixels, in that colour scheme; `media` "print" shows what would be printed."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}])

    def shot(self, name: str) -> None:
        """Draws the whole page, as far down as it goes, into name.png of the folder in M3NET_SCREENSHOTS; without it, none."""
        if folder := os.environ.get("M3NET_SCREENSHOTS"):
            drawn = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
            Path(folder, f"{name}.png").write_bytes(base64.b64decode(drawn["data"]))

    def _next(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.socket.recv(timeout=60))
        if message.get("method") == "Page.loadEventFired":
            self.loaded = True
        elif message.get("method") == "Network.requestWillBeSent":
            self.requested.append(message["params"]["request"]["url"])
        elif message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
            self.errors.append(json.dumps(message["params"]))
        return message


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """Chromium with an empty profile in `folder`, on a port of its own."""
    # Without its sandbox, which root may not have: it is shown nothing but our own page.
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", f"--user-data-dir={folder}"]
    process = subprocess.Popen([str(BINARY), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = _port(folder / "DevToolsActivePort")
        with urlopen(Request(f"http://127.0.0.1:{port}/json/new", method="PUT")) as answer:
            address = json.load(answer)["webSocketDebuggerUrl"]
        # No pings: while a test waits for something else, nobody reads their answers.
        with connect(address, max_size=None, ping_interval=None) as socket:
            yield Page(socket)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _port(file: Path) -> int:
    for _ in range(300):
        if file.is_file() and (lines := file.read_text().splitlines()):
            return int(lines[0])
        time.sleep(0.1)
    raise TimeoutError("the browser did not start")
