"""The calls of TF Serving's two services, message in, message out; gRPC and REST both ask here."""

from collections.abc import Callable
from typing import Any

from serving.call import Call, Code, RequestError, invalid
from serving.manager import Manager
from serving.protos import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    predict_pb2,
)
from serving.servable import Servable
from serving.signatures import DEFAULT, check_classification, check_regression
from serving.tensors import from_proto, to_proto
from serving.web.photos import thumbnail
from serving.web.told import told_of

_CLASSIFY, _REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


class Calls:
    """Each takes its request message and who waits for the answer, and raises RequestError.

    `log(model, request, response)` hears of every Predict that was answered.
    """

    def __init__(self, manager: Manager, log: Callable[[str, Any, Any], None] = lambda *_: None) -> None:
        self._manager, self._log = manager, log

    def predict(self, request: Any, call: Call) -> Any:
        """A request is answered from beginning to end by the release that was current when it came."""
        with self._manager.use(_spec(request)) as servable:
            inputs = {name: _array(name, proto) for name, proto in request.inputs.items()}
            outputs = servable.predict(request.model_spec.signature_name, inputs, tuple(request.output_filter), call)
            response = predict_pb2.PredictResponse()
            _name(response.model_spec, request.model_spec.name, servable)
        response.model_spec.signature_name = request.model_spec.signature_name or DEFAULT
        for name, array in outputs.items():
            response.outputs[name].CopyFrom(to_proto(array))
        self._log(request.model_spec.name, request, response)
        return response

    def definition(self, spec: Any, signature: str) -> Any:
        """The SignatureDef of a signature with inputs. Source: HttpRestApiHandler::GetInfoMap."""
        with self._manager.use(spec) as servable:
            name = signature or DEFAULT
            if name not in servable.definitions:
                raise invalid(f'Serving signature name: "{name}" not found in signature def')
            if not servable.definitions[name].inputs:
                raise invalid(f"Failed to get input map for signature: {signature or 'DEFAULT'}")
            return servable.definitions[name]

    def metadata(self, request: Any, call: Call) -> Any:
        """The signatures. Source: servables/tensorflow/get_model_metadata_impl.cc."""
        spec = _spec(request)
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for name in request.metadata_field:
            if name != "signature_def":
                raise invalid(f"Metadata field {name} is not supported")
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        with self._manager.use(spec) as servable:
            _name(response.model_spec, spec.name, servable)
            signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=servable.definitions)
        response.metadata["signature_def"].Pack(signatures)
        return response

    def classify(self, request: Any, call: Call) -> Any:
        """What the real server says where a model has signatures for Predict alone, as every release has."""
        with self._manager.use(_spec(request)) as servable:
            check_classification(servable.definitions, request.model_spec.signature_name)

    def regress(self, request: Any, call: Call) -> Any:
        """As `classify`."""
        with self._manager.use(_spec(request)) as servable:
            check_regression(servable.definitions, request.model_spec.signature_name)

    def multi_inference(self, request: Any, call: Call) -> Any:
        """As `classify`. Source: servables/tensorflow/multi_inference.cc."""
        task = request.tasks[0] if request.tasks else None
        if task is None:
            raise invalid("ModelSpec has no name specified.")
        with self._manager.use(task.model_spec) as servable:
            name = task.model_spec.signature_name or DEFAULT
            if name not in servable.definitions:
                raise invalid(f"Requested signature not found in model graph: {name}")
            if task.method_name == _CLASSIFY:
                check_classification(servable.definitions, name)
            if task.method_name == _REGRESS:
                check_regression(servable.definitions, name)
        raise RequestError(Code.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}")

    def status(self, request: Any, call: Call) -> Any:
        """The states of a model's versions."""
        response = get_model_status_pb2.GetModelStatusResponse()
        for version, state, error in self._manager.states(_spec(request)):
            one = response.model_version_status.add(version=version, state=state)
            one.status.SetInParent()  # present and empty is how the real server says OK
            if error:
                one.status.error_code, one.status.error_message = Code.UNKNOWN.value[0], error
        return response

    def models(self) -> dict[str, bool]:
        """For every model, whether a version of it answers."""
        return self._manager.ready()

    def told(self, spec: Any) -> dict[str, Any]:
        """What a release holds, for people; see `told_of`."""
        with self._manager.use(spec) as servable:
            return told_of(spec.name, servable)

    def photo(self, spec: Any, item: str) -> bytes:
        """A small JPEG of an item; see `thumbnail`."""
        with self._manager.use(spec) as servable:
            return thumbnail(servable.location(item.encode()), servable.items.folder)

    def reload(self, request: Any, call: Call) -> Any:
        """Other models, versions or labels; answered once they are served."""
        self._manager.reload(request.config)
        response = model_management_pb2.ReloadConfigResponse()
        response.status.SetInParent()
        return response


def _spec(request: Any) -> Any:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    return request.model_spec


def _name(spec: Any, name: str, servable: Servable) -> None:
    spec.name, spec.version.value = name, servable.manifest.version


def _array(name: str, proto: Any) -> Any:
    try:
        return from_proto(proto)
    except ValueError as error:
        raise invalid(f'input "{name}": {error}') from None
