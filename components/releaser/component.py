"""Releaser: a Pusher whose push is one rename. The stock one copies in place: a watching server can load half of it."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components import artifacts
from components.releaser import executor


class ReleaserSpec(component_spec.ComponentSpec):
    """`releases`: the folder that a server watches. The names of the blessings are the stock Pusher's."""

    PARAMETERS = {"releases": component_spec.ExecutionParameter(type=str)}  # noqa: RUF012  (TFX reads plain dicts)
    INPUTS = {  # noqa: RUF012
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "index": component_spec.ChannelParameter(type=artifacts.Index),
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "evaluation": component_spec.ChannelParameter(type=artifacts.Evaluation),
        "model_blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
        "infra_blessing": component_spec.ChannelParameter(type=standard_artifacts.InfraBlessing),
    }
    OUTPUTS = {"pushed_model": component_spec.ChannelParameter(type=standard_artifacts.PushedModel)}  # noqa: RUF012


class Releaser(base_component.BaseComponent):
    """Pushes only what both blessings allow."""

    SPEC_CLASS = ReleaserSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(self, releases: str, **inputs: types.BaseChannel) -> None:
        pushed = types.Channel(type=standard_artifacts.PushedModel)
        super().__init__(spec=ReleaserSpec(releases=releases, pushed_model=pushed, **inputs))
