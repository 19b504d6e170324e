"""Releaser: a Pusher whose push is one rename. The stock one copies in place: a watching server can load half of it."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components import artifacts
from components.releaser import executor


class ReleaserSpec(component_spec.ComponentSpec):
    """The names of the blessings are the stock Pusher's."""

    PARAMETERS = {  # noqa: RUF012  (TFX reads plain dicts)
        "releases": component_spec.ExecutionParameter(type=str),
        "keep": component_spec.ExecutionParameter(type=int),
        "models_config": component_spec.ExecutionParameter(type=str),
    }
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
    """Pushes only what both blessings allow, then removes what is old.

    Args:
        releases: the folder that a server watches. keep: the newest whole versions that stay; 0 = all.
        models_config: the servers' models.config, whose labels name versions that stay, too; "" = none is known.
    Raises: ValueError for a negative `keep`.
    """

    SPEC_CLASS = ReleaserSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(self, releases: str, keep: int = 0, models_config: str = "", **inputs: types.BaseChannel) -> None:
        if keep < 0:
            raise ValueError(f"keep is a number of versions, 0 for all; got {keep}")
        pushed = types.Channel(type=standard_artifacts.PushedModel)
        parameters = {"releases": releases, "keep": keep, "models_config": models_config}
        super().__init__(spec=ReleaserSpec(**parameters, pushed_model=pushed, **inputs))
