"""From the drawn scene to the photo's JPEG: light, colour temperature, focus, sensor noise, compression."""

import io

import numpy as np
from PIL import Image, ImageFilter

from pipeline.sample.canvas import Pixels
from pipeline.sample.randomness import Use, stream


def take_photo(pixels: Pixels, seed: int, index: int) -> Image.Image:
    """The scene (height, width, 3) as the camera of photo `index` sees it, before compression."""
    rng = stream(seed, Use.CAMERA, index)
    height, width = pixels.shape[:2]
    x, y = np.linspace(-0.5, 0.5, width), np.linspace(-0.5, 0.5, height)[:, None]
    angle, fall = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.0, 0.4)
    light = rng.uniform(0.80, 1.10) * (1.0 + fall * (np.cos(angle) * x + np.sin(angle) * y))
    # Mild: grey must stay grey, for colour is a label.
    warmth = rng.uniform(-0.05, 0.05)
    seen = pixels * light.astype(np.float32)[:, :, None] * np.array([1.0 + warmth, 1.0, 1.0 - warmth], dtype=np.float32)
    seen += np.float32(rng.uniform(0.005, 0.035)) * rng.standard_normal(seen.shape, dtype=np.float32)
    image = Image.fromarray((seen.clip(0.0, 1.0) * 255).astype(np.uint8))
    blur = rng.uniform(-0.6, 0.9)
    return image.filter(ImageFilter.GaussianBlur(float(blur))) if blur > 0 else image


def develop(image: Image.Image, seed: int, index: int) -> bytes:
    """The photo's JPEG, of quality 60 to 94."""
    quality = int(stream(seed, Use.CAMERA, index, 1).integers(60, 95))
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=quality)
    return jpeg.getvalue()
