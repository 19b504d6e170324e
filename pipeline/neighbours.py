"""A query and its neighbours as text, or as one HTML file with the photos inside it."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from components.catalogue_gen.photo import PhotoError, normalise
from serving.client import Neighbour

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.4 system-ui, sans-serif } body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
.row { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: 1rem } figure { margin: 0 }
img, .none { width: 100%; aspect-ratio: 3 / 4; object-fit: contain; background: #8882; border-radius: .4rem }
.none { display: grid; place-items: center } figcaption { font-size: .85rem; overflow-wrap: anywhere } .query { max-width: 12rem }
"""


def as_text(found: Sequence[Neighbour]) -> str:
    """A line a neighbour: id, class, score."""
    rows = [[n.id, n.classes or "-", f"{n.score:.4f}"] for n in found]
    return tabulate(rows, ("id", "class", "score"), tablefmt="plain", disable_numparse=True)


def as_html(photo: bytes, attribute: str, found: Sequence[Neighbour]) -> str:
    """One page without outside parts. Photos that cannot be read here are named instead of shown."""
    cards = "".join(_card(n) for n in found)
    name = html.escape(attribute)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Same {name}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<h1>Items with the same {name}</h1><figure class='query'>{_image(photo, 'the query')}"
        f"<figcaption>the query</figcaption></figure><h2>Nearest first</h2><div class='row'>{cards}</div></html>\n"
    )


def _card(neighbour: Neighbour) -> str:
    try:
        picture = _image(normalise(Path(neighbour.image).read_bytes()), neighbour.id)
    except (OSError, PhotoError):
        picture = "<div class='none'>no photo here</div>"
    caption = f"{html.escape(neighbour.classes or 'unlabelled')}<br>{neighbour.score:.3f}<br>{html.escape(neighbour.id)}"
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def _image(photo: bytes, alt: str) -> str:
    data = base64.b64encode(photo).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/jpeg;base64,{data}">'
