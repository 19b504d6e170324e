"""Examples and TFRecord files, byte by byte: a worker that writes them need not import TensorFlow, which takes seconds.

Source: example.proto and feature.proto of TensorFlow, and its TFRecord format. A test holds both against TensorFlow.
"""

import struct
from collections.abc import Mapping, Sequence

import google_crc32c

Values = Sequence[bytes] | Sequence[int]


def example(features: Mapping[str, Values]) -> bytes:
    """A serialised tf.train.Example: lists of bytes, or of whole numbers from 0; the names in order, as TensorFlow has them.

    An empty list is one of bytes, unless its name begins with "label/": then it is one of whole numbers.
    """
    entries = [_field(1, _field(1, name.encode()) + _field(2, _feature(name, features[name]))) for name in sorted(features)]
    return _field(1, b"".join(entries))


def framed(record: bytes) -> bytes:
    """`record` as it stands in a TFRecord file: length, its checksum, the bytes, their checksum."""
    length = struct.pack("<Q", len(record))
    return b"".join((length, _checksum(length), record, _checksum(record)))


def _feature(name: str, values: Values) -> bytes:
    if isinstance(values[0], int) if values else name.startswith("label/"):
        packed = b"".join(_varint(int(value)) for value in values)
        return _field(3, _field(1, packed) if packed else b"")
    return _field(1, b"".join(_field(1, bytes(value)) for value in values))


def _field(number: int, content: bytes) -> bytes:
    """A field with a length: bytes, text, message, packed numbers."""
    return b"".join((bytes([number << 3 | 2]), _varint(len(content)), content))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _checksum(data: bytes) -> bytes:
    value: int = google_crc32c.value(data)
    return struct.pack("<I", ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF)
