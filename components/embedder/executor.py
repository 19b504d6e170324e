"""Runs the embedding of all splits."""

import os
from typing import Any

from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils

from components.artifacts import SPLITS
from components.embedder.embed import embed
from models import systems
from models.scoring import vector_length
from models.trainer import MODEL_FILE


class Executor(base_beam_executor.BaseBeamExecutor):
    """Executor of `Embedder`."""

    def Do(self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]) -> None:
        """Keys: `EmbedderSpec`."""
        examples = artifact_utils.get_single_uri(input_dict["examples"])
        model = os.path.join(artifact_utils.get_single_uri(input_dict["model"]), MODEL_FILE)
        output = os.path.join(artifact_utils.get_single_uri(output_dict["embeddings"]), "embeddings")
        system = systems.load(model)
        with self._make_beam_pipeline() as pipeline:
            embed(pipeline, examples, SPLITS, model, vector_length(system.taxonomy, system.config), output)
