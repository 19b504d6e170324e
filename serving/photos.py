"""How many pixels a photo claims to have, read from its header before anything is decoded: a defence against bombs.

Kinds are told apart by the bytes that TensorFlow's `decode_image` goes by, and read as its decoders read them.
"""

import re
import struct

MOST_PIXELS = 25_000_000  # decoded and as float32 they take 300 MB
_MOST_STEPS = 200_000  # of a walk through a file: more than a GIF of 32 MB in blocks of usual size has
_MOST_JUNK = 1 << 16  # bytes between two segments; to look through megabytes would hold up all other requests
# What libjpeg takes for the next segment: anything is skipped up to a 0xFF, padding and markers without a length too.
# One 0xFF before the marker, not several: of padding the last is enough, and a run of them is not gone through anew from each.
_SEGMENT = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15 are frame headers, but for the tables among them
_SCAN, _END = 0xDA, 0xD9


def pixels(photo: bytes) -> int:
    """Width times height that a photo claims; of an animated GIF all frames together, for all are unpacked.

    Returns: 0 for what is no PNG, JPEG, GIF, BMP or WebP, and so is not decoded at all. Raises: ValueError where it is
    one and does not tell its size.
    """
    for kind, begins, read in _KINDS:
        if photo.startswith(begins):
            try:
                return read(photo)
            except (struct.error, IndexError):
                raise ValueError(
                    f"a photo that begins as {kind} does not tell its size; it is damaged: send it whole"
                ) from None
    return 0


def _png(photo: bytes) -> int:
    if photo[12:16] != b"IHDR":
        raise IndexError
    return _product(photo, 16, ">II")


def _bmp(photo: bytes) -> int:
    return _product(photo, 18, "<ii")


def _product(photo: bytes, place: int, layout: str) -> int:
    width, height = struct.unpack_from(layout, photo, place)
    return abs(width * height)


def _jpeg(photo: bytes) -> int:
    """Walks the segments to the largest frame header; stops where the compressed data begin."""
    place, largest = 2, 0
    for _ in range(_MOST_STEPS):
        segment = _SEGMENT.search(photo, place, place + _MOST_JUNK)
        if segment is None or segment[1][0] in (_SCAN, _END):
            break
        place = segment.end()
        if segment[1][0] in _FRAMES:
            largest = max(largest, _product(photo, place + 3, ">HH"))
        place += max(2, *struct.unpack_from(">H", photo, place))
    if not largest:
        raise IndexError
    return largest


def _gif(photo: bytes) -> int:
    """All frames: the decoder unpacks each before it takes the first. One that is cut short is decoded as far as it goes."""
    screen, place, frames, in_blocks = _product(photo, 6, "<HH"), 13 + _colours(photo[10]), 0, False
    for _ in range(_MOST_STEPS):
        kind = photo[place : place + 1]
        if in_blocks and kind:
            place, in_blocks = place + 1 + kind[0], kind != b"\0"  # each after its length, and in the end an empty one
        elif kind == b"!":
            place, in_blocks = place + 2, True
        elif kind == b",":
            frames += _product(photo, place + 5, "<HH")
            place, in_blocks = place + 11 + _colours(photo[place + 9]), True
        else:
            return max(screen, frames)
    raise IndexError


def _colours(flags: int) -> int:
    """Bytes of a table of colours."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _webp(photo: bytes) -> int:
    """The canvas of the first chunk, the one that a decoder goes by."""
    chunk = photo[12:16]
    if photo[8:12] != b"WEBP":
        return 0
    if chunk == b"VP8X":
        low, high, lower, higher = struct.unpack_from("<HBHB", photo, 24)
        return int((low + (high << 16) + 1) * (lower + (higher << 16) + 1))
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", photo, 21)
        return int(((bits & 0x3FFF) + 1) * ((bits >> 14 & 0x3FFF) + 1))
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", photo, 26)
        return int((width & 0x3FFF) * (height & 0x3FFF))
    raise IndexError


_KINDS = (
    ("PNG", b"\x89PNG\r\n\x1a\n", _png),
    ("JPEG", b"\xff\xd8\xff", _jpeg),
    ("GIF", b"GIF8", _gif),
    ("BMP", b"BM", _bmp),
    ("WebP", b"RIFF", _webp),
)
