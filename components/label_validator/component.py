"""LabelValidator: stops or warns where a run's labels leave the schema, differ between splits, or drifted since the last."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components import artifacts
from components.label_validator import executor

ON_ANOMALY = ("warn", "stop")


class LabelValidatorSpec(component_spec.ComponentSpec):
    """`max_skew` and `max_drift`: how far a class's share may move, fractions; `on_anomaly`: one of `ON_ANOMALY`."""

    PARAMETERS = {  # noqa: RUF012  (TFX reads plain dicts)
        "max_skew": component_spec.ExecutionParameter(type=float),
        "max_drift": component_spec.ExecutionParameter(type=float),
        "on_anomaly": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        "labels": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "statistics": component_spec.ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "schema": component_spec.ChannelParameter(type=standard_artifacts.Schema),
        "anomalies": component_spec.ChannelParameter(type=standard_artifacts.ExampleAnomalies),
        "baseline_statistics": component_spec.ChannelParameter(type=standard_artifacts.ExampleStatistics, optional=True),
    }
    OUTPUTS = {"checks": component_spec.ChannelParameter(type=artifacts.LabelChecks)}  # noqa: RUF012


class LabelValidator(base_component.BaseComponent):
    """The stock validators only record what they find; this one says it and acts on it."""

    SPEC_CLASS = LabelValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        labels: types.BaseChannel,
        statistics: types.BaseChannel,
        schema: types.BaseChannel,
        anomalies: types.BaseChannel,
        baseline_statistics: types.BaseChannel | None = None,
        *,
        max_skew: float,
        max_drift: float,
        on_anomaly: str,
    ) -> None:
        spec = LabelValidatorSpec(
            labels=labels,
            statistics=statistics,
            schema=schema,
            anomalies=anomalies,
            baseline_statistics=baseline_statistics,
            max_skew=float(max_skew),
            max_drift=float(max_drift),
            on_anomaly=on_anomaly,
            checks=types.Channel(type=artifacts.LabelChecks),
        )
        super().__init__(spec=spec)
