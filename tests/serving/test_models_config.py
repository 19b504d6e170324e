"""A server started with --model_config_file: versions side by side, labels that move, a request log; and mistakes in it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc

from serving import release
from serving.client import Client, ClientError
from tests.serving.drawn import Drawn

CONFIG = """model_config_list { config {
  name: "shop" base_path: "%s" model_platform: "tensorflow"
  model_version_policy { latest { num_versions: 2 } }
  version_labels { key: "stable" value: %d }
  logging_config {
    log_collector_config { filename_prefix: "%s" } sampling_config { sampling_rate: 1.0 } } } }"""


def best(address: str, photo: bytes, **which: Any) -> str:
    """The version whose item comes first."""
    with Client(address, "shop", **which) as client:
        return client.search(photo, "pocket", 1)[0].id


def test_two_versions_a_label_and_a_log(
    tmp_path: Path, compose_into: Callable[..., release.Manifest], start: Callable[..., Any], photo: Callable[[int], bytes]
) -> None:
    releases, config, log = tmp_path / "releases", tmp_path / "models.config", tmp_path / "requests"
    for _ in range(2):
        release.push(releases, compose_into)
    config.write_text(CONFIG % (releases, 1, log))
    server = start("--model_config_file", config, "--model_config_file_poll_wait_seconds", "1")
    address = server.said(r"^serving shop version 2 on (\S+)$").group(1)
    server.said(r"^serving shop version 1 on")
    with Client(address, "shop") as client:
        assert client.versions() == {1: "AVAILABLE", 2: "AVAILABLE"}
        assert client.ready()
    expected = {version: Drawn(version).neighbours(40, "pocket", 1)[0][0] for version in (1, 2)}
    assert best(address, photo(40)) == best(address, photo(40), version=2) == expected[2]
    assert best(address, photo(40), label="stable") == best(address, photo(40), version=1) == expected[1]
    with pytest.raises(ClientError, match="NOT_FOUND"), Client(address) as client:
        client.classify(photo(1))  # m3net is no model here

    config.write_text(CONFIG % (releases, 7, log))
    server.said("models.config not taken over: Request to assign label to version 7 of model shop")
    config.write_text("model_config_list {")
    server.said("models.config not taken over: .*no ModelServerConfig in text form")
    assert best(address, photo(40), label="stable") == expected[1]  # as before
    config.write_text(CONFIG % (releases, 2, log))
    server.said("models.config read again")
    assert best(address, photo(40), label="stable") == expected[2]
    reload = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(CONFIG % (releases, 1, log), reload.config)
    with grpc.insecure_channel(address) as channel:
        answer = model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(reload, timeout=60)
    assert (answer.status.error_code, answer.status.error_message) == (0, "")
    assert best(address, photo(40), label="stable") == expected[1]  # moved back, by a call
    assert best(address, photo(40)) == expected[2]
    assert server.end() == 0
    files = list(tmp_path.glob("requests-*.tfrecord"))
    assert sum(1 for file in files for _ in tf.data.TFRecordDataset(str(file))) == 8
    assert not any("Traceback" in line for line in server.lines)
