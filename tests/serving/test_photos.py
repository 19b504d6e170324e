"""The size that a photo claims, held against what a decoder finds; and claims that are a bomb."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from serving.photos import pixels


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP"])
@pytest.mark.parametrize("size", [(1, 1), (640, 3), (70, 513)])
def test_claims_of_real_photos(kind: str, size: tuple[int, int]) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((*size[::-1], 3), np.uint8)).save(buffer, kind)
    assert pixels(buffer.getvalue()) == size[0] * size[1]


def test_progressive_jpeg_with_comments_and_padding() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (33, 77)).save(buffer, "JPEG", progressive=True, comment=b"x" * 1000, exif=b"Exif\0\0" + b"y" * 300)
    assert pixels(buffer.getvalue()) == 33 * 77
    assert pixels(b"\xff\xd8" + b"\xff" * 9 + buffer.getvalue()[3:]) == 33 * 77


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be large."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def test_a_bomb_is_seen_before_it_is_decoded() -> None:
    assert pixels(bomb(60_000, 60_000)) == 3_600_000_000


@pytest.mark.parametrize("start", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"\xff\xd8", b"\xff\xd8\xff\xc0", b"text"])
def test_pieces_claim_nothing_and_raise_nothing(start: bytes) -> None:
    for length in range(30):
        assert pixels(start + b"\0" * length) in (0, *range(1))
    for seed in range(200):
        pixels(start + np.random.default_rng(seed).bytes(60))
