"""The files that operators of TF Serving already have: text protos, read into dataclasses.

`tensorflow-serving-api` carries ModelServerConfig alone; of the other messages only the fields are written down here.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2

from serving.batcher import Batching
from serving.protos import model_server_config_pb2

METRICS_PATH = "/monitoring/prometheus/metrics"

_Field = descriptor_pb2.FieldDescriptorProto
_INT, _STRING, _BOOL = ".google.protobuf.Int64Value", _Field.TYPE_STRING, _Field.TYPE_BOOL
# message: (field, number, type), as in TF Serving's own .proto files; a type that is a string is another message
_MESSAGES: dict[str, list[tuple[str, int, int | str]]] = {
    "BatchingParameters": [
        ("max_batch_size", 1, _INT),
        ("batch_timeout_micros", 2, _INT),
        ("max_enqueued_batches", 3, _INT),
        ("num_batch_threads", 4, _INT),
        ("thread_pool_name", 5, ".google.protobuf.StringValue"),
        ("allowed_batch_sizes", 6, _Field.TYPE_INT64),  # the one repeated field
        ("pad_variable_length_inputs", 7, _BOOL),
        ("enable_large_batch_splitting", 8, ".google.protobuf.BoolValue"),
        ("max_execution_batch_size", 9, _INT),
    ],
    "SSLConfig": [
        ("server_key", 1, _STRING),
        ("server_cert", 2, _STRING),
        ("custom_ca", 3, _STRING),
        ("client_verify", 4, _BOOL),
    ],
    "PrometheusConfig": [("enable", 1, _BOOL), ("path", 2, _STRING)],
    "MonitoringConfig": [("prometheus_config", 1, ".tensorflow.serving.PrometheusConfig")],
}


class SettingsError(ValueError):
    """A file of settings cannot be used; the message says which, where and why."""


@dataclass(frozen=True)
class Tls:
    """SSLConfig: PEM texts. With `client_verify`, clients must show a certificate that `custom_ca` signed."""

    server_key: str
    server_cert: str
    custom_ca: str = ""
    client_verify: bool = False


def read_token(path: Path) -> str:
    """`--token-file`, of the server and of `m3net query`. Raises: SettingsError; OSError where there is no such file."""
    token = path.read_bytes().strip().decode("latin-1")
    if not token:
        raise SettingsError(f"{path}: holds no token")
    if not (token.isascii() and token.isprintable()):
        raise SettingsError(f"{path}: a token is one line of printable ASCII characters")
    return token


def read_batching(path: Path, usual: Batching | None = None) -> Batching:
    """`--batching_parameters_file`; what it leaves out is as `usual`. A wait, paddings and allowed sizes are read and not
    used: batching here is greedy.

    Raises: SettingsError, OSError.
    """
    message = _read(path, _message("BatchingParameters"))
    names = ("max_batch_size", "max_enqueued_batches", "num_batch_threads")
    values = {name: getattr(message, name).value for name in names if message.HasField(name)}
    for name, value in values.items():
        if value < 1:
            raise SettingsError(f"{path}: {name} must be at least 1; got {value}")
    return replace(usual or Batching(), **values)


def read_tls(path: Path) -> Tls:
    """`--ssl_config_file`. Raises: SettingsError, OSError."""
    message = _read(path, _message("SSLConfig"))
    if not (message.server_key and message.server_cert):
        raise SettingsError(f"{path}: server_key and server_cert are needed, both as PEM text")
    if message.client_verify and not message.custom_ca:
        raise SettingsError(f"{path}: client_verify needs custom_ca, the certificate that clients' are signed by")
    return Tls(message.server_key, message.server_cert, message.custom_ca, message.client_verify)


def read_metrics_path(path: Path) -> str:
    """`--monitoring_config_file`: where on the REST port Prometheus asks; "" = nowhere. Raises: SettingsError, OSError."""
    config = _read(path, _message("MonitoringConfig")).prometheus_config
    if config.path and not config.path.startswith("/"):
        raise SettingsError(f'{path}: prometheus_config.path must start with "/"; got "{config.path}"')
    return (config.path or METRICS_PATH) if config.enable else ""


def read_models(path: Path) -> Any:
    """`--model_config_file`, a ModelServerConfig message. Raises: SettingsError, OSError."""
    return _read(path, model_server_config_pb2.ModelServerConfig)


def _read(path: Path, kind: Any) -> Any:
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), kind())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: no {kind.DESCRIPTOR.name} in text form: {error}") from None


def _message(name: str) -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="m3net/settings.proto", package="tensorflow.serving", syntax="proto3", dependency=[wrappers_pb2.DESCRIPTOR.name]
    )
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for field, number, kind in fields:
            label = _Field.LABEL_REPEATED if field == "allowed_batch_sizes" else _Field.LABEL_OPTIONAL
            one = described.field.add(name=field, number=number, label=label)
            if isinstance(kind, str):
                one.type, one.type_name = _Field.TYPE_MESSAGE, kind
            else:
                one.type = kind
    # A pool of its own: in the default one these names may be taken by a package that carries TF Serving's own.
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tensorflow.serving.{name}"))
