"""Where the server under test is: M3NET_GRPC=host:port, and M3NET_REST, M3NET_MODEL; else the embedded one is started.

Against the real one, in a folder that holds releases:

    docker run -p 8500:8500 -p 8501:8501 -v $PWD:/models/m3net -e MODEL_NAME=m3net tensorflow/serving
    M3NET_GRPC=localhost:8500 M3NET_REST=localhost:8501 python -m pytest tests/conformance

Only what a release asks of any TensorFlow Serving is asked here: `embed`, `classify`, `explain`, no retrieval.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import grpc
import pytest
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)

from serving import release
from tests.serving import drawn


@dataclass(frozen=True)
class Target:
    """A server that serves a release, and what it says of itself."""

    grpc: str
    rest: str
    model: str
    version: int
    attributes: tuple[str, ...]


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """gRPC and REST, each host:port."""
    if "M3NET_GRPC" in os.environ:
        yield os.environ["M3NET_GRPC"], os.environ.get("M3NET_REST", "")
        return
    folder = tmp_path_factory.mktemp("conformance")
    parts, rest = drawn.parts_of(1, folder / "parts"), drawn.free_port()
    release.push(folder / "releases", lambda into, version: drawn.compose(into, version, parts))
    running = drawn.Running(folder / "releases", "--rest_api_port", str(rest))
    try:
        yield running.said(r"^serving m3net version 1 on (\S+)$").group(1), f"127.0.0.1:{rest}"
    finally:
        running.end()


@pytest.fixture(scope="session")
def channel(places: tuple[str, str]) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(places[0]) as channel:
        yield channel


@pytest.fixture(scope="session")
def target(places: tuple[str, str], channel: grpc.Channel) -> Target:
    model = os.environ.get("M3NET_MODEL", "m3net")
    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = model
    answer = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(asked, timeout=20)
    version = max(one.version for one in answer.model_version_status if one.state == one.AVAILABLE)
    wanted = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    wanted.model_spec.name = model
    metadata = prediction_service_pb2_grpc.PredictionServiceStub(channel).GetModelMetadata(wanted, timeout=20).metadata
    signatures = get_model_metadata_pb2.SignatureDefMap()
    metadata["signature_def"].Unpack(signatures)
    return Target(*places, model, version, tuple(sorted(signatures.signature_def["classify"].outputs)))
