"""The text protos of TF Serving's operators: what is read, and how a mistake in them is told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serving import settings
from serving.batcher import Batching
from serving.call import RequestError
from serving.policy import ModelConfig, Policy, RequestLogging, configs_of
from serving.settings import SettingsError, Tls


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        (path := tmp_path / "file.txt").write_text(text)
        return path

    return write


def test_batching_as_the_batching_guide_writes_it(file: Callable[[str], Path]) -> None:
    text = """
        max_batch_size { value: 128 }
        batch_timeout_micros { value: 0 }
        max_enqueued_batches { value: 1000000 }
        num_batch_threads { value: 8 }
        allowed_batch_sizes : 64
        allowed_batch_sizes : 128
        pad_variable_length_inputs: true"""
    assert settings.read_batching(file(text)) == Batching(128, 1000000, 8)
    assert settings.read_batching(file("max_batch_size { value: 4 }")) == Batching(max_batch_size=4)


def test_tls(file: Callable[[str], Path]) -> None:
    text = 'server_key: "-----\\nkey"\nserver_cert: "cert"\ncustom_ca: "ca"\nclient_verify: true'
    assert settings.read_tls(file(text)) == Tls("-----\nkey", "cert", "ca", True)


def test_metrics_path(file: Callable[[str], Path]) -> None:
    assert settings.read_metrics_path(file("prometheus_config { enable: true }")) == "/monitoring/prometheus/metrics"
    assert settings.read_metrics_path(file('prometheus_config { enable: true, path: "/m" }')) == "/m"
    assert settings.read_metrics_path(file('prometheus_config { path: "/m" }')) == ""


Read = Callable[[Path], Any]
WRONG: dict[str, tuple[Read, str, str]] = {
    "unknown field": (settings.read_batching, "max_batch_sise { value: 1 }", '1:1 .*no field named "max_batch_sise"'),
    "no message": (settings.read_batching, "max_batch_size: 1", "1:"),
    "zero": (settings.read_batching, "max_batch_size { value: 0 }", "max_batch_size must be at least 1; got 0"),
    "no certificate": (settings.read_tls, 'server_key: "x"', "server_key and server_cert are needed"),
    "no authority": (
        settings.read_tls,
        'server_key: "x" server_cert: "x" client_verify: true',
        "client_verify needs custom_ca",
    ),
    "path": (settings.read_metrics_path, 'prometheus_config { enable: true, path: "m" }', 'must start with "/"; got "m"'),
    "models": (settings.read_models, "model_config_list { config { nam: 1 } }", "no ModelServerConfig in text form"),
}


@pytest.mark.parametrize(("read", "text", "words"), WRONG.values(), ids=WRONG)
def test_mistakes_name_file_and_place(file: Callable[[str], Path], read: Read, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        read(file(text))
    assert str(caught.value).startswith(f"{file(text)}: ")


def test_models_config(file: Callable[[str], Path]) -> None:
    text = """model_config_list {
        config { name: "a" base_path: "/a" model_platform: "tensorflow" }
        config { name: "b" base_path: "/b" model_version_policy { latest { num_versions: 3 } } }
        config { name: "c" base_path: "/c" model_version_policy { all {} }
          logging_config { log_collector_config { filename_prefix: "/log/c" } sampling_config { sampling_rate: 0.25 } } }
        config { name: "d" base_path: "/d" model_version_policy { specific { versions: 4 versions: 2 } }
          version_labels { key: "stable" value: 2 } version_labels { key: "canary" value: 4 } }
    }"""
    assert configs_of(settings.read_models(file(text))) == {
        "a": ModelConfig(Path("/a")),
        "b": ModelConfig(Path("/b"), Policy(latest=3)),
        "c": ModelConfig(Path("/c"), Policy(all_versions=True), logging=RequestLogging("/log/c", 0.25)),
        "d": ModelConfig(Path("/d"), Policy(specific=frozenset({2, 4})), {"stable": 2, "canary": 4}),
    }


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ('config { name: "a" base_path: "a" }', "to have an absolute path or URI; got base_path()=a"),
        ('config { name: "a" base_path: "/a" } config { name: "a" base_path: "/b" }', "Illegal to list model a multiple times"),
        ('config { base_path: "/a" }', "has no name"),
        ('config { name: "a" base_path: "/a" model_platform: "x" }', 'platform "x" is not known'),
        ('config { name: "a" base_path: "/a" model_version_policy { specific {} } }', "names at least one version"),
        ('config { name: "a" base_path: "/a" logging_config {} }', "needs a filename_prefix"),
    ],
)
def test_models_that_cannot_be(file: Callable[[str], Path], config: str, words: str) -> None:
    with pytest.raises(RequestError) as caught:
        configs_of(settings.read_models(file(f"model_config_list {{ {config} }}")))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [
        (Policy(), [7]),
        (Policy(latest=2), [3, 7]),
        (Policy(latest=9), [1, 3, 7]),
        (Policy(all_versions=True), [1, 3, 7]),
        (Policy(specific=frozenset({3, 4})), [3]),
    ],
)
def test_policies(policy: Policy, chosen: list[int]) -> None:
    assert policy.choose([1, 3, 7]) == chosen
    assert policy.choose([]) == []
