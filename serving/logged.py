"""Request logs read again: as the warm-up of a release, and as the photos that people ask about."""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from serving.call import RequestError
from serving.protos import prediction_log_pb2
from serving.release import WARM_UP, ReleaseError, versions
from serving.retention import again
from serving.retrieval import BY_ID
from serving.servable import Servable
from serving.signatures import DEFAULT
from serving.tensors import from_proto
from serving.warm_up import framed, masked

_MOST_RECORDS = 1000  # TF Serving reads no more of a warm-up file
_GIVE = "give the .tfrecord files that a server wrote under logging_config"
_MOST_BYTES = 64 << 20  # of them all: they are in every copy of the release, and are run before it answers


class LogError(ValueError):
    """A request log cannot be used; the message says which, why, and what to give instead."""


@dataclass(frozen=True)
class Warmed:
    """A release made anew: its version, the requests in its warm-up, and how many of the log cannot be in one."""

    version: int
    records: int
    skipped: int


def requests(files: Iterable[Path]) -> Iterator[Any]:
    """The PredictRequests of request logs, file by file. A record cut short, as a killed server leaves it, ends its file.

    Raises: LogError for a file that is no request log, or is damaged; OSError.
    """
    for file in files:
        number = 0
        for number, record in enumerate(_records(file), 1):
            if record is None:
                raise LogError(f"{file}: record {number} is damaged; leave this file out, or copy it anew")
            try:
                log = prediction_log_pb2.PredictionLog.FromString(record)
            except DecodeError:
                raise LogError(f"{file}: is no request log; {_GIVE}") from None
            if not log.HasField("predict_log"):
                raise LogError(f"{file}: holds other records than requests; {_GIVE}")
            yield log.predict_log.request
        if not number:
            raise LogError(f"{file}: is no request log; {_GIVE}")


def _records(file: Path) -> Iterator[bytes | None]:
    """Those of a TFRecord file; None for one whose checksums are not its own, and nothing after that. No first one: nothing."""
    content, place = file.read_bytes(), 0
    while (start := place + 12) <= len(content):
        if not _sound(content[place : start - 4], content[start - 4 : start]):
            if place:
                yield None
            return
        end = start + int.from_bytes(content[place : start - 4], "little")
        if end + 4 > len(content):
            return
        whole = _sound(content[start:end], content[end : end + 4])
        yield content[start:end] if whole else None
        if not whole:
            return
        place = end + 4


def _sound(content: bytes, checksum: bytes) -> bool:
    return masked(content) == int.from_bytes(checksum, "little")


def warmed(releases: Path, files: Iterable[Path]) -> Warmed:
    """Releases the newest version anew, to be warmed up with what was asked of it in request logs, see `warm_up_of`.

    Raises: ReleaseError where there is none, or it cannot be loaded; LogError; OSError.
    """
    if not (there := versions(releases)):
        raise ReleaseError(f"{releases}: holds no release to warm up")
    folder = releases / str(there[-1])
    try:
        servable = Servable(folder)
    except RequestError as error:
        raise ReleaseError(f"{folder}: its own warm-up is refused ({error}); go back to a version that loads") from None
    try:
        records, skipped = warm_up_of(files, servable)
    finally:
        servable.close()
    # The same model and the same items, so that what was added and removed since still holds.
    return Warmed(again(releases, there[-1], {WARM_UP: framed(records)}, changes=True), len(records), skipped)


def warm_up_of(files: Iterable[Path], servable: Servable) -> tuple[list[bytes], int]:
    """The newest requests of logs, the oldest file first, as the records of a warm-up: at most 1,000, and 64 MB.

    Those that the SavedModel of `servable` itself answers, each asked of it once: one that is refused stops a load, also
    that of a TF Serving. Returns: them, and how many were skipped. Raises: LogError where none is left.
    """
    kept: deque[Any] = deque()
    size = skipped = 0
    for request in requests(files):
        if not _fits(request, servable):
            skipped += 1
            continue
        kept.append(request)
        size += request.ByteSize()
        while len(kept) > _MOST_RECORDS or (size > _MOST_BYTES and len(kept) > 1):
            size -= kept.popleft().ByteSize()
    records = [_record(request) for request in kept if _answered(request, servable)]
    if not records:
        raise LogError(f"the log holds no request that the model itself answers ({', '.join(sorted(servable.own))}); {_GIVE}")
    return records, skipped + len(kept) - len(records)


def _record(request: Any) -> bytes:
    """As a release's own are: what was asked, of whichever version."""
    log = prediction_log_pb2.PredictionLog()
    asked = log.predict_log.request
    asked.model_spec.name, asked.model_spec.signature_name = request.model_spec.name, request.model_spec.signature_name
    for name, tensor in request.inputs.items():
        asked.inputs[name].CopyFrom(tensor)
    return bytes(log.SerializeToString(deterministic=True))


def _fits(request: Any, servable: Servable) -> bool:
    """All that can be told without the model. No `search_by_id`: the item may be removed from a release that stays."""
    name = request.model_spec.signature_name or DEFAULT
    if name == BY_ID:
        return False
    try:
        servable.check(name, {key: from_proto(tensor) for key, tensor in request.inputs.items()})
    except (ValueError, RequestError):
        return False
    return True


def _answered(request: Any, servable: Servable) -> bool:
    """Whether the photos of a request that fits can be decoded, too."""
    inputs = {key: from_proto(tensor) for key, tensor in request.inputs.items()}
    try:
        servable.predict(request.model_spec.signature_name, inputs)
    except RequestError:
        return False
    return True


def photos(files: Iterable[Path]) -> Iterator[bytes]:
    """Every photo that was asked about, once: a page asks several questions about one. Raises: as `requests`."""
    seen = set()
    for request in requests(files):
        for photo in _images(request):
            if (digest := hashlib.sha256(photo).digest()) not in seen:
                seen.add(digest)
                yield photo


def _images(request: Any) -> list[bytes]:
    """None of a tensor that is no row of strings."""
    try:
        images = from_proto(request.inputs["image"]) if "image" in request.inputs else None
    except ValueError:
        return []
    return images.tolist() if images is not None and images.dtype == object and images.ndim == 1 else []
