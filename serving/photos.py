"""How many pixels a photo claims to have, read from its header before anything is decoded: a defence against bombs."""

import struct

MOST_PIXELS = 25_000_000  # decoded and as float32 they take 300 MB


def pixels(photo: bytes) -> int:
    """Width times height that a PNG, JPEG, GIF or BMP claims; 0 where it cannot be told, which is left to the decoder."""
    if photo.startswith(b"\x89PNG\r\n\x1a\n"):
        return _product(photo, 16, ">II")
    if photo.startswith((b"GIF87a", b"GIF89a")):
        return _product(photo, 6, "<HH")
    if photo.startswith(b"BM"):
        return _product(photo, 18, "<ii")
    return _jpeg(photo) if photo.startswith(b"\xff\xd8") else 0


def _product(photo: bytes, place: int, layout: str) -> int:
    if len(photo) < place + struct.calcsize(layout):
        return 0
    width, height = struct.unpack_from(layout, photo, place)
    return abs(width * height)


def _jpeg(photo: bytes) -> int:
    """Walks the segments to the largest frame header; stops where the compressed data begin."""
    place, largest = 2, 0
    while place + 9 <= len(photo) and photo[place] == 0xFF:
        marker = photo[place + 1]
        if marker == 0xFF:  # padding
            place += 1
            continue
        if marker == 0xDA:
            break
        # SOF0 to SOF15 are frame headers, but for the tables DHT, JPG and DAC among them.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            largest = max(largest, _product(photo, place + 5, ">HH"))
        place += 2 + struct.unpack_from(">H", photo, place + 2)[0]
    return largest
