"""Clients that keep a server busy and write down everything it says, by its own stubs and without asking again."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import numpy as np
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from serving.tensors import from_proto, to_proto


@dataclass(frozen=True)
class Answer:
    """What `search` said; when it was asked, by `time.monotonic`, and how many seconds it took."""

    version: int
    ids: list[str]
    scores: list[float]
    asked: float
    seconds: float


def request(signature: str, photos: Sequence[bytes], k: int = 0) -> predict_pb2.PredictRequest:
    """Under the attribute pocket."""
    made = predict_pb2.PredictRequest()
    made.model_spec.name, made.model_spec.signature_name = "m3net", signature
    made.inputs["image"].CopyFrom(to_proto(np.array(photos, object)))
    made.inputs["attribute"].CopyFrom(to_proto(np.array([b"pocket"] * len(photos), object)))
    if k:
        made.inputs["k"].CopyFrom(to_proto(np.array(k, np.int32)))
    return made


class Asker(threading.Thread):
    """Searches without pause until `ended`; keeps each answer and every failure."""

    def __init__(self, address: str, photo: bytes) -> None:
        super().__init__(daemon=True)
        self.request = request("search", [photo], 5)
        self.address, self.ended = address, threading.Event()
        self.answers: list[Answer] = []
        self.failures: list[grpc.RpcError] = []

    def run(self) -> None:
        with grpc.insecure_channel(self.address) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            while not self.ended.is_set():
                asked = time.monotonic()
                try:
                    answer = stub.Predict(self.request, timeout=30)
                except grpc.RpcError as error:
                    self.failures.append(error)
                    self.ended.wait(0.05)
                    continue
                ids, scores = (from_proto(answer.outputs[name])[0].tolist() for name in ("id", "score"))
                seconds, version = time.monotonic() - asked, answer.model_spec.version.value
                self.answers.append(Answer(version, [i.decode() for i in ids], scores, asked, seconds))


class Askers:
    """Several of them, started at once; leaving the block ends them."""

    def __init__(self, address: str, photo: bytes, count: int = 3) -> None:
        self.all = [Asker(address, photo) for _ in range(count)]

    def __enter__(self) -> "Askers":
        for asker in self.all:
            asker.start()
        return self

    def __exit__(self, *_: object) -> None:
        for asker in self.all:
            asker.ended.set()
        for asker in self.all:
            asker.join(30)

    @property
    def answers(self) -> list[Answer]:
        """Of all."""
        return [answer for asker in self.all for answer in asker.answers]

    @property
    def failures(self) -> list[str]:
        """Of all, in words."""
        return [f"{failure.code().name}: {failure.details()}" for asker in self.all for failure in asker.failures]
