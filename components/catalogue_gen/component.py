"""CatalogueGen: a Beam ExampleGen for labelled photos. The stock ones know no image catalogue with attributes."""

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.catalogue_gen import executor


class CatalogueGenSpec(component_spec.ComponentSpec):
    """`version` names the state of the catalogue and its photos: with the same version, a run is answered from cache."""

    PARAMETERS = {  # noqa: RUF012  (TFX reads a plain dict)
        "catalogue": component_spec.ExecutionParameter(type=str),
        "version": component_spec.ExecutionParameter(type=str),
        "taxonomy": component_spec.ExecutionParameter(type=str),
        "long_side": component_spec.ExecutionParameter(type=int),
        "shards": component_spec.ExecutionParameter(type=int),
        "max_reject_share": component_spec.ExecutionParameter(type=float),
        "format": component_spec.ExecutionParameter(type=str),
        "labels_only": component_spec.ExecutionParameter(type=int),
        "near_duplicates": component_spec.ExecutionParameter(type=str),
        "near_duplicate_bits": component_spec.ExecutionParameter(type=int),
    }
    INPUTS: dict[str, component_spec.ChannelParameter] = {}  # noqa: RUF012
    OUTPUTS = {  # noqa: RUF012
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "labels": component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }


class CatalogueGen(base_beam_component.BaseBeamComponent):
    """catalogue.csv, or another format of `readers.reader.FORMATS`, to `examples` (with photos) and `labels` (without them, for statistics).

    Raises: ValueError for a share outside [0, 1] or a count below 1.
    """

    SPEC_CLASS = CatalogueGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(
        self,
        catalogue: str,
        version: str = "",
        taxonomy: str = "",
        long_side: int = 256,
        shards: int = 1,
        max_reject_share: float = 0.1,
        data_format: str = "catalogue",
        labels_only: bool = False,
        near_duplicates: str = "report",
        near_duplicate_bits: int = 6,
    ) -> None:
        if not 0.0 <= max_reject_share <= 1.0:
            raise ValueError(f"max_reject_share is a fraction in [0, 1]; got {max_reject_share}")
        if long_side < 1 or shards < 1:
            raise ValueError(f"long_side (pixels) and shards are at least 1; got {long_side} and {shards}")
        if near_duplicates not in ("report", "reject", "off") or not 0 <= near_duplicate_bits <= 32:
            raise ValueError(
                f'near_duplicates is "report", "reject" or "off", within 0 to 32 bits; got {near_duplicates!r}, {near_duplicate_bits}'
            )
        spec = CatalogueGenSpec(
            catalogue=catalogue,
            version=version,
            taxonomy=taxonomy,
            long_side=long_side,
            shards=shards,
            max_reject_share=float(max_reject_share),
            format=data_format,
            labels_only=int(labels_only),
            near_duplicates=near_duplicates,
            near_duplicate_bits=near_duplicate_bits,
            examples=types.Channel(type=standard_artifacts.Examples),
            labels=types.Channel(type=standard_artifacts.Examples),
        )
        super().__init__(spec=spec)
