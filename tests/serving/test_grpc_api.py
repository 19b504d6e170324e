"""The real server in a process of its own, asked over TF Serving's stubs: answers against NumPy, errors with their codes."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.tensors import from_proto, to_proto

Code = grpc.StatusCode


@pytest.fixture(scope="module")
def channel(address: str) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(address) as channel:
        yield channel


@pytest.fixture(scope="module")
def stub(channel: grpc.Channel) -> Any:
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def strings(*values: bytes) -> np.ndarray:
    return np.array(values, object)


def request(
    signature: str, output_filter: tuple[str, ...] = (), name: str = "m3net", **inputs: np.ndarray
) -> predict_pb2.PredictRequest:
    asked = predict_pb2.PredictRequest(output_filter=output_filter)
    asked.model_spec.name, asked.model_spec.signature_name = name, signature
    for key, array in inputs.items():
        asked.inputs[key].CopyFrom(to_proto(array))
    return asked


@pytest.fixture
def search(photo: Callable[[int], bytes]) -> Callable[..., predict_pb2.PredictRequest]:
    """A good request, from which each test changes one thing."""

    def make(**changed: Any) -> predict_pb2.PredictRequest:
        good = {"image": strings(photo(40)), "attribute": strings(b"pocket"), "k": np.array(3, np.int32)}
        arrays = {name: value for name, value in {**good, **changed}.items() if isinstance(value, np.ndarray)}
        return request("search", changed.get("output_filter", ()), **arrays)

    return make


def answer(stub: Any, asked: predict_pb2.PredictRequest) -> dict[str, np.ndarray]:
    return {name: from_proto(proto) for name, proto in stub.Predict(asked, timeout=20).outputs.items()}


def refused(call: Callable[..., Any], asked: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(asked, timeout=20)
    return caught.value.code(), caught.value.details()


def test_search_with_attributes_mixed(stub: Any, photo: Callable[[int], bytes], drawn: Any) -> None:
    images, attributes = [40, 41, 42], ["pocket", "neckline", "pocket"]
    asked = request(
        "search",
        image=strings(*map(photo, images)),
        attribute=strings(*(a.encode() for a in attributes)),
        k=np.array(5, np.int64),
    )
    response = stub.Predict(asked)
    spec = response.model_spec
    assert (spec.name, spec.signature_name, spec.version.value) == ("m3net", "search", 1)
    got = {name: from_proto(proto) for name, proto in response.outputs.items()}
    assert set(got) == {"id", "score"}  # the contract's outputs and no others
    for row, (image, attribute) in enumerate(zip(images, attributes, strict=True)):
        expected = drawn(1).neighbours(image, attribute, 5)
        assert [i.decode() for i in got["id"][row]] == [i for i, _, _ in expected]
        np.testing.assert_allclose(got["score"][row], [score for _, _, score in expected], rtol=1e-5)


def test_classes_and_locations_only_by_name(stub: Any, search: Any, drawn: Any) -> None:
    got = answer(stub, search(output_filter=("class", "id", "image")))
    assert set(got) == {"class", "id", "image"}
    expected = drawn(1).neighbours(40, "pocket", 3)
    assert [c.decode() for c in got["class"][0]] == [c for _, c, _ in expected]
    assert [i.decode() for i in got["image"][0]] == [f"photos/{i.split('-')[1]}.png" for i, _, _ in expected]


def test_k_is_cut_to_the_gallery_and_an_empty_batch_is_empty(stub: Any, search: Any) -> None:
    assert answer(stub, search(k=np.array(1000, np.int32)))["id"].shape == (1, 30)
    assert answer(stub, search(image=strings(), attribute=strings()))["id"].shape == (0, 3)


@pytest.mark.parametrize("signature", ["embed", "serving_default", ""])
def test_embed_is_the_default(stub: Any, photo: Callable[[int], bytes], drawn: Any, signature: str) -> None:
    asked = request(signature, image=strings(photo(7), photo(8)), attribute=strings(b"pocket", b"pocket"))
    response = stub.Predict(asked)
    assert response.model_spec.signature_name == (signature or "serving_default")
    np.testing.assert_allclose(from_proto(response.outputs["vector"]), drawn(1).vectors([7, 8], "pocket"), rtol=1e-5, atol=1e-5)


def test_classify_and_explain_pass_through(stub: Any, photo: Callable[[int], bytes]) -> None:
    classes = answer(stub, request("classify", image=strings(photo(1), photo(2))))
    assert {name: array.shape for name, array in classes.items()} == {"neckline": (2, 3), "pocket": (2, 2)}
    attention = answer(stub, request("explain", image=strings(photo(1)), attribute=strings(b"neckline")))
    assert attention["attention"].tolist() == [[[0.25, 0.25], [0.25, 0.25]]]


def test_typed_fields_are_read_too(stub: Any, search: Any) -> None:
    plain, typed = search(), search()
    typed.inputs["k"].ClearField("tensor_content")
    typed.inputs["k"].int_val.append(3)
    assert answer(stub, typed)["id"].tolist() == answer(stub, plain)["id"].tolist()


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "k missing": ({"k": None}, "input size does not match signature: 2!=3.*Missing but required: {k}"),
    "one too many": ({"x": strings(b"")}, "input size does not match signature: 4!=3.*Sent extra: {x}"),
    "k 0": ({"k": np.array(0, np.int32)}, '"k" must be one integer from 1 to 1000'),
    "k 1001": ({"k": np.array(1001, np.int32)}, '"k" must be one integer from 1 to 1000'),
    "k float": ({"k": np.array(3, np.float32)}, '"k" must be one integer'),
    "k (1,)": ({"k": np.array([3], np.int32)}, r'"k" must be one integer .* shape \(\)'),
    "no attribute": ({"attribute": strings(b"colour")}, 'unknown attribute "colour"; there are: neckline, pocket'),
    "not UTF-8": ({"attribute": strings(b"\xff")}, 'unknown attribute "\ufffd"'),
    "two attributes": ({"attribute": strings(b"pocket", b"pocket")}, "one batch; got attribute 2, image 1"),
    "image of floats": ({"image": np.zeros(1, np.float32)}, r'"image" must be string of shape \(B\); got float32'),
    "image ()": ({"image": np.array(b"", object)}, r'"image" must be string of shape \(B\); got string of shape \(\)'),
    "no image": ({"image": strings(b"not a photo")}, "^Unknown image file format. One of JPEG, PNG, [^[]*$"),
    "empty image": ({"image": strings(b"")}, "^Input is empty.$"),
    "half an image": ({"image": "half"}, "^Invalid PNG data, size 60$"),
    "unknown output": ({"output_filter": ("vector",)}, "output tensor alias not found in signature: vector"),
    "output twice": ({"output_filter": ("id", "id")}, "duplicate output tensor alias: id"),
}


@pytest.mark.parametrize(("changed", "words"), BAD.values(), ids=BAD)
def test_bad_requests(stub: Any, search: Any, photo: Callable[[int], bytes], changed: dict[str, Any], words: str) -> None:
    if changed.get("image") == "half":
        changed = {"image": strings(photo(3)[:60])}
    code, details = refused(stub.Predict, search(**changed))
    assert code is Code.INVALID_ARGUMENT
    assert re.search(words, details)
    assert "\n" not in details
    assert len(details) < 500


def test_malformed_tensor(stub: Any, search: Any) -> None:
    asked = search()
    asked.inputs["k"].tensor_content = b"123"
    assert refused(stub.Predict, asked) == (
        Code.INVALID_ARGUMENT,
        'input "k": 3 bytes of tensor_content do not fill [] of int32',
    )


def test_model_spec(stub: Any, search: Any) -> None:
    missing, nameless, other, later, labelled = (search() for _ in range(5))
    missing.ClearField("model_spec")
    assert refused(stub.Predict, missing) == (Code.INVALID_ARGUMENT, "Missing ModelSpec")
    nameless.model_spec.name = ""
    assert refused(stub.Predict, nameless)[0] is Code.INVALID_ARGUMENT
    other.model_spec.name = "x"
    assert refused(stub.Predict, other) == (Code.NOT_FOUND, "Servable not found for request: Latest(x)")
    later.model_spec.version.value = 3
    assert refused(stub.Predict, later) == (Code.NOT_FOUND, "Servable not found for request: Specific(m3net, 3)")
    labelled.model_spec.version_label = "stable"
    words = "Unrecognized servable version label: stable"
    assert refused(stub.Predict, labelled) == (Code.INVALID_ARGUMENT, words)
    later.model_spec.version.value = 1
    assert stub.Predict(later).model_spec.version.value == 1


def test_unknown_signature_and_unknown_output(stub: Any, photo: Callable[[int], bytes]) -> None:
    words = 'Serving signature key "find" not found.'
    assert refused(stub.Predict, request("find")) == (Code.FAILED_PRECONDITION, words)
    code, details = refused(stub.Predict, request("classify", ("id",), image=strings(photo(1))))
    assert code is Code.INVALID_ARGUMENT
    assert details.startswith("output tensor alias not found in signature: id")
    assert "{neckline,pocket}" in details


def test_model_status(channel: grpc.Channel) -> None:
    status = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus
    asked = get_model_status_pb2.GetModelStatusRequest()
    assert refused(status, asked) == (Code.INVALID_ARGUMENT, "Missing ModelSpec")
    asked.model_spec.name = "m3net"
    (version,) = status(asked).model_version_status
    assert (version.version, version.state, version.status.error_code) == (1, version.AVAILABLE, 0)
    asked.model_spec.version.value = 2
    assert refused(status, asked)[0] is Code.NOT_FOUND


def test_health(channel: grpc.Channel) -> None:
    check = health_pb2_grpc.HealthStub(channel).Check
    for service in ("", "m3net"):
        assert check(health_pb2.HealthCheckRequest(service=service)).status == health_pb2.HealthCheckResponse.SERVING
    assert refused(check, health_pb2.HealthCheckRequest(service="x"))[0] is Code.NOT_FOUND
