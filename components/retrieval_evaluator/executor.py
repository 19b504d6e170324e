"""Measures, judges, and records the verdict where TFX looks for it."""

import json
import os
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
from apache_beam.io.filesystems import FileSystems
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.artifacts import TEST
from components.embedder.embed import embed
from components.retrieval_evaluator.beam_measure import measure_in_beam, read_measured
from components.retrieval_evaluator.measure import Measured, measure_all
from components.retrieval_evaluator.measure import results as results_of
from components.retrieval_evaluator.slices import slices
from components.retrieval_evaluator.verdict import beside, fallen, verdict
from models.taxonomy import Taxonomy
from models.trainer import MODEL_FILE

# Of all attributes: some minutes, and one attribute's vectors in memory. Below, Beam's passes cost more than they save.
_ROWS_OF_ONE_PROCESS = 1_000_000


class Executor(base_beam_executor.BaseBeamExecutor):
    """Executor of `RetrievalEvaluator`."""

    def Do(self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]) -> None:
        """Keys: `RetrievalEvaluatorSpec`. results.json first: a crash between leaves no verdict without its numbers."""
        model = artifact_utils.get_single_instance(input_dict["model"])
        embeddings = Path(artifact_utils.get_single_uri(input_dict["embeddings"]))
        evaluation = Path(artifact_utils.get_single_uri(output_dict["evaluation"]))
        names = {"system": exec_properties["system"], "dataset": exec_properties["dataset"]}
        found = self._measured(embeddings, evaluation, exec_properties["protocol"])
        results = results_of(found, split=TEST, protocol=exec_properties["protocol"], **names)
        taxonomy = Taxonomy.load(Path(artifact_utils.get_single_uri(input_dict["examples"])))
        results["slices"] = slices(found, embeddings, TEST, json.loads(exec_properties["slices"]), taxonomy)
        io_utils.write_string_file(str(evaluation / "results.json"), json.dumps(results, ensure_ascii=False, indent=1))
        compared = beside(self._baseline(input_dict, output_dict, exec_properties), found)
        limits = {name: exec_properties[name] for name in ("min_map", "max_drop", "max_attribute_drop")}
        blessed, reason = verdict(results, compared, **limits)
        told = {"blessed": blessed, "reason": reason, "limits": limits, "beside": compared}
        told["fallen"] = fallen(compared, limits["max_attribute_drop"])
        text = json.dumps(told, ensure_ascii=False, indent=1)
        io_utils.write_string_file(str(evaluation / "verdict.json"), text)
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        # LatestBlessedModelStrategy finds a model by this id; without it the blessing exists and is never found.
        blessing.set_int_custom_property("current_model_id", model.id)
        blessing.set_string_custom_property("current_model", model.uri)
        blessing.set_int_custom_property("blessed", int(blessed))
        io_utils.write_string_file(os.path.join(blessing.uri, "BLESSED" if blessed else "NOT_BLESSED"), "")

    def _baseline(
        self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]
    ) -> dict[str, Measured]:
        """What the last blessed model reaches on today's test photos; empty without one."""
        if not input_dict.get("baseline_model"):
            return {}
        model = os.path.join(artifact_utils.get_single_uri(input_dict["baseline_model"]), MODEL_FILE)
        examples = artifact_utils.get_single_uri(input_dict["examples"])
        folder = os.path.join(artifact_utils.get_single_uri(output_dict["evaluation"]), "baseline")  # where all workers see it
        with self._make_beam_pipeline() as pipeline:
            embed(pipeline, examples, [TEST], model, folder)
        found = self._measured(Path(folder), Path(folder), exec_properties["protocol"])
        FileSystems.delete([folder])
        return found

    def _measured(self, embeddings: Path, output: Path, protocol: str) -> dict[str, Measured]:
        """Measured here, or in Beam where one process would hold too much; both give the same numbers."""
        if ds.dataset(embeddings, format="parquet").count_rows() <= _ROWS_OF_ONE_PROCESS:
            return measure_all(embeddings, TEST, protocol)
        with self._make_beam_pipeline() as pipeline:
            measure_in_beam(pipeline, f"{embeddings}/*.parquet", TEST, protocol, str(output / "queries" / "part"))
        return read_measured(output / "queries")
