"""What a release says of its making, from the artifacts it is made of: it is still true in a copy far from ML Metadata."""

import json
from pathlib import Path
from typing import Any

from tfx.types import artifact_utils

from components.code_version import code_version
from components.notes import noted
from models.recipe import RECIPE_FILE


def provenance(input_dict: dict[str, Any]) -> dict[str, Any]:
    """Keys: `data` (what CatalogueGen noted on its Examples, and `rows` by split), `recipe` (what Trainer wrote), `verdict`,
    `protocol`, `code` that composed the release, and `artifacts` by input: id in ML Metadata and uri."""
    one = {key: artifact_utils.get_single_instance(input_dict[key]) for key in ("model", "index", "examples", "evaluation")}
    evaluation, examples = Path(one["evaluation"].uri), Path(one["examples"].uri)
    return {
        "data": {**noted(one["examples"].mlmd_artifact), "rows": read_json(examples / "counts.json")},
        "recipe": read_json(Path(one["model"].uri) / RECIPE_FILE),
        "verdict": read_json(evaluation / "verdict.json").get("reason", ""),
        "protocol": read_json(evaluation / "results.json").get("protocol", ""),
        "code": code_version(),
        "artifacts": {key: {"id": artifact.id, "uri": artifact.uri} for key, artifact in one.items()},
    }


def read_json(file: Path) -> dict[str, Any]:
    """Empty where there is none: an artifact of an older version may lack it."""
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
