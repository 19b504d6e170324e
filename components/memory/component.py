"""Recall and Remember: what a run leaves to the next, in a folder.

Locally TFX's resolvers ask ML Metadata. Kubeflow Pipelines refuses a pipeline that has a resolver, and its metadata is its own.
"""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components import artifacts
from components.memory import executor


class RecallSpec(component_spec.ComponentSpec):
    """`version` is the catalogue's: with the same one, what was recalled then is recalled again, and all else is cached."""

    PARAMETERS = {  # noqa: RUF012  (TFX reads plain dicts)
        "folder": component_spec.ExecutionParameter(type=str),
        "version": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: dict[str, component_spec.ChannelParameter] = {}  # noqa: RUF012
    OUTPUTS = {  # noqa: RUF012
        "statistics": component_spec.ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
    }


class Recall(base_component.BaseComponent):
    """The labels' statistics and the blessed model that were remembered last; one that is not there is marked ABSENT."""

    SPEC_CLASS = RecallSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Recaller)

    def __init__(self, folder: str, version: str = "") -> None:
        outputs = {key: types.Channel(type=channel.type) for key, channel in RecallSpec.OUTPUTS.items()}
        super().__init__(spec=RecallSpec(folder=folder, version=version, **outputs))


class RememberSpec(component_spec.ComponentSpec):
    """`checks` are there only if the labels passed; a model is remembered only if it is blessed."""

    PARAMETERS = {"folder": component_spec.ExecutionParameter(type=str)}  # noqa: RUF012
    INPUTS = {  # noqa: RUF012
        "statistics": component_spec.ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "checks": component_spec.ChannelParameter(type=artifacts.LabelChecks),
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model, optional=True),
        "blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing, optional=True),
    }
    OUTPUTS: dict[str, component_spec.ChannelParameter] = {}  # noqa: RUF012


class Remember(base_component.BaseComponent):
    """Keeps a copy of both for `Recall`."""

    SPEC_CLASS = RememberSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Rememberer)

    def __init__(
        self,
        folder: str,
        statistics: types.BaseChannel,
        checks: types.BaseChannel,
        model: types.BaseChannel | None = None,
        blessing: types.BaseChannel | None = None,
    ) -> None:
        super().__init__(spec=RememberSpec(folder=folder, statistics=statistics, checks=checks, model=model, blessing=blessing))
