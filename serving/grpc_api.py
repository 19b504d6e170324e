"""TensorFlow Serving's gRPC services over whichever release is loaded; codes and words are the real server's."""

import sys
from collections.abc import Callable
from typing import Any

import grpc

from serving.protos import get_model_status_pb2, predict_pb2
from serving.servable import DEFAULT, RequestError, Servable
from serving.tensors import from_proto, to_proto

Current = Callable[[], Servable | None]


# Not left to the generated base classes: they raise, and so print a trace in the server's log at every call.
def _unimplemented(self: Any, request: Any, context: Any) -> None:  # noqa: ARG001
    context.abort(grpc.StatusCode.UNIMPLEMENTED, "not answered here; there are Predict, GetModelStatus and Health")


class PredictionService:
    """Predict; the other calls of the service answer UNIMPLEMENTED."""

    Classify = Regress = MultiInference = GetModelMetadata = _unimplemented  # the protocol's names

    def __init__(self, model_name: str, current: Current) -> None:
        self._model_name, self._current = model_name, current

    def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802
        """A request is answered from beginning to end by the release that was current when it came."""
        try:
            return self._answer(request)
        except RequestError as error:
            context.abort(error.code, str(error))
        except Exception as error:  # a defect, or memory that ran out: the client gets a line, the log the kind
            print(f"request failed: {error!r}", file=sys.stderr, flush=True)
            context.abort(grpc.StatusCode.INTERNAL, "the server failed on this request; its log says why")

    def _answer(self, request: Any) -> Any:
        servable = _resolve(request, self._model_name, self._current())
        inputs = {name: _array(name, proto) for name, proto in request.inputs.items()}
        outputs = servable.predict(request.model_spec.signature_name, inputs, tuple(request.output_filter))
        response = predict_pb2.PredictResponse()
        response.model_spec.name = self._model_name
        response.model_spec.signature_name = request.model_spec.signature_name or DEFAULT
        response.model_spec.version.value = servable.manifest.version
        for name, array in outputs.items():
            response.outputs[name].CopyFrom(to_proto(array))
        return response


class ModelService:
    """GetModelStatus of the release that is loaded; another call of the service answers UNIMPLEMENTED."""

    HandleReloadConfigRequest = _unimplemented

    def __init__(self, model_name: str, current: Current) -> None:
        self._model_name, self._current = model_name, current

    def GetModelStatus(self, request: Any, context: Any) -> Any:  # noqa: N802
        """AVAILABLE for the version that answers."""
        try:
            servable = _resolve(request, self._model_name, self._current())
        except RequestError as error:
            context.abort(error.code, str(error))
        status = get_model_status_pb2.ModelVersionStatus
        available = status(version=servable.manifest.version, state=status.AVAILABLE)
        available.status.SetInParent()  # present and empty is how the real server says OK
        return get_model_status_pb2.GetModelStatusResponse(model_version_status=[available])


def _resolve(request: Any, model_name: str, servable: Servable | None) -> Servable:
    """The servable that the request's ModelSpec asks for. Raises: RequestError."""
    if not request.HasField("model_spec"):
        raise RequestError(grpc.StatusCode.INVALID_ARGUMENT, "Missing ModelSpec")
    spec = request.model_spec
    if not spec.name:
        raise RequestError(grpc.StatusCode.INVALID_ARGUMENT, "ModelSpec has no name specified")
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
