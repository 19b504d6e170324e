"""Beam on this machine, as the pipeline runs it: in this process, or in two others."""

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.config import BeamConfig

ONE = BeamConfig().options()
TWO = BeamConfig(("--runner=DirectRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2")).options()


def direct_pipeline() -> beam.Pipeline:
    """A pipeline in this process."""
    return beam.Pipeline(options=PipelineOptions(ONE))
