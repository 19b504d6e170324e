"""gRPC reflection, asked as grpcurl asks it: by a client that holds no message of the protocol."""

import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from serving import reflection
from serving.protos import model_service_pb2_grpc, prediction_service_pb2_grpc


@pytest.fixture
def channel(address: str) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(address) as opened:
        yield opened


def test_a_client_without_protos_finds_the_services_and_asks(channel: grpc.Channel, photo: Any, drawn: Any) -> None:
    told = ProtoReflectionDescriptorDatabase(channel)
    assert sorted(told.get_services()) == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "tensorflow.serving.ModelService",
        "tensorflow.serving.PredictionService",
    ]
    pool = descriptor_pool.DescriptorPool(told)  # its own: nothing of what this process knows
    methods = {name: pool.FindServiceByName(name).methods_by_name for name in told.get_services()}
    assert set(methods["grpc.health.v1.Health"]) >= {"Check", "Watch"}
    assert set(methods["tensorflow.serving.ModelService"]) == {"GetModelStatus", "HandleReloadConfigRequest"}
    predict = methods["tensorflow.serving.PredictionService"]["Predict"]
    asked, answered = (message_factory.GetMessageClass(one) for one in (predict.input_type, predict.output_type))
    request = asked()
    request.model_spec.name, request.model_spec.signature_name = "m3net", "embed"
    for name, value in (("image", photo(7)), ("attribute", b"pocket")):
        request.inputs[name].dtype = 7  # DT_STRING
        request.inputs[name].tensor_shape.dim.add(size=1)
        request.inputs[name].string_val.append(value)
    path = "/tensorflow.serving.PredictionService/Predict"
    answer = channel.unary_unary(path, asked.SerializeToString, answered.FromString)(request, timeout=30)
    expected = drawn(1).vectors([7], "pocket")[0]
    assert list(memoryview(answer.outputs["vector"].tensor_content).cast("f")) == pytest.approx(expected.tolist(), rel=1e-5)


def test_open_streams_hold_few_threads(channel: grpc.Channel) -> None:
    stub, ended = reflection_pb2_grpc.ServerReflectionStub(channel), threading.Event()
    ask = reflection_pb2.ServerReflectionRequest(list_services="")

    def endless() -> Iterator[Any]:
        yield ask
        ended.wait(60)

    streams = [stub.ServerReflectionInfo(endless()) for _ in range(reflection._STREAMS)]
    assert all(next(stream).list_services_response.service for stream in streams)
    with pytest.raises(grpc.RpcError, match="RESOURCE_EXHAUSTED"):
        next(stub.ServerReflectionInfo(iter([ask]), timeout=10))
    ended.set()
    assert all(list(stream) == [] for stream in streams)  # each ends with its client
    assert next(stub.ServerReflectionInfo(iter([ask]), timeout=10)).list_services_response.service


class Noted:
    """Stands in for a channel and for a server: notes what the generated stubs and servicers say of each method."""

    def __init__(self) -> None:
        self.messages: dict[str, list[str]] = {}

    def unary_unary(self, path: str, response_deserializer: Any, **_: Any) -> None:
        self.messages.setdefault(path, [""]).append(response_deserializer.__self__.DESCRIPTOR.full_name)

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        for path, method in handlers[0]._method_handlers.items():
            self.messages[path][0] = method.request_deserializer.__self__.DESCRIPTOR.full_name


def test_the_services_are_described_as_the_stubs_have_them() -> None:
    noted, pool = Noted(), reflection._pool()
    for module, name in ((prediction_service_pb2_grpc, "PredictionService"), (model_service_pb2_grpc, "ModelService")):
        getattr(module, f"{name}Stub")(noted)
        getattr(module, f"add_{name}Servicer_to_server")(getattr(module, f"{name}Servicer")(), noted)
    told = {}
    for service in ("PredictionService", "ModelService"):
        for method in pool.FindServiceByName(f"tensorflow.serving.{service}").methods:
            types = [method.input_type.full_name, method.output_type.full_name]
            told[f"/tensorflow.serving.{service}/{method.name}"] = types
    assert len(told) == 7
    assert told == noted.messages
