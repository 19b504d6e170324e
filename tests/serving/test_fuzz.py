"""Whatever is sent, an answer or a refusal comes back: never a defect, never a trace."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving import json_tensors, release
from serving.call import Call, RequestError
from serving.calls import Calls
from serving.manager import Manager
from serving.policy import ModelConfig
from serving.protos import model_pb2, predict_pb2, tensor_pb2
from serving.servable import Servable
from tests.serving.drawn import photo

FUZZ = settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory, compose_into: Callable[..., release.Manifest]) -> Iterator[Manager]:
    releases = tmp_path_factory.mktemp("fuzz")
    release.push(releases, compose_into)
    manager = Manager({"m3net": ModelConfig(releases)}, lambda _, folder: Servable(folder))
    manager.refresh()
    yield manager
    manager.close()


PHOTO = {"b64": base64.b64encode(photo(1)).decode()}
SIGNATURES = st.sampled_from(
    ["", "embed", "classify", "explain", "search", "search_by_id", "search_by_class", "x", "__saved_model_init_op"]
)
LEAVES = st.one_of(
    st.sampled_from(
        [PHOTO, "neckline", "pocket", "v1-3", "v_neck", {"b64": ""}, {"b64": 1}, {}, 1, 0, -1, 1001, 2**31, 2**63, 10**400]
    ),
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3), max_leaves=6)
NAMES = st.sampled_from(["image", "attribute", "k", "id", "class", "x"])
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "signature_name": SIGNATURES | LEAVES,
        "inputs": st.dictionaries(NAMES, VALUES, max_size=4) | VALUES,
        "instances": st.lists(st.dictionaries(NAMES, VALUES, max_size=4) | VALUES, max_size=3) | VALUES,
    },
)


def outcome(ask: Callable[[], Any]) -> Any:
    """The answer, or the refusal; anything else that is raised fails the test."""
    try:
        return ask()
    except RequestError as error:
        return error


def by_rest(manager: Manager, body: bytes) -> bytes:
    """What REST does with a body."""
    calls, spec = Calls(manager), model_pb2.ModelSpec(name="m3net")
    request, rows = json_tensors.to_request(json_tensors.parse(body), lambda name: calls.definition(spec, name))
    request.model_spec.name = "m3net"
    return json_tensors.to_json(calls.predict(request, Call(60)), rows)


@FUZZ
@given(document=DOCUMENTS)
def test_json_of_the_right_kind(manager: Manager, document: dict[str, Any]) -> None:
    answer = outcome(lambda: by_rest(manager, json.dumps(document).encode()))
    if isinstance(answer, RequestError):
        assert "\n" not in str(answer)
    else:
        assert set(json.loads(answer)) <= {"outputs", "predictions"}


@FUZZ
@given(body=st.binary(max_size=60) | st.text(alphabet='{}[]":,0123456789eE+-.truefalsn\\u', max_size=40).map(str.encode))
def test_bytes_of_any_kind(manager: Manager, body: bytes) -> None:
    with pytest.raises(RequestError):
        by_rest(manager, body)


def test_json_that_is_too_deep(manager: Manager) -> None:
    for body in (b'{"inputs": ' + b"[" * 100_000, b'{"inputs": ' + b"[" * 900 + b"]" * 900 + b"}"):
        with pytest.raises(RequestError):
            by_rest(manager, body)


SHAPES = st.lists(st.sampled_from([-1, 0, 1, 2, 3, 2**31, 2**62]), max_size=3)


@st.composite
def tensors(draw: st.DrawFn) -> Any:
    proto = tensor_pb2.TensorProto(dtype=draw(st.sampled_from([0, 1, 3, 7, 9, 7, 7, 19, 101])))
    for size in draw(SHAPES):
        proto.tensor_shape.dim.add(size=size)
    proto.tensor_shape.unknown_rank = draw(st.sampled_from([False, False, False, True]))
    proto.string_val.extend(
        draw(st.lists(st.sampled_from([photo(1), b"pocket", b"neckline", b"v1-3", b"\xff", b""]), max_size=3))
    )
    proto.int_val.extend(draw(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3)))
    proto.tensor_content = draw(st.sampled_from([b"", b"", b"", b"1234", b"\xff" * 20, b"\x01\x01ab"]))
    return proto


@FUZZ
@given(
    signature=SIGNATURES,
    inputs=st.dictionaries(NAMES, tensors(), max_size=4),
    wanted=st.lists(st.sampled_from(["id", "vector", "x"]), max_size=2),
)
def test_messages_of_the_right_kind(manager: Manager, signature: str, inputs: dict[str, Any], wanted: list[str]) -> None:
    request = predict_pb2.PredictRequest(output_filter=wanted)
    request.model_spec.name, request.model_spec.signature_name = "m3net", signature
    for name, proto in inputs.items():
        request.inputs[name].CopyFrom(proto)
    answer = outcome(lambda: Calls(manager).predict(request, Call(60)))
    assert not isinstance(answer, RequestError) or answer.code.name in ("INVALID_ARGUMENT", "FAILED_PRECONDITION")
