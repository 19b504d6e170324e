"""Photos for the report: read from the Examples in one pass, small enough to stand in the page, and under their attention."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

THUMBNAIL = 144  # pixels, the longer side
_QUALITY = 70
_HEAT = (217, 48, 0)  # red above a photo in either colour scheme; how strong is how opaque


@dataclass(frozen=True)
class Picture:
    """A small JPEG as a data URI and its size in pixels."""

    uri: str
    width: int
    height: int


def read_photos(examples: Path, split: str, ids: set[str]) -> dict[str, bytes]:
    """JPEG bytes of those `ids` that `split` holds with a photo; stops at the last one found."""
    import tensorflow as tf

    text = tf.io.FixedLenFeature([], tf.string, default_value="")
    spec = {"image/id": text, "image/encoded": text}
    files = sorted(map(str, (examples / f"Split-{split}").glob("*")))
    found: dict[str, bytes] = {}
    for batch in tf.data.TFRecordDataset(files).batch(256).as_numpy_iterator():
        if len(found) == len(ids):
            break
        parsed = tf.io.parse_example(batch, spec)
        for name, data in zip(parsed["image/id"].numpy(), parsed["image/encoded"].numpy(), strict=True):
            if (photo_id := name.decode()) in ids and data:
                found[photo_id] = data
    return found


def thumbnail(data: bytes) -> Picture:
    """The photo, its longer side at most `THUMBNAIL`."""
    photo = Image.open(io.BytesIO(data)).convert("RGB")
    photo.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    return Picture(_uri(photo, "jpeg", quality=_QUALITY, optimize=True), *photo.size)


def heat(attention: np.ndarray) -> str:
    """Attention (H, W), not negative, as a data URI of H x W pixels that get more opaque towards its maximum.

    The browser draws it smoothly over the photo: the network saw no finer than this.
    """
    alpha = np.asarray(255 * 0.85 * attention / max(float(attention.max()), 1e-12), np.uint8)
    return _uri(Image.fromarray(np.dstack([np.full((*alpha.shape, 3), _HEAT, np.uint8), alpha])), "png", optimize=True)


def _uri(image: Image.Image, kind: str, **options: int | bool) -> str:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}"
