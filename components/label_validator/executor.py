"""Collects the findings, writes and says them, and stops the run if it is told to."""

import dataclasses
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from tfx.components.statistics_gen import stats_artifact_utils
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.artifacts import SPLITS, TRAIN
from components.catalogue_gen.span_counts import read_spans
from components.errors import InputError
from components.label_validator.baseline import CHECKED, PASSED
from components.label_validator.findings import Finding, against_schema, drift, skew
from components.label_validator.newest_span import span_drift

from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2  # isort: skip  (after TFX)

FINDINGS = "findings.json"
_SHOWN = 10


class Executor(base_executor.BaseExecutor):
    """Executor of `LabelValidator`."""

    def Do(self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]) -> None:
        """Keys: `LabelValidatorSpec`. Raises: InputError where something was found and `on_anomaly` is "stop"."""
        found = list(_findings(input_dict, exec_properties))
        checks = artifact_utils.get_single_instance(output_dict["checks"])
        text = json.dumps([dataclasses.asdict(one) for one in found], ensure_ascii=False, indent=1)
        io_utils.write_string_file(os.path.join(checks.uri, FINDINGS), text)
        for one in found[:_SHOWN]:
            print(f"  {one.kind}: {one.text}", file=sys.stderr)
        if len(found) > _SHOWN:
            print(f"  and {len(found) - _SHOWN} more in {checks.uri}/{FINDINGS}", file=sys.stderr)
        if found and exec_properties["on_anomaly"] == "stop":
            raise InputError(
                f"the labels are not as expected: {len(found)} findings, the first: {found[0].text}; mend the catalogue, "
                "or accept it with validation.on_anomaly=warn"
            )
        checks.set_int_custom_property(CHECKED, artifact_utils.get_single_instance(input_dict["statistics"]).id)
        checks.set_int_custom_property(PASSED, 1)


def _findings(input_dict: dict[str, Any], exec_properties: dict[str, Any]) -> Iterator[Finding]:
    statistics = artifact_utils.get_single_instance(input_dict["statistics"])
    schema = io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(artifact_utils.get_single_uri(input_dict["schema"])))
    anomalies = artifact_utils.get_single_instance(input_dict["anomalies"])
    before = input_dict.get("baseline_statistics")
    train = _load(statistics, TRAIN)
    spans = read_spans(artifact_utils.get_single_uri(input_dict["labels"]))
    for split in SPLITS:
        now = _load(statistics, split)
        if not now.datasets or not now.datasets[0].num_examples:
            continue
        yield from against_schema(split, _anomalies(anomalies, split))
        if split != TRAIN:
            yield from skew(split, train, now, schema, exec_properties["max_skew"])
        if before and (then := _load(artifact_utils.get_single_instance(before), split)).datasets:
            yield from drift(split, then, now, schema, exec_properties["max_drift"])
        yield from span_drift(split, spans, exec_properties["max_drift"])


def _load(statistics: Any, split: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    return stats_artifact_utils.load_statistics(statistics, split).proto()


def _anomalies(artifact: Any, split: str) -> anomalies_pb2.Anomalies:
    """ExampleValidator's file, a binary proto."""
    file = os.path.join(artifact_utils.get_split_uri([artifact], split), "SchemaDiff.pb")
    return anomalies_pb2.Anomalies.FromString(io_utils.read_bytes_file(file))
