"""The warm-up file that TF Serving replays before a version answers: a TFRecord of PredictionLog, without TensorFlow."""

import struct
from collections.abc import Iterable, Iterator, Sequence

import google_crc32c
import numpy as np

from serving.protos import prediction_log_pb2
from serving.tensors import to_proto


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
    return b"".join([length, struct.pack("<I", masked(length)), record, struct.pack("<I", masked(record))])


def masked(content: bytes) -> int:
    """Its CRC-32C as TFRecord has it: rotated and shifted, so that one of data that holds checksums stays a good one."""
    crc: int = google_crc32c.value(content)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
