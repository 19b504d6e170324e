"""What models.config says: which models there are, which of their versions answer, and by which labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serving.call import invalid

NOT_A_LIST = "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported"


@dataclass(frozen=True)
class Policy:
    """TF Serving's ServableVersionPolicy: the `latest` versions, unless `all_versions` or those in `specific`."""

    latest: int = 1
    all_versions: bool = False
    specific: frozenset[int] = frozenset()

    def choose(self, there: Sequence[int]) -> list[int]:
        """Of the versions there are, ascending, those to serve, ascending."""
        if self.all_versions:
            return list(there)
        if self.specific:
            return [version for version in there if version in self.specific]
        return list(there[-self.latest :])


@dataclass(frozen=True)
class RequestLogging:
    """A share of the requests, in [0, 1], is written to files whose names begin with `prefix`."""

    prefix: str
    share: float


@dataclass(frozen=True)
class ModelConfig:
    """One model: the folder of its versions, which of them are served, version labels, request logging."""

    base_path: Path
    policy: Policy = field(default_factory=Policy)
    labels: Mapping[str, int] = field(default_factory=dict)
    logging: RequestLogging | None = None


def configs_of(message: Any) -> dict[str, ModelConfig]:
    """The models of a ModelServerConfig, by name.

    Source: ValidateModelConfigList in TF Serving's model_servers/server_core.cc. Raises: RequestError.
    """
    if message.WhichOneof("config") != "model_config_list":
        raise invalid(NOT_A_LIST)
    configs: dict[str, ModelConfig] = {}
    for one in message.model_config_list.config:
        if one.name in configs:
            raise invalid(f"Illegal to list model {one.name} multiple times in config list")
        if not one.name:
            raise invalid("a model of the config list has no name")
        if not Path(one.base_path).is_absolute():
            path = f"got base_path()={one.base_path}"
            raise invalid(f"Expected model {one.name} to have an absolute path or URI; {path}")
        if one.model_platform not in ("", "tensorflow"):
            raise invalid(f'model {one.name}: platform "{one.model_platform}" is not known; there is: tensorflow')
        configs[one.name] = ModelConfig(Path(one.base_path), _policy(one), dict(one.version_labels), _logging(one))
    return configs


def _policy(config: Any) -> Policy:
    chosen = config.model_version_policy
    kind = chosen.WhichOneof("policy_choice")
    if kind == "all":
        return Policy(all_versions=True)
    if kind == "specific":
        if not chosen.specific.versions:
            raise invalid(f"model {config.name}: a specific version policy names at least one version")
        return Policy(specific=frozenset(chosen.specific.versions))
    return Policy(latest=chosen.latest.num_versions or 1)


def _logging(config: Any) -> RequestLogging | None:
    if not config.HasField("logging_config"):
        return None
    share, prefix = (
        config.logging_config.sampling_config.sampling_rate,
        config.logging_config.log_collector_config.filename_prefix,
    )
    if not 0.0 <= share <= 1.0 or not prefix:
        raise invalid(f"model {config.name}: logging_config needs a filename_prefix and a sampling_rate in [0, 1]; got {share}")
    return RequestLogging(prefix, share)
