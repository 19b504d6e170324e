"""IndexBuilder: what the server searches, one index an attribute."""

from collections.abc import Sequence

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components import artifacts
from components.index_builder import executor


class IndexBuilderSpec(component_spec.ComponentSpec):
    """`splits`, joined by commas: whose photos can be found; `recall` at 10 is what an approximate index must reach."""

    PARAMETERS = {  # noqa: RUF012  (TFX reads plain dicts)
        "splits": component_spec.ExecutionParameter(type=str),
        "scann_above": component_spec.ExecutionParameter(type=int),
        "recall": component_spec.ExecutionParameter(type=float),
    }
    INPUTS = {  # noqa: RUF012
        "embeddings": component_spec.ChannelParameter(type=artifacts.Embeddings),
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {"index": component_spec.ChannelParameter(type=artifacts.Index)}  # noqa: RUF012


class IndexBuilder(base_component.BaseComponent):
    """Exact up to `scann_above` items, ScaNN above."""

    SPEC_CLASS = IndexBuilderSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        embeddings: types.BaseChannel,
        examples: types.BaseChannel,
        splits: Sequence[str],
        scann_above: int = 20_000,
        recall: float = 0.98,
    ) -> None:
        spec = IndexBuilderSpec(
            embeddings=embeddings,
            examples=examples,
            splits=",".join(splits),
            scann_above=scann_above,
            recall=float(recall),
            index=types.Channel(type=artifacts.Index),
        )
        super().__init__(spec=spec)
