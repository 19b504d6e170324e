"""The size that a photo claims, held against what a decoder finds; and claims that are a bomb."""

import contextlib
import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from serving.photos import pixels


def encoded(photo: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    photo.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("GIF", {}),
        ("BMP", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": b"Exif"}),
    ],
)
@pytest.mark.parametrize("size", [(1, 1), (640, 3), (70, 513)])
def test_claims_of_real_photos(kind: str, options: dict[str, Any], size: tuple[int, int]) -> None:
    assert pixels(encoded(Image.fromarray(np.zeros((*size[::-1], 3), np.uint8)), kind, **options)) == size[0] * size[1]


def test_progressive_jpeg_with_comments_and_padding() -> None:
    exif = b"Exif\0\0" + b"y" * 300
    photo = encoded(Image.new("RGB", (33, 77)), "JPEG", progressive=True, comment=b"x" * 1000, exif=exif)
    assert pixels(photo) == 33 * 77
    assert pixels(b"\xff\xd8" + b"\xff" * 9 + photo[3:]) == 33 * 77


@pytest.mark.parametrize("junk", [b"\0", b"junk", b"\xff\0", b"\xff\x01\xff\xd0", b"\xff\xff\xff"])
def test_a_jpeg_with_junk_between_its_segments(junk: bytes) -> None:
    photo = encoded(Image.new("RGB", (33, 77)), "JPEG")
    end = 4 + int.from_bytes(photo[4:6], "big")  # of the first segment
    assert pixels(photo[:end] + junk + photo[end:]) == 33 * 77
    assert pixels(photo[:end] + junk + photo[end:]) == tensorflow_finds(photo[:end] + junk + photo[end:])


def tensorflow_finds(photo: bytes) -> int:
    import tensorflow as tf

    height, width, _ = tf.io.decode_image(photo, 3, expand_animations=False).shape
    return int(height * width)


def test_animations() -> None:
    frames = [Image.fromarray(np.full((50, 40), number, np.uint8)) for number in range(9)]
    together = {
        kind: encoded(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
        for kind in ("GIF", "PNG", "WEBP")
    }
    assert pixels(together["GIF"]) == 9 * 50 * 40  # the decoder unpacks all of them
    assert pixels(together["PNG"]) == pixels(together["WEBP"]) == 50 * 40  # and of these no more than the first
    assert pixels(b"GIF8xx" + together["GIF"][6:]) == 9 * 50 * 40  # TensorFlow looks no closer than this
    assert pixels(together["GIF"][:-30]) >= 8 * 50 * 40  # cut short


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be large."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def test_a_bomb_is_seen_before_it_is_decoded() -> None:
    assert pixels(bomb(60_000, 60_000)) == 3_600_000_000


@pytest.mark.parametrize("start", [b"", b"text", b"RIFF\0\0\0\0WAVE", b"PK\3\4"])
def test_no_photo_claims_nothing(start: bytes) -> None:
    assert pixels(start + b"\0" * 100) == 0


KINDS = {"PNG": b"\x89PNG\r\n\x1a\n", "JPEG": b"\xff\xd8\xff", "GIF": b"GIF89a", "BMP": b"BM", "WebP": b"RIFF\0\0\0\0WEBP"}


@pytest.mark.parametrize(("kind", "start"), KINDS.items(), ids=KINDS)
def test_pieces_claim_nothing_and_are_told_of_in_a_line(kind: str, start: bytes) -> None:
    with pytest.raises(ValueError, match=rf"^a photo that begins as {kind} does not tell its size; [^\n]*$"):
        pixels(start)
    random = np.random.default_rng(0)
    for _ in range(200):
        with contextlib.suppress(ValueError):
            pixels(start + random.bytes(60))


@pytest.mark.parametrize(
    "endless",
    [
        b"\xff\xd8" + b"\xff\xe0\0\2" * (1 << 20),
        b"\xff\xd8" + b"\xff" * (1 << 22),  # gone through anew from each byte it would take hours
        b"GIF89a" + b"\0" * 7 + b"!\0" + b"\1\1" * (1 << 20),
    ],
)
def test_a_walk_ends(endless: bytes) -> None:
    with pytest.raises(ValueError, match="does not tell its size"):
        pixels(endless)
