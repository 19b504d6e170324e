"""The request log, read back by TensorFlow's own reader."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from serving import release
from serving.call import Call
from serving.calls import Calls
from serving.manager import Manager
from serving.policy import ModelConfig, RequestLogging
from serving.request_log import RequestLog, RequestLogs
from serving.servable import Servable
from serving.tensors import to_proto


def test_requests_are_logged_as_predictions(
    tmp_path: Path, compose_into: Callable[..., release.Manifest], photo: Callable[[int], bytes]
) -> None:
    release.push(tmp_path / "releases", compose_into)
    manager = Manager({"m3net": ModelConfig(tmp_path / "releases")}, lambda _, folder: Servable(folder))
    manager.refresh()
    (tmp_path / "logs").mkdir()
    log = RequestLog(RequestLogging(str(tmp_path / "logs" / "log"), 1.0), most_bytes=200, most_files=2)
    calls = Calls(manager, lambda _, request, response: log.add(request, response))
    for number in range(5):
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = "m3net", "classify"
        request.inputs["image"].CopyFrom(to_proto(np.array([photo(number)], object)))
        calls.predict(request, Call())
    log.close()
    manager.close()
    files = sorted((tmp_path / "logs").iterdir())
    assert [file.stem[-4:] for file in files] == ["0003", "0004"]  # each record filled a file; the last two stayed
    for number, file in enumerate(files, 3):
        (record,) = tf.data.TFRecordDataset(str(file))
        kept = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        assert tf.make_ndarray(kept.predict_log.request.inputs["image"]).tolist() == [photo(number)]
        assert kept.predict_log.response.model_spec.version.value == 1
        assert set(kept.predict_log.response.outputs) == {"neckline", "pocket"}
        assert kept.log_metadata.sampling_config.sampling_rate == 1.0


def test_a_share_of_them(tmp_path: Path) -> None:
    log = RequestLog(RequestLogging(str(tmp_path / "log"), 0.25))
    for _ in range(400):
        log.add(predict_pb2.PredictRequest(), predict_pb2.PredictResponse())
        time.sleep(0.0005)  # more at once than the writer takes would be dropped
    log.close()
    written = sum(1 for file in tmp_path.iterdir() for _ in tf.data.TFRecordDataset(str(file)))
    assert 60 <= written + log.dropped <= 140  # 100 expected, standard deviation below 9


def test_a_log_that_cannot_be_written_is_said_once_and_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs, settings = RequestLogs(), RequestLogging(str(tmp_path / "no such folder" / "log"), 1.0)
    pair: tuple[Any, Any] = (predict_pb2.PredictRequest(), predict_pb2.PredictResponse())
    logs.add(settings, *pair)
    logs.add(settings, *pair)
    logs.add(None, *pair)
    logs.close()
    assert capsys.readouterr().err == f"request log: {settings.prefix}: its folder is not there or cannot be written\n"
