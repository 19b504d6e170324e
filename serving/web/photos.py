"""Photos of a release's items, for the page: small, drawn anew, and only from the catalogue's own folder.

An id is looked up among the items and never becomes part of a path. A file is sent as pixels that were decoded and
encoded again, so that even a release whose items name other files shows nobody what they hold.
"""

import io
import threading
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from serving.call import Code, RequestError
from serving.photos import MOST_PIXELS

_SIDE = 320  # pixels of the longer side: sharp at the page's size on a phone
_MOST_BYTES = 32 << 20
_DECODING = threading.BoundedSemaphore(4)  # photos at once, each up to 75 MB: a page asks for dozens


def folder_of(images: np.ndarray) -> Path | None:
    """The innermost folder that holds all local files among the locations `images`, bytes (n,).

    None where no file is local, or they share no folder but the root: nothing is shown then.
    """
    local = [one for one in images.tolist() if one.startswith(b"/")]
    if not local:
        return None
    # What the first and the last in order share, all between them share too.
    first, last = min(local), max(local)
    shared = next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    folder = Path(first[: first.rfind(b"/", 0, shared + (first == last)) + 1].decode())
    return folder if folder != Path("/") else None


def thumbnail(image: bytes, folder: Path | None) -> bytes:
    """A JPEG of the photo at the location `image`, at most 320 pixels a side. Raises: RequestError where there is none."""
    path = Path(image.decode())
    try:
        file = path.resolve(strict=True)
        # After links and dots are followed. A pipe or a device would be waited for, and is no photo.
        if folder is None or not path.is_absolute() or not file.is_relative_to(folder.resolve()) or not file.is_file():
            raise _none()
        if file.stat().st_size > _MOST_BYTES:
            raise _none()
        with _DECODING, Image.open(file) as photo:
            return _small(photo)
    except RequestError:
        raise
    except Exception:  # Pillow's decoders raise whatever a corrupt file makes them trip over
        raise _none() from None


def _small(photo: Image.Image) -> bytes:
    if photo.width * photo.height > MOST_PIXELS:
        raise _none()
    photo.draft("RGB", (_SIDE, _SIDE))  # a JPEG is decoded no larger than needed
    upright = ImageOps.exif_transpose(photo).convert("RGBA")
    white = Image.new("RGBA", upright.size, "white")
    white.alpha_composite(upright)
    small = white.convert("RGB")
    small.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=85)
    return out.getvalue()


def _none() -> RequestError:
    return RequestError(Code.NOT_FOUND, "no photo of this item can be shown here")
