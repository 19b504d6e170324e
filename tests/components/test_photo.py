"""One photo: every kind that shops have is one upright RGB JPEG, and every kind of trick or damage one reason."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.catalogue_gen.decode import read
from components.catalogue_gen.photo import PhotoError, normalise


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(normalise(data)))


def bomb(width: int, height: int, packed: bytes = b"", extra: tuple[bytes, bytes] | None = None) -> bytes:
    """A small PNG that says it is `width` by `height`, with `packed` as its pixels and one more chunk."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    more = chunk(*extra) if extra else b""
    return b"\x89PNG\r\n\x1a\n" + head + more + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


RED = Image.new("RGB", (40, 60), (200, 0, 0))
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 40, 3), np.uint8))


def test_a_photo_is_turned_upright() -> None:
    image = Image.new("RGB", (60, 40), "white")
    image.paste((255, 0, 0), (0, 0, 20, 40))  # the left third is red
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise to see it upright
    upright = opened(encoded(image, exif=exif))
    assert upright.size == (40, 60)
    assert np.asarray(upright)[5, 20, 1] < 60  # red on top
    assert np.asarray(upright)[50, 20, 1] > 200


def test_cmyk_alpha_palette_and_sixteen_bits_become_rgb() -> None:
    cmyk = np.asarray(opened(encoded(RED.convert("CMYK"))))
    assert cmyk[20, 20, 0] > 150
    assert cmyk[20, 20, 1] < 60
    clear = Image.new("RGBA", (40, 60), (255, 0, 0, 0))
    assert np.asarray(opened(encoded(clear, "PNG")))[20, 20].min() > 250  # white shows through
    grey = Image.fromarray(np.full((60, 40), 128 << 8, np.uint16))
    assert abs(int(np.asarray(opened(encoded(grey, "PNG")))[20, 20, 0]) - 128) < 3
    assert opened(encoded(RED.convert("P"), "PNG")).mode == "RGB"


def test_a_large_photo_is_made_smaller_and_keeps_its_shape() -> None:
    assert opened(encoded(Image.new("RGB", (3000, 1000)))).size == (256, 85)


@pytest.mark.parametrize(("data", "words"), [
    (encoded(Image.new("RGB", (1, 1))), "too small"),
    (encoded(Image.new("L", (10_000, 10_000))), "over 64 megapixels"),
    (b"", "not an image"),
    (b"\xff\xd8\xff\xe0 text", "image"),
])  # fmt: skip
def test_a_photo_that_cannot_be_used_says_why(data: bytes, words: str) -> None:
    with pytest.raises(PhotoError, match=words):
        normalise(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000"])
def test_every_known_format_works_and_cut_short_says_why(kind: str) -> None:
    assert np.abs(np.asarray(opened(encoded(RED, kind))).astype(int) - (200, 0, 0)).max() < 12
    data = encoded(NOISE, kind)
    with pytest.raises(PhotoError) as caught:
        normalise(data[: len(data) * 2 // 3])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["EPS", "PDF", "TGA", "ICO", "PPM"])
def test_other_formats_are_not_opened(kind: str) -> None:
    with pytest.raises(PhotoError, match="not an image, or none of JPEG"):
        normalise(encoded(RED, kind))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_picture_is_taken(kind: str) -> None:
    blue = Image.new("RGB", RED.size, (0, 0, 200))
    first = np.asarray(opened(encoded(RED, kind, save_all=True, append_images=[blue])))
    assert np.abs(first.astype(int) - (200, 0, 0)).max() < 12


def test_a_small_file_that_would_fill_memory_is_refused_or_read_within_bounds() -> None:
    zeros = zlib.compress(bytes(50 << 20))
    with pytest.raises(PhotoError, match="100000x100000 pixels is over"):
        normalise(bomb(100_000, 100_000, zeros))
    for kind in (b"zTXt", b"iCCP"):
        with pytest.raises(PhotoError, match="too large"):
            normalise(bomb(40, 60, zlib.compress(bytes(121 * 60)), (kind, b"a\0\0" + zlib.compress(bytes(50 << 20)))))
    assert opened(bomb(40, 60, zeros)).size == (40, 60)  # more pixels than it says: the rest is not read
    gif = encoded(RED, "GIF")
    with pytest.raises(PhotoError, match="60000x60000"):
        normalise(gif[:6] + struct.pack("<HH", 60000, 60000) + gif[10:])


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_costs_the_turn_and_not_the_photo() -> None:
    data = encoded(RED)
    assert opened(data[:2] + b"\xff\xe1\x00\x20Exif\0\0MM\0*" + b"\xff" * 20 + data[2:]).size == (40, 60)


def test_a_pipe_or_a_device_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for location in (str(tmp_path / "pipe.jpg"), "/dev/zero"):
        with pytest.raises(PhotoError, match="a pipe or a device"):
            read(location)
