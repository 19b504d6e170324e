"""gRPC as TensorFlow Serving answers it. Each expectation names the file of github.com/tensorflow/serving it comes from."""

import re
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tests.conformance.conftest import Target
from tests.serving.drawn import photo

Code = grpc.StatusCode
INVALID = Code.INVALID_ARGUMENT


@pytest.fixture(scope="module")
def stub(channel: grpc.Channel) -> Any:
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def models(channel: grpc.Channel) -> Any:
    return model_service_pb2_grpc.ModelServiceStub(channel)


@pytest.fixture
def embed(target: Target) -> predict_pb2.PredictRequest:
    """A good request of two photos, from which each test changes one thing."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = target.model, "embed"
    request.inputs["image"].CopyFrom(tf.make_tensor_proto([photo(1), photo(2)]))
    request.inputs["attribute"].CopyFrom(tf.make_tensor_proto([target.attributes[0].encode()] * 2))
    return request


def refused(call: Callable[..., Any], request: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=20)
    return caught.value.code(), caught.value.details()


def test_the_answer_names_model_signature_and_effective_version(stub: Any, embed: Any, target: Target) -> None:
    for signature in ("embed", "serving_default", ""):
        embed.model_spec.signature_name = signature
        spec = stub.Predict(embed, timeout=20).model_spec  # util.cc: MakeModelSpec
        expected = (target.model, signature or "serving_default", target.version)
        assert (spec.name, spec.signature_name, spec.version.value) == expected
    embed.model_spec.version.value = target.version
    assert stub.Predict(embed, timeout=20).model_spec.version.value == target.version


def test_an_answer_is_a_tensor_that_tensorflow_reads(stub: Any, embed: Any) -> None:
    # predict_util.cc: PostProcessPredictionResult, by Tensor::AsProtoField or AsProtoTensorContent
    vectors = tf.make_ndarray(stub.Predict(embed, timeout=20).outputs["vector"])
    assert (vectors.dtype, vectors.ndim, len(vectors)) == (np.float32, 2, 2)


def test_strings_in_string_val_and_in_tensor_content(stub: Any, embed: Any) -> None:
    plain = tf.make_ndarray(stub.Predict(embed, timeout=20).outputs["vector"])
    value = embed.inputs["attribute"].string_val[0]
    del embed.inputs["attribute"].string_val[:]
    # core/framework/tensor.cc of TensorFlow: the lengths as varints, then the strings end to end
    embed.inputs["attribute"].tensor_content = bytes([len(value)] * 2) + value * 2
    np.testing.assert_allclose(tf.make_ndarray(stub.Predict(embed, timeout=20).outputs["vector"]), plain, rtol=1e-5)


def test_a_single_string_fills_a_tensor(stub: Any, embed: Any) -> None:
    del embed.inputs["attribute"].string_val[1:]  # core/framework/tensor.cc: the last value is repeated
    assert stub.Predict(embed, timeout=20).outputs["vector"].tensor_shape.dim[0].size == 2


def test_output_filter(stub: Any, embed: Any, target: Target) -> None:
    request = predict_pb2.PredictRequest(output_filter=[target.attributes[0]])
    request.model_spec.name, request.model_spec.signature_name = target.model, "classify"
    request.inputs["image"].CopyFrom(embed.inputs["image"])
    assert set(stub.Predict(request, timeout=20).outputs) == {target.attributes[0]}
    embed.output_filter.append("x")  # predict_util.cc: PreProcessPrediction, this and the next
    words = "output tensor alias not found in signature: x Outputs expected to be in the set {vector}."
    assert refused(stub.Predict, embed) == (INVALID, words)
    embed.output_filter[:] = ["vector", "vector"]
    assert refused(stub.Predict, embed) == (INVALID, "duplicate output tensor alias: vector")


def test_model_specs_that_name_nothing(stub: Any, embed: Any, target: Target) -> None:
    embed.model_spec.version.value = 987654
    words = f"Servable not found for request: Specific({target.model}, 987654)"  # core/basic_manager.cc
    assert refused(stub.Predict, embed) == (Code.NOT_FOUND, words)
    embed.model_spec.version_label = "no such label"  # server_core.cc: GetModelVersionForLabel
    assert refused(stub.Predict, embed) == (INVALID, "Unrecognized servable version label: no such label")
    embed.model_spec.ClearField("version_label")
    embed.model_spec.name = "nobody"
    assert refused(stub.Predict, embed) == (Code.NOT_FOUND, "Servable not found for request: Latest(nobody)")
    embed.model_spec.name = ""  # server_core.cc: ServableRequestFromModelSpec
    assert refused(stub.Predict, embed) == (INVALID, "ModelSpec has no name specified.")
    embed.ClearField("model_spec")  # predict_impl.cc
    assert refused(stub.Predict, embed) == (INVALID, "Missing ModelSpec")


def test_an_unknown_signature(stub: Any, embed: Any) -> None:
    embed.model_spec.signature_name = "x"  # predict_util.cc: RunPredict
    assert refused(stub.Predict, embed) == (Code.FAILED_PRECONDITION, 'Serving signature key "x" not found.')


def test_too_few_and_too_many_inputs(stub: Any, embed: Any) -> None:
    embed.inputs["x"].CopyFrom(embed.inputs["image"])  # predict_util.cc: VerifyRequestInputsSize
    words = (
        "input size does not match signature: 3!=2 len({attribute,image,x}) != len({attribute,image}). "
        "Sent extra: {x}. Missing but required: {}."
    )
    assert refused(stub.Predict, embed) == (INVALID, words)
    del embed.inputs["x"], embed.inputs["image"]
    words = (
        "input size does not match signature: 1!=2 len({attribute}) != len({attribute,image}). "
        "Sent extra: {}. Missing but required: {image}."
    )
    assert refused(stub.Predict, embed) == (INVALID, words)


def test_a_corrupt_photo_is_the_clients_mistake(stub: Any, embed: Any) -> None:
    embed.inputs["image"].string_val[1] = b"no photo"  # predict_util.cc: RunPredict hands the session's status on
    assert refused(stub.Predict, embed)[0] is INVALID


def test_a_malformed_tensor(stub: Any, embed: Any) -> None:
    # predict_util.cc: PreProcessPrediction, by GetInputValues in cc/saved_model/util.cc of TensorFlow
    embed.inputs["attribute"].tensor_shape.dim[0].size = -2
    assert refused(stub.Predict, embed)[0] is INVALID


def test_metadata(stub: Any, target: Target) -> None:
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    assert refused(stub.GetModelMetadata, request) == (INVALID, "Missing ModelSpec")  # get_model_metadata_impl.cc, all
    request.model_spec.name = target.model
    words = "GetModelMetadataRequest must specify at least one metadata_field"
    assert refused(stub.GetModelMetadata, request) == (INVALID, words)
    request.metadata_field.append("x")
    assert refused(stub.GetModelMetadata, request) == (INVALID, "Metadata field x is not supported")
    request.metadata_field[:] = ["signature_def"]
    response = stub.GetModelMetadata(request, timeout=20)
    assert (response.model_spec.name, response.model_spec.version.value) == (target.model, target.version)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    embed = signatures.signature_def["embed"]
    assert embed.method_name == "tensorflow/serving/predict"
    assert {name: info.dtype for name, info in embed.inputs.items()} == dict.fromkeys(("image", "attribute"), tf.string)
    assert [dim.size for dim in embed.inputs["image"].tensor_shape.dim] == [-1]
    assert embed.outputs["vector"].dtype == tf.float32
    assert {"serving_default", "classify", "explain", "__saved_model_init_op"} <= set(signatures.signature_def)


def test_status(models: Any, target: Target) -> None:
    request = get_model_status_pb2.GetModelStatusRequest()
    assert refused(models.GetModelStatus, request) == (INVALID, "Missing ModelSpec")  # get_model_status_impl.cc, all
    request.model_spec.name = target.model
    request.model_spec.version.value = target.version
    (one,) = models.GetModelStatus(request, timeout=20).model_version_status
    assert (one.version, one.state, one.status.error_code, one.status.error_message) == (target.version, one.AVAILABLE, 0, "")
    request.model_spec.version.value = 987654
    words = f"Could not find version 987654 of model {target.model}"
    assert refused(models.GetModelStatus, request) == (Code.NOT_FOUND, words)
    request.model_spec.ClearField("version")
    request.model_spec.name = "nobody"
    assert refused(models.GetModelStatus, request) == (Code.NOT_FOUND, "Could not find any versions of model nobody")


# method, signature: words; embed has two inputs, classify one that is not called "inputs"
@pytest.mark.parametrize(
    ("method", "signature", "words"),
    [
        ("Classify", "x", r"^No signature was found with the name: x$"),  # classifier.cc
        ("Classify", "embed", r"^Expected one input Tensor\.$"),
        ("Classify", "", r"^Expected one input Tensor\.$"),
        ("Classify", "classify", r"^(Expected one or two output Tensors, found \d+|No classification inputs found in .*)"),
        ("Regress", "x", r"^No signature was found with the name: x$"),  # regressor.cc
        ("Regress", "embed", r"^Expected one input Tensor\.$"),
        ("Regress", "classify", r"^(Expected one output Tensor\.$|No regression inputs found in SignatureDef: )"),
    ],
)
def test_classify_and_regress_on_a_signature_for_predict(
    stub: Any, target: Target, method: str, signature: str, words: str
) -> None:
    kinds = {"Classify": classification_pb2.ClassificationRequest, "Regress": regression_pb2.RegressionRequest}
    request = kinds[method]()
    assert refused(getattr(stub, method), request) == (INVALID, "Missing ModelSpec")  # classification_service.cc
    request.model_spec.name, request.model_spec.signature_name = target.model, signature
    request.input.example_list.examples.add()
    code, details = refused(getattr(stub, method), request)
    assert code is INVALID
    assert re.search(words, details, re.DOTALL)


def test_multi_inference_on_signatures_for_predict(stub: Any, target: Target) -> None:
    request = inference_pb2.MultiInferenceRequest()
    assert refused(stub.MultiInference, request) == (INVALID, "ModelSpec has no name specified.")  # multi_inference_helper.cc
    task = request.tasks.add(method_name="tensorflow/serving/classify")
    task.model_spec.name, task.model_spec.signature_name = target.model, "embed"
    assert refused(stub.MultiInference, request) == (INVALID, "Expected one input Tensor.")  # multi_inference.cc
    task.model_spec.signature_name = "x"
    words = "Requested signature not found in model graph: x"
    assert refused(stub.MultiInference, request) == (INVALID, words)
    task.model_spec.signature_name, task.method_name = "embed", "x"
    assert refused(stub.MultiInference, request) == (Code.UNIMPLEMENTED, "Unsupported signature method_name: x")


def test_an_empty_reload_is_refused(models: Any) -> None:
    code, details = refused(models.HandleReloadConfigRequest, model_management_pb2.ReloadConfigRequest())
    assert code is INVALID
    assert details.startswith("ServerModelConfig type not supported by HandleReloadConfigRequest.")  # model_service_impl.cc


def test_a_deadline_that_is_over(stub: Any, embed: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(embed, timeout=1e-6)  # prediction_service_impl.cc: the deadline is the session's timeout
    assert caught.value.code() is Code.DEADLINE_EXCEEDED
