"""The SavedModel of a release as another server answers it: an unmodified TensorFlow Serving over the same folder.

So production may run the network where the accelerators are and the indexes where the memory is. Every request names the
release's own version: what the index was built with is what embeds, or there is no answer.
"""

from typing import Any

import grpc
import numpy as np

from serving.asking import OPTIONS, Asked, ClientError
from serving.batcher import Arrays, Batching
from serving.call import Call, Code, RequestError
from serving.protos import get_model_metadata_pb2, model_service_pb2_grpc, prediction_service_pb2_grpc
from serving.release import ReleaseError

_SECONDS = 60.0  # of a call to the embedder at most, where nobody waits for a shorter time
BATCHING = Batching(num_batch_threads=8)  # calls at once: while one hangs, or waits for a slow pod, others go on


class NotYetError(Exception):
    """The embedder does not serve this version, or does not answer, so far: to be looked at again, not given up."""


class RemoteModel:
    """Version `version` of `model_name` at `address`.

    Raises: NotYetError where it is not available there; ReleaseError where it is, and is another model.
    """

    def __init__(self, address: str, model_name: str, version: int, definitions: dict[str, Any]) -> None:
        self._asked = Asked(address, model_name, _SECONDS, version)
        # In turns, where several embedders stand behind one name.
        self._channel = grpc.insecure_channel(address, [*OPTIONS, ("grpc.lb_policy_name", "round_robin")])
        self._service = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        try:
            self._check(definitions)
        except BaseException:
            self.close()
            raise

    def _check(self, definitions: dict[str, Any]) -> None:
        asked = self._asked
        where = f"the embedder {asked.address}"
        request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=asked.spec(), metadata_field=["signature_def"])
        try:
            answer = model_service_pb2_grpc.ModelServiceStub(self._channel).GetModelStatus(asked.status(), timeout=5.0)
            if (state := asked.states(answer).get(asked.version or 0)) != "AVAILABLE":
                raise NotYetError(f"{where} has version {asked.version} {state}")
            metadata = self._service.GetModelMetadata(request, timeout=5.0).metadata["signature_def"]
        except grpc.RpcError as error:
            raise NotYetError(f"{where} does not serve version {asked.version}: {asked.failed(error)}") from None
        there = get_model_metadata_pb2.SignatureDefMap()
        metadata.Unpack(there)
        for name, defined in definitions.items():
            if there.signature_def.get(name) != defined:
                raise ReleaseError(f"{where} has another {name} in version {asked.version}; let both serve the same folder")

    def run(self, signature: str, inputs: Arrays, call: Call) -> Arrays:
        """See `LocalModel.run`; what the embedder refuses is refused in its words, and it is told how long `call` waits."""
        asked, left = self._asked, call.remaining()
        try:
            answer = self._service.Predict(
                asked.predict(signature, inputs), timeout=_SECONDS if left is None else min(left, _SECONDS)
            )
        except grpc.RpcError as error:
            code = error.code()
            if code is Code.INVALID_ARGUMENT:
                raise RequestError(code, error.details()) from None
            # A pinned version that is gone, or nobody there: the client may ask again, for it is nothing it said.
            kept = code in (Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED)
            raise RequestError(code if kept else Code.UNAVAILABLE, f"the embedder: {error.details()}") from None
        version = answer.model_spec.version.value
        if version != asked.version:
            told = f"the embedder {asked.address} answered with version {version}, not the {asked.version} it was asked for"
            raise RequestError(Code.INTERNAL, f"{told}; its vectors are not taken")
        try:
            return asked.outputs(answer)
        except ClientError as error:
            raise RequestError(Code.INTERNAL, str(error)) from None

    def spoiled(self, inputs: Arrays) -> np.ndarray:
        """Nothing: only the embedder could tell."""
        return np.zeros(0, bool)

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()
