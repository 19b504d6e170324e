"""Runs the building of all indexes."""

from pathlib import Path
from typing import Any

from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from components.index_builder.build import build_all


class Executor(base_executor.BaseExecutor):
    """Executor of `IndexBuilder`."""

    def Do(self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]) -> None:
        """Keys: `IndexBuilderSpec`."""
        embeddings, examples = (Path(artifact_utils.get_single_uri(input_dict[key])) for key in ("embeddings", "examples"))
        output = Path(artifact_utils.get_single_uri(output_dict["index"]))
        splits = exec_properties["splits"].split(",")
        build_all(embeddings, examples, output, splits, exec_properties["scann_above"], exec_properties["recall"])
