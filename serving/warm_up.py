"""The warm-up file that TF Serving replays before a version answers: a TFRecord of PredictionLog, without TensorFlow."""

import struct
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from serving.protos import prediction_log_pb2
from serving.tensors import to_proto

_POLYNOMIAL = 0x82F63B78  # CRC-32C (Castagnoli), bits reversed


def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _table()


def warm_up_records(image: bytes, attributes: Sequence[str], model_name: str = "m3net") -> bytes:
    """The content of `tf_serving_warmup_requests`: one `embed` request of the photo `image` for every attribute."""
    records = []
    for attribute in attributes:
        log = prediction_log_pb2.PredictionLog()
        request = log.predict_log.request
        request.model_spec.name, request.model_spec.signature_name = model_name, "embed"
        request.inputs["image"].CopyFrom(to_proto(np.array([image], object)))
        request.inputs["attribute"].CopyFrom(to_proto(np.array([attribute.encode()], object)))
        records.append(log.SerializeToString(deterministic=True))
    return framed(records)


def read_records(content: bytes) -> Iterator[bytes]:
    """The records of a TFRecord file. Checksums are not looked at: a release's files are held against its manifest.

    Raises: ValueError where it ends within a record.
    """
    place = 0
    while place < len(content):
        end = place + 12 + int.from_bytes(content[place : place + 8], "little")
        if end + 4 > len(content):
            raise ValueError("the warm-up file ends within a record; remove this version and push again")
        yield content[place + 12 : end]
        place = end + 4


def framed(records: Iterable[bytes]) -> bytes:
    """The content of a TFRecord file."""
    return b"".join(_framed(record) for record in records)


def _framed(record: bytes) -> bytes:
    """TFRecord: length, its checksum, the record, its checksum; all little-endian."""
    length = struct.pack("<Q", len(record))
    return b"".join([length, struct.pack("<I", masked(_crc(length))), record, struct.pack("<I", masked(_crc(record)))])


def masked(crc: int) -> int:
    """A CRC-32C as TFRecord has it: rotated and shifted, so that one of data that holds checksums stays a good one."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _crc(content: bytes) -> int:
    # A loop in Python: 5 MB/s are plenty for a few photos, and no package for it is among those asked for.
    crc = 0xFFFFFFFF
    for byte in content:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
