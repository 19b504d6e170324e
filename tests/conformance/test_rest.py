"""REST as TensorFlow Serving answers it. Each expectation names the file of github.com/tensorflow/serving it comes from."""

import base64
import json
import urllib.error
import urllib.request
from typing import Any

import numpy as np
import pytest

from tests.conformance.conftest import Target
from tests.serving.drawn import photo


@pytest.fixture(autouse=True)
def _needs_rest(target: Target) -> None:
    if not target.rest:
        pytest.skip("M3NET_REST says where REST is")


def ask(target: Target, path: str, body: Any = None, raw: bytes | None = None) -> tuple[int, Any]:
    """The status and the JSON; POST where there is a body."""
    content = raw if raw is not None else None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(f"http://{target.rest}{path}", content, timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def b64(number: int) -> dict[str, str]:
    return {"b64": base64.b64encode(photo(number)).decode()}


@pytest.fixture
def predict(target: Target) -> str:
    return f"/v1/models/{target.model}:predict"


def test_rows_and_columns_give_the_same(target: Target, predict: str) -> None:
    attribute = target.attributes[0]
    rows = [{"image": b64(1), "attribute": attribute}, {"image": b64(2), "attribute": attribute}]
    code, in_rows = ask(target, predict, {"instances": rows})
    assert code == 200
    columns = {"image": [b64(1), b64(2)], "attribute": [attribute] * 2}
    code, in_columns = ask(target, predict, {"signature_name": "embed", "inputs": columns})
    assert code == 200
    # json_tensor.cc: one named output is given plainly, without its name
    assert (set(in_rows), set(in_columns)) == ({"predictions"}, {"outputs"})
    assert np.shape(in_rows["predictions"])[0] == 2
    np.testing.assert_allclose(in_rows["predictions"], in_columns["outputs"], rtol=1e-5)


def test_several_outputs_are_named_and_one_input_need_not_be(target: Target, predict: str) -> None:
    # json_tensor.cc: FillTensorMapFromInstancesList, FillTensorMapFromInputsMap, MakeJsonFromTensors
    code, rows = ask(target, predict, {"signature_name": "classify", "instances": [b64(1), b64(2), b64(3)]})
    assert code == 200
    assert [set(one) for one in rows["predictions"]] == [set(target.attributes)] * 3
    code, columns = ask(target, predict, {"signature_name": "classify", "inputs": [b64(1), b64(2), b64(3)]})
    assert code == 200
    for name in target.attributes:
        np.testing.assert_allclose([one[name] for one in rows["predictions"]], columns["outputs"][name], rtol=1e-5)


def test_versions_in_the_path(target: Target) -> None:
    body = {"signature_name": "classify", "instances": [b64(1)]}
    base = f"/v1/models/{target.model}"  # http_rest_api_util.cc: ParseModelInfo; the words are those of gRPC
    assert ask(target, f"{base}/versions/{target.version}:predict", body)[0] == 200
    code, answer = ask(target, f"{base}/versions/987654:predict", body)
    words = f"Servable not found for request: Specific({target.model}, 987654)"
    assert (code, answer) == (404, {"error": words})
    code, answer = ask(target, f"{base}/labels/nothing:predict", body)
    assert (code, answer) == (400, {"error": "Unrecognized servable version label: nothing"})
    code, answer = ask(target, "/v1/models/nobody:predict", body)
    assert (code, answer) == (404, {"error": "Servable not found for request: Latest(nobody)"})


# json_tensor.cc: FillPredictRequestFromJson and what it calls; parts of the messages, for JSON values are shown in them
WRONG: dict[str, tuple[Any, str]] = {
    "empty": (b"", "JSON Parse error: The document is empty"),
    "no JSON": (b"{", "JSON Parse error: "),
    "no object": (b"[1]", "Is not object"),
    "neither": ({}, "Missing 'inputs' or 'instances' key"),
    "both": ({"inputs": [1], "instances": [1]}, "expecting only one of 'inputs' or 'instances' keys to exist"),
    "signature of another type": ({"signature_name": 1, "inputs": []}, "'signature_name' key must be a string value."),
    "unknown signature": ({"signature_name": "x", "inputs": []}, 'Serving signature name: "x" not found in signature def'),
    "instances no list": ({"instances": 1}, "Expecting 'instances' to be an list/array"),
    "no instances": ({"instances": []}, "No values in 'instances' array"),
    "plain rows": ({"instances": ["a"]}, "instances is a plain list, but expecting list of objects"),
    "plain columns": ({"inputs": ["a"]}, "inputs is a plain value/list, but expecting an object"),
    "a row lacks one": ({"instances": [{"attribute": "a"}]}, "keys must be equal to: attribute,image"),
    "a column lacks": ({"inputs": {"attribute": ["a"]}}, "Missing named input: image in 'inputs' object."),
    "rows mixed": ({"instances": [{"image": "a", "attribute": "a"}, 2]}, "Expecting object but got list at item 1"),
    "a number": ({"inputs": {"image": [1], "attribute": ["a"]}}, "is not of expected type: string"),
    "b64 and more": (
        {"inputs": {"image": [{"b64": "YQ==", "x": 1}], "attribute": ["a"]}},
        "not formatted correctly for base64 data",
    ),
    "b64 broken": ({"inputs": {"image": [{"b64": "a"}], "attribute": ["a"]}}, "Unable to base64 decode"),
    "ragged": (
        {"inputs": {"image": [["a"], ["b", "c"]], "attribute": ["a"]}},
        "Encountered list at unexpected size: 2 at level: 1 expected size: 1",
    ),
    "mixed depth": ({"inputs": {"image": [["a"], "b"], "attribute": ["a"]}}, "found at incorrect level: 2"),
}


@pytest.mark.parametrize(("body", "words"), WRONG.values(), ids=WRONG)
def test_bodies_that_make_no_request(target: Target, predict: str, body: Any, words: str) -> None:
    code, answer = ask(target, predict, **({"raw": body} if isinstance(body, bytes) else {"body": body}))
    assert (code, set(answer)) == (400, {"error"})
    assert words in answer["error"]


def test_a_corrupt_photo_is_the_clients_mistake(target: Target, predict: str) -> None:
    # http_rest_api_handler.cc: ProcessPredictRequest hands the status of RunPredict on
    assert ask(target, predict, {"signature_name": "classify", "instances": ["no photo"]})[0] == 400


def test_paths_that_are_none(target: Target) -> None:
    code, answer = ask(target, f"/v1/models/{target.model}:x", {})  # http_rest_api_handler.cc: ProcessRequest
    assert (code, answer) == (400, {"error": f"Malformed request: POST /v1/models/{target.model}:x"})
    assert ask(target, "/v1/models")[0] == 400
    assert ask(target, "/v1/models") == (400, {"error": "Missing model name in request."})


def test_status(target: Target) -> None:
    base = f"/v1/models/{target.model}"
    one = {
        "version": str(target.version),
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }  # tensorflow_model_server_test.py: testGetStatusREST
    code, answer = ask(target, base)
    assert code == 200
    assert one in answer["model_version_status"]
    assert ask(target, f"{base}/versions/{target.version}") == (200, {"model_version_status": [one]})
    words = f"Could not find version 987654 of model {target.model}"
    assert ask(target, f"{base}/versions/987654") == (404, {"error": words})
    assert ask(target, "/v1/models/nobody") == (404, {"error": "Could not find any versions of model nobody"})


def test_metadata(target: Target) -> None:
    code, answer = ask(target, f"/v1/models/{target.model}/metadata")
    assert code == 200
    spec = answer["model_spec"]
    assert (spec["name"], spec["version"]) == (target.model, str(target.version))
    # tensorflow_model_server_test.py: testGetModelMetadataREST, the map within the map
    embed = answer["metadata"]["signature_def"]["signature_def"]["embed"]
    assert embed["method_name"] == "tensorflow/serving/predict"
    assert embed["inputs"]["image"]["dtype"] == "DT_STRING"
    assert embed["inputs"]["image"]["tensor_shape"]["dim"] == [{"size": "-1", "name": ""}]


def test_classify_and_regress_on_a_signature_for_predict(target: Target) -> None:
    body = {"signature_name": "embed", "examples": [{"x": 1}]}
    for method in ("classify", "regress"):
        code, answer = ask(target, f"/v1/models/{target.model}:{method}", body)
        assert (code, answer) == (400, {"error": "Expected one input Tensor."})
