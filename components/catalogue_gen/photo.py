"""One photo, as it enters the system: decoded, turned upright, RGB, no longer than needed, encoded as JPEG.

Ingestion and `m3net query` call this same function, so that a query is seen as the catalogue's photos were.
"""

import io

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

LONG_SIDE = 256  # pixels; larger than the networks' inputs, so that each of them resizes down
MAX_PIXELS = 64_000_000  # refused above, before decoding: 200 MB of RGB is what one worker may take for one photo
MIN_SIDE = 8  # pixels; below, no attribute can show
_QUALITY = 92
# By name, for Pillow opens more: EPS, for one, is a program, and it would start Ghostscript to run it.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "JPEG2000")

Image.MAX_IMAGE_PIXELS = None  # ours is checked in `_open`, with a reason a shop understands


class PhotoError(ValueError):
    """The bytes are not a photo that can be used; the message is the reason."""


def normalise(data: bytes, long_side: int = LONG_SIDE) -> bytes:
    """Returns `data`, of one of `_FORMATS`, as an upright RGB JPEG whose longer side is at most `long_side` pixels.

    Transparency is laid over white; of an animation, the first picture. Raises: PhotoError for anything that is not one whole photo of a fair size.
    """
    return encoded(decoded(data, long_side))


def decoded(data: bytes, long_side: int = LONG_SIDE) -> Image.Image:
    """The photo that `normalise` encodes. Raises: as `normalise`."""
    try:
        photo = _rgb(ImageOps.exif_transpose(_open(data, long_side)))
        if max(photo.size) > long_side:
            photo.thumbnail((long_side, long_side), Image.Resampling.LANCZOS)
        return photo
    except PhotoError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever a corrupt file makes them trip over
        raise PhotoError(f"corrupt image: {error}") from None


def encoded(photo: Image.Image) -> bytes:
    """`photo` as a JPEG."""
    out = io.BytesIO()
    photo.save(out, "JPEG", quality=_QUALITY, subsampling=0)  # full chroma: colour is an attribute
    return out.getvalue()


def _open(data: bytes, long_side: int) -> Image.Image:
    try:
        photo = Image.open(io.BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError:
        raise PhotoError(f"not an image, or none of {', '.join(_FORMATS)}") from None
    width, height = photo.size
    if width * height > MAX_PIXELS:
        raise PhotoError(f"{width}x{height} pixels is over {MAX_PIXELS // 10**6} megapixels; store a smaller copy")
    if min(width, height) < MIN_SIDE:
        raise PhotoError(f"{width}x{height} pixels is too small; at least {MIN_SIDE} a side")
    photo.draft("RGB", (2 * long_side, 2 * long_side))  # lets a large JPEG be decoded at 1/2 to 1/8: many times faster
    photo.load()
    return photo


def _rgb(photo: Image.Image) -> Image.Image:
    """Any mode as RGB: transparency over white, 16 bits cut to 8 instead of clipped."""
    if photo.mode.startswith("I"):
        photo = Image.fromarray((np.clip(np.asarray(photo, np.int64), 0, 65535) >> 8).astype(np.uint8))
    if "A" in photo.getbands() or "transparency" in photo.info:
        photo = photo.convert("RGBA")
        white = Image.new("RGBA", photo.size, (255, 255, 255, 255))
        photo = Image.alpha_composite(white, photo)
    return photo.convert("RGB")
