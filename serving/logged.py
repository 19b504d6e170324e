"""Request logs read again: as the warm-up of a release, and as the photos that people ask about."""

import hashlib
import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from models.taxonomy import Taxonomy
from serving.protos import prediction_log_pb2
from serving.release import WARM_UP, ReleaseError, verify, versions
from serving.retention import again
from serving.servable import definitions_of
from serving.signatures import DEFAULT
from serving.tensors import from_proto
from serving.warm_up import framed, read_records

_MOST_RECORDS = 1000  # TF Serving reads no more of a warm-up file
_GIVE = "give the .tfrecord files that a server wrote under logging_config"
_MOST_BYTES = 64 << 20  # of them all: they are in every copy of the release, and are run before it answers


class LogError(ValueError):
    """A request log cannot be used; the message says which, why, and what to give instead."""


def requests(files: Iterable[Path]) -> Iterator[Any]:
    """The PredictRequests of request logs, file by file. A record cut short, as a killed server leaves it, ends its file.

    Raises: LogError for a file that is no request log; OSError.
    """
    for file in files:
        content = file.read_bytes()
        try:
            for record in read_records(content, cut_short=True):
                log = prediction_log_pb2.PredictionLog.FromString(record)
                if not log.HasField("predict_log"):
                    raise LogError(f"{file}: holds other records than requests; {_GIVE}")
                yield log.predict_log.request
        except DecodeError:
            raise LogError(f"{file}: is no request log; {_GIVE}") from None


def warmed(releases: Path, files: Iterable[Path]) -> int:
    """Releases the newest version anew, to be warmed up with what was asked of it in request logs, see `warm_up_of`.

    Returns: the new version. Raises: ReleaseError where there is none, or it is damaged; LogError; OSError.
    """
    if not (there := versions(releases)):
        raise ReleaseError(f"{releases}: holds no release to warm up")
    folder = releases / str(there[-1])
    taxonomy = Taxonomy.from_json(json.dumps(verify(folder).taxonomy))
    return again(releases, there[-1], {WARM_UP: warm_up_of(files, definitions_of(folder), taxonomy)})


def warm_up_of(files: Iterable[Path], definitions: Mapping[str, Any], taxonomy: Taxonomy) -> bytes:
    """The newest requests of logs, the oldest file first, as a warm-up file: at most 1,000, and 64 MB.

    Those that the SavedModel itself answers, whose signatures are `definitions`: a warm-up that a TF Serving cannot
    answer stops its load. Raises: LogError where there is none.
    """
    kept: deque[bytes] = deque()
    size = 0
    for request in requests(files):
        if not _answerable(request, definitions, taxonomy):
            continue
        kept.append(_record(request))
        size += len(kept[-1])
        while len(kept) > _MOST_RECORDS or (size > _MOST_BYTES and len(kept) > 1):
            size -= len(kept.popleft())
    if not kept:
        raise LogError(f"the log holds no request that the model itself answers ({', '.join(sorted(definitions))}); {_GIVE}")
    return framed(kept)


def _record(request: Any) -> bytes:
    """As a release's own are: what was asked, of whichever version."""
    log = prediction_log_pb2.PredictionLog()
    asked = log.predict_log.request
    asked.model_spec.name, asked.model_spec.signature_name = request.model_spec.name, request.model_spec.signature_name
    for name, tensor in request.inputs.items():
        asked.inputs[name].CopyFrom(tensor)
    return bytes(log.SerializeToString(deterministic=True))


def _answerable(request: Any, definitions: Mapping[str, Any], taxonomy: Taxonomy) -> bool:
    defined = definitions.get(request.model_spec.signature_name or DEFAULT)
    if defined is None or set(request.inputs) != set(defined.inputs):
        return False
    known = {name.encode() for name in taxonomy.names}
    return "attribute" not in request.inputs or known.issuperset(from_proto(request.inputs["attribute"]).tolist())


def photos(files: Iterable[Path]) -> Iterator[bytes]:
    """Every photo that was asked about, once: a page asks several questions about one. Raises: as `requests`."""
    seen = set()
    for request in requests(files):
        for photo in from_proto(request.inputs["image"]).tolist() if "image" in request.inputs else ():
            if (digest := hashlib.sha256(photo).digest()) not in seen:
                seen.add(digest)
                yield photo
