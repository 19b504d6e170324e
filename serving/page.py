"""The page at the REST port: a photo and an attribute in, neighbours, classes and attention out, all of one release."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from serving.batcher import Arrays
from serving.call import Call, Code, RequestError, invalid
from serving.manager import Manager
from serving.protos import model_pb2
from serving.servable import Servable

_FOLDER = Path(__file__).parent / "web"
# path: file, its type; read from a table, so that no path of a request ever becomes one of the disk
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
# Everything from here and nothing from elsewhere; photos as blobs, for a token cannot go with an <img>.
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_MOST = 100  # neighbours
_SHOWN = 5  # classes of an attribute
_MOST_BYTES = 32 << 20  # of an item's photo
_KINDS = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG": "image/png",
    b"GIF8": "image/gif",
    b"BM": "image/bmp",
    b"RIFF": "image/webp",
}


def file(path: str) -> tuple[bytes, str]:
    """A part of the page and its type; `path` is one of `FILES`."""
    name, kind = FILES[path]
    return (_FOLDER / name).read_bytes(), kind


@dataclass(frozen=True)
class Page:
    """What the page asks for, as JSON values. Every method raises RequestError."""

    manager: Manager

    def models(self) -> dict[str, Any]:
        """The models that answer, with the attributes that can be asked for."""
        return {"models": [self._described(name) for name, ready in sorted(self.manager.ready().items()) if ready]}

    def _described(self, name: str) -> dict[str, Any]:
        with self.manager.use(model_pb2.ModelSpec(name=name)) as servable:
            attributes = [{"name": one.name, "classes": list(one.classes)} for one in servable.taxonomy.attributes]
            return {"name": name, "version": servable.manifest.version, "attributes": attributes}

    def ask(self, document: dict[str, Any], call: Call) -> dict[str, Any]:
        """Neighbours of a photo (`image`, base64) or of an item (`id`) under `attribute`, `k` of them.

        Returns: `version`, `found` (id, classes, score); of a photo also `classes`, for every attribute the likeliest
        with their scores, and `attention`, a grid of numbers of sum 1 that covers the photo.
        """
        name, attribute, k = _text(document, "model"), _text(document, "attribute"), document.get("k", 12)
        if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= _MOST:
            raise invalid(f'"k" must be a whole number from 1 to {_MOST}')
        with self.manager.use(model_pb2.ModelSpec(name=name)) as servable:  # all that is answered is of this one
            under = {"attribute": _strings(attribute.encode())}
            if "id" in document:
                item = {"id": _strings(_text(document, "id").encode())}
                return _answer(servable, "search_by_id", {**item, **under}, k, call)
            photo = {"image": _strings(_decoded(_text(document, "image")))}
            answer = _answer(servable, "search", {**photo, **under}, k, call)
            scores = servable.predict("classify", photo, (), call)
            classes = {one.name: _likeliest(one.classes, scores[one.name][0]) for one in servable.taxonomy.attributes}
            attention = servable.predict("explain", {**photo, **under}, (), call)["attention"][0]
            return {**answer, "classes": classes, "attention": attention.tolist()}

    def photo(self, name: str, item: str) -> tuple[bytes, str]:
        """An item's photo and its type, where it is a file of this machine; URLs are not fetched for anybody."""
        with self.manager.use(model_pb2.ModelSpec(name=name)) as servable:
            location = servable.location(item.encode())
        try:
            with Path(location or "").open("rb") as file:
                content = file.read(_MOST_BYTES)
        except (OSError, ValueError):
            content = b""
        # By its first bytes: whatever else a release's table may name, no other kind of file leaves this machine.
        kind = next((kind for start, kind in _KINDS.items() if content.startswith(start)), "")
        if not kind:
            raise RequestError(Code.NOT_FOUND, "no photo of this item is here")
        return content, kind


def _answer(servable: Servable, signature: str, inputs: Arrays, k: int, call: Call) -> dict[str, Any]:
    found = servable.predict(signature, {**inputs, "k": np.array(k, np.int32)}, ("id", "class", "score"), call)
    rows = zip(*(found[name][0].tolist() for name in ("id", "class", "score")), strict=True)
    items = [{"id": item.decode(), "classes": classes.decode(), "score": score} for item, classes, score in rows]
    return {"version": servable.manifest.version, "found": items}


def _likeliest(classes: Sequence[str], scores: np.ndarray) -> list[list[Any]]:
    return [[classes[place], float(scores[place])] for place in np.argsort(-scores, kind="stable")[:_SHOWN]]


def _text(document: dict[str, Any], name: str) -> str:
    if not isinstance(value := document.get(name), str):
        raise invalid(f'"{name}" must be there, and text')
    return value


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise invalid('"image" must be base64') from None


def _strings(value: bytes) -> np.ndarray:
    return np.array([value], object)
