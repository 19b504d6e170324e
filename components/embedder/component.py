"""Embedder: the Embeddings of every photo. BulkInferrer would store the input photo beside each result."""

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components import artifacts
from components.embedder import executor


class EmbedderSpec(component_spec.ComponentSpec):
    """Examples and a model in, Embeddings out."""

    PARAMETERS: dict[str, component_spec.ExecutionParameter] = {}  # noqa: RUF012  (TFX reads plain dicts)
    INPUTS = {  # noqa: RUF012
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
    }
    OUTPUTS = {"embeddings": component_spec.ChannelParameter(type=artifacts.Embeddings)}  # noqa: RUF012


class Embedder(base_beam_component.BaseBeamComponent):
    """Embeds train, valid and test once, for all attributes at a time."""

    SPEC_CLASS = EmbedderSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(self, examples: types.BaseChannel, model: types.BaseChannel) -> None:
        embeddings = types.Channel(type=artifacts.Embeddings)
        super().__init__(spec=EmbedderSpec(examples=examples, model=model, embeddings=embeddings))
