"""TensorFlow Serving's gRPC services over whichever release is loaded: Predict, model status, health."""

from collections.abc import Callable
from typing import Any

import grpc

from serving.protos import get_model_status_pb2, model_service_pb2_grpc, predict_pb2, prediction_service_pb2_grpc
from serving.servable import DEFAULT, RequestError, Servable
from serving.tensors import from_proto, to_proto


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict; the other calls of the service answer UNIMPLEMENTED."""

    def __init__(self, model_name: str, current: Callable[[], Servable | None]) -> None:
        self.model_name, self.current = model_name, current

    def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802  (the protocol's name)
        """A request is answered from beginning to end by the release that was current when it came."""
        try:
            servable = _resolve(request, self.model_name, self.current())
            inputs = {name: _array(name, proto) for name, proto in request.inputs.items()}
            outputs = servable.predict(request.model_spec.signature_name, inputs, tuple(request.output_filter))
        except RequestError as error:
            context.abort(error.code, error.message)
        response = predict_pb2.PredictResponse()
        response.model_spec.name = self.model_name
        response.model_spec.signature_name = request.model_spec.signature_name or DEFAULT
        response.model_spec.version.value = servable.manifest.version
        for name, array in outputs.items():
            response.outputs[name].CopyFrom(to_proto(array))
        return response


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus of the release that is loaded."""

    def __init__(self, model_name: str, current: Callable[[], Servable | None]) -> None:
        self.model_name, self.current = model_name, current

    def GetModelStatus(self, request: Any, context: Any) -> Any:  # noqa: N802
        """AVAILABLE for the version that answers."""
        try:
            servable = _resolve(request, self.model_name, self.current())
        except RequestError as error:
            context.abort(error.code, error.message)
        status = get_model_status_pb2.ModelVersionStatus
        available = status(version=servable.manifest.version, state=status.AVAILABLE)
        return get_model_status_pb2.GetModelStatusResponse(model_version_status=[available])


def _resolve(request: Any, model_name: str, servable: Servable | None) -> Servable:
    """The servable that the request's ModelSpec asks for. Raises: RequestError, as the real server words it."""
    if not request.HasField("model_spec"):
        raise RequestError(grpc.StatusCode.INVALID_ARGUMENT, "Missing ModelSpec")
    spec = request.model_spec
    if not spec.name:
        raise RequestError(grpc.StatusCode.INVALID_ARGUMENT, "Missing model name in ModelSpec")
    if spec.WhichOneof("version_choice") == "version_label":
        message = f"Unrecognized servable version label: {spec.version_label}"
        raise RequestError(grpc.StatusCode.INVALID_ARGUMENT, message)
    exact = spec.WhichOneof("version_choice") == "version"
    asked = f"Specific({spec.name}, {spec.version.value})" if exact else f"Latest({spec.name})"
    if spec.name != model_name or servable is None or (exact and spec.version.value != servable.manifest.version):
        raise RequestError(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {asked}")
    return servable


def _array(name: str, proto: Any) -> Any:
    try:
        return from_proto(proto)
    except ValueError as error:
        raise RequestError(grpc.StatusCode.INVALID_ARGUMENT, f'input "{name}": {error}') from None
