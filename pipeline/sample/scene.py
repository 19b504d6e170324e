"""What is behind the garment: a plain wall, a gradient, a room, a texture; and what gets in the way of the camera."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pipeline.sample.canvas import Colour, Pixels, coverage
from pipeline.sample.pose import Box
from pipeline.sample.randomness import Use, stream
from pipeline.sample.shapes import points

_LEAVES: tuple[Colour, ...] = ((0.20, 0.38, 0.22), (0.33, 0.44, 0.24), (0.45, 0.36, 0.30))
_LEAF_SHARE = 0.3
"""The share of photos that a plant at the edge reaches into."""


def draw_background(seed: int, index: int, width: int, height: int) -> Pixels:
    """The background of photo `index`, (height, width, 3)."""
    rng = stream(seed, Use.BACKGROUND, index)
    return _BACKGROUNDS[int(rng.integers(len(_BACKGROUNDS)))](rng, width, height)


def _wall(rng: np.random.Generator) -> Pixels:
    """A muted colour, (3,): photos of clothes have calm walls, and a loud one would drown the garment's colour."""
    return (rng.uniform(0.35, 0.92) + rng.uniform(-0.09, 0.09, size=3)).clip(0.0, 1.0).astype(np.float32)


def _plain(rng: np.random.Generator, width: int, height: int) -> Pixels:
    return np.tile(_wall(rng), (height, width, 1))


def _gradient(rng: np.random.Generator, width: int, height: int) -> Pixels:
    x, y = np.linspace(-0.5, 0.5, width), np.linspace(-0.5, 0.5, height)[:, None]
    angle = rng.uniform(0.0, 2.0 * np.pi)
    share = (0.5 + 0.7 * (np.cos(angle) * x + np.sin(angle) * y)).astype(np.float32)[:, :, None]
    first, second = _wall(rng), _wall(rng)
    return first + share * (second - first)


def _room(rng: np.random.Generator, width: int, height: int) -> Pixels:
    image = Image.new("RGB", (width, height), _bytes(_wall(rng)))
    draw = ImageDraw.Draw(image)
    floor = height * rng.uniform(0.72, 0.9)
    draw.rectangle((0, floor, width, height), fill=_bytes(0.75 * _wall(rng)))
    draw.rectangle((0, floor - 4, width, floor), fill=_bytes(_wall(rng) * 0.5 + 0.45))
    for _ in range(int(rng.integers(2, 6))):  # pictures, a door, shelves: whatever has corners
        left, top = rng.uniform(-0.2, 0.9) * width, rng.uniform(-0.1, 0.6) * height
        box = (left, top, left + rng.uniform(0.12, 0.4) * width, min(floor, top + rng.uniform(0.1, 0.5) * height))
        if box[3] > top:
            draw.rectangle(box, fill=_bytes(_wall(rng)), outline=_bytes(0.6 * _wall(rng)), width=int(rng.integers(1, 5)))
    for _ in range(int(rng.integers(0, 3))):  # lamps, clocks, balls
        x, y, radius = rng.uniform(0.0, width), rng.uniform(0.0, height), rng.uniform(0.03, 0.1) * height
        colour = rng.uniform(0.15, 0.95, size=3).astype(np.float32)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_bytes(colour))
    # Out of focus, as behind a portrait.
    return _floats(image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 2.2)))))


def _texture(rng: np.random.Generator, width: int, height: int) -> Pixels:
    """Plaster, wood or cloth: noise that is stretched along one axis, over finer noise."""
    pixels = _plain(rng, width, height)
    for strength, cells in ((rng.uniform(0.05, 0.12), rng.integers(3, 26, size=2)), (0.04, rng.integers(40, 120, size=2))):
        noise = rng.integers(0, 256, size=cells, dtype=np.uint8)
        grown = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
        pixels += np.float32(strength) * (np.asarray(grown, dtype=np.float32)[:, :, None] / 127.5 - 1)
    return pixels.clip(0.0, 1.0)


_BACKGROUNDS: tuple[Callable[[np.random.Generator, int, int], Pixels], ...] = (_plain, _gradient, _room, _room, _texture)


def _bytes(colour: Pixels) -> tuple[int, int, int]:
    red, green, blue = (np.clip(colour, 0.0, 1.0) * 255).astype(int).tolist()
    return red, green, blue


def _floats(image: Image.Image) -> Pixels:
    return np.asarray(image, dtype=np.float32) / np.float32(255.0)


def draw_occluder(pixels: Pixels, seed: int, index: int) -> None:
    """Lays, in some photos, the leaves of a plant over a side of the photo, at most 0.2 of its width deep."""
    rng = stream(seed, Use.OCCLUDER, index)
    if rng.random() > _LEAF_SHARE:
        return
    height, width = pixels.shape[:2]
    colour = np.array(_LEAVES[int(rng.integers(len(_LEAVES)))], dtype=np.float32)
    side = int(rng.integers(2)) * width
    for _ in range(int(rng.integers(2, 5))):
        y, angle = rng.uniform(0.3, 1.0) * height, np.radians(rng.uniform(-40.0, 30.0))
        reach = rng.uniform(0.10, 0.20) * width
        # A lens, whose half behind the photo's edge holds the stalk.
        lens = reach * points((1.0, 0.0), (0.7, 0.2), (0.2, 0.32), (-1.0, 0.0), (0.2, -0.32), (0.7, -0.2))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        outline = (lens @ turn.T) * np.array([1.0 if side == 0 else -1.0, 1.0]) + np.array([side, y])
        weight = coverage(outline, Box(0, 0, width, height))[:, :, None]
        pixels += weight * (np.float32(rng.uniform(0.8, 1.2)) * colour - pixels)
