"""ReleaseValidator: the release answers before it is pushed. The stock InfraValidator needs Docker or Kubernetes."""

from collections.abc import Sequence

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components import artifacts
from components.release_validator import executor


class ReleaseValidatorSpec(component_spec.ComponentSpec):
    """What a release is made of, and the Embeddings it must agree with."""

    PARAMETERS = {"splits": component_spec.ExecutionParameter(type=str)}  # noqa: RUF012  (TFX reads plain dicts)
    INPUTS = {  # noqa: RUF012
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "index": component_spec.ChannelParameter(type=artifacts.Index),
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "evaluation": component_spec.ChannelParameter(type=artifacts.Evaluation),
        "embeddings": component_spec.ChannelParameter(type=artifacts.Embeddings),
    }
    OUTPUTS = {"blessing": component_spec.ChannelParameter(type=standard_artifacts.InfraBlessing)}  # noqa: RUF012


class ReleaseValidator(base_component.BaseComponent):
    """`splits`: whose photos the index holds."""

    SPEC_CLASS = ReleaseValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(self, splits: Sequence[str], **inputs: types.BaseChannel) -> None:
        blessing = types.Channel(type=standard_artifacts.InfraBlessing)
        super().__init__(spec=ReleaseValidatorSpec(splits=",".join(splits), blessing=blessing, **inputs))
