"""RetrievalEvaluator: exact MAP over the gallery, and the blessing. TFMA knows no ranking over a gallery."""

import json
from collections.abc import Sequence

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components import artifacts
from components.retrieval_evaluator import executor
from components.retrieval_evaluator.slices import CLASS


class RetrievalEvaluatorSpec(component_spec.ComponentSpec):
    """`min_map`, `max_drop` and `max_attribute_drop` are fractions; `slices` a JSON list; `baseline_model` is the last blessed one, if any."""

    PARAMETERS = {  # noqa: RUF012  (TFX reads plain dicts)
        "system": component_spec.ExecutionParameter(type=str),
        "dataset": component_spec.ExecutionParameter(type=str),
        "protocol": component_spec.ExecutionParameter(type=str),
        "slices": component_spec.ExecutionParameter(type=str),
        "min_map": component_spec.ExecutionParameter(type=float),
        "max_drop": component_spec.ExecutionParameter(type=float),
        "max_attribute_drop": component_spec.ExecutionParameter(type=float),
    }
    INPUTS = {  # noqa: RUF012
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "embeddings": component_spec.ChannelParameter(type=artifacts.Embeddings),
        "baseline_model": component_spec.ChannelParameter(type=standard_artifacts.Model, optional=True),
    }
    OUTPUTS = {  # noqa: RUF012
        "evaluation": component_spec.ChannelParameter(type=artifacts.Evaluation),
        "blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
    }


class RetrievalEvaluator(base_beam_component.BaseBeamComponent):
    """Ranks the gallery for every query of the test split; blesses `model` by threshold and beside the last blessed one.

    Raises: ValueError unless `min_map`, `max_drop` and `max_attribute_drop` lie in [0, 1].
    """

    SPEC_CLASS = RetrievalEvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        embeddings: types.BaseChannel,
        baseline_model: types.BaseChannel | None = None,
        *,
        system: str,
        dataset: str,
        protocol: str = "attribute",
        slices: Sequence[str] = (CLASS,),
        min_map: float = 0.0,
        max_drop: float = 1.0,
        max_attribute_drop: float = 1.0,
    ) -> None:
        limits = {"min_map": min_map, "max_drop": max_drop, "max_attribute_drop": max_attribute_drop}
        for name, value in limits.items():
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} is a fraction in [0, 1], not a percentage; got {value}")
        spec = RetrievalEvaluatorSpec(
            examples=examples,
            model=model,
            embeddings=embeddings,
            baseline_model=baseline_model,
            system=system,
            dataset=dataset,
            protocol=protocol,
            slices=json.dumps(list(slices)),
            **{name: float(value) for name, value in limits.items()},
            evaluation=types.Channel(type=artifacts.Evaluation),
            blessing=types.Channel(type=standard_artifacts.ModelBlessing),
        )
        super().__init__(spec=spec)
