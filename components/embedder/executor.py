"""Runs the embedding of all splits, in a folder that a second try finds again."""

import os
import sys
from typing import Any

from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils

from components.artifacts import SPLITS
from components.embedder.embed import embed
from components.embedder.staging import finished, publish, staging
from models.trainer import MODEL_FILE


class Executor(base_beam_executor.BaseBeamExecutor):
    """Executor of `Embedder`."""

    def Do(self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]) -> None:
        """Keys: `EmbedderSpec`."""
        examples = artifact_utils.get_single_uri(input_dict["examples"])
        model = os.path.join(artifact_utils.get_single_uri(input_dict["model"]), MODEL_FILE)
        output = artifact_utils.get_single_uri(output_dict["embeddings"])
        folder = staging(output, examples, SPLITS, model)
        if before := finished(folder):
            print(f"  {len(before)} files were finished by a run that was stopped; they stay", file=sys.stderr)
        with self._make_beam_pipeline() as pipeline:
            embed(pipeline, examples, SPLITS, model, folder)
        publish(folder, output)
