"""The page's files, held in memory: an address is looked up among these few and never becomes a path."""

import json
from pathlib import Path

from serving.openapi import document

_FOLDER = Path(__file__).parent
_KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_NAMES = ("page.html", "page.css", "page.js", "ask.js", "photo.js", "icon.svg")

# Nothing but these files may run, style or be asked, no text ever becomes markup, and nobody may frame the page.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def _read(name: str) -> tuple[bytes, str]:
    path = _FOLDER / name
    return path.read_bytes(), f"{_KINDS[path.suffix[1:]]}; charset=utf-8"


# Its address to a file's bytes and type. They hold nothing secret and are sent without a token: a browser has none yet.
FILES = {"/" if name == "page.html" else f"/{name}": _read(name) for name in _NAMES}
FILES["/openapi.json"] = json.dumps(document(), indent=1).encode(), "application/json"
