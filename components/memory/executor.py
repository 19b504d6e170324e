"""Copies from and to the folder: <folder>/<kind>/<nanoseconds>, the newest counts."""

import shutil
import time
from pathlib import Path
from typing import Any

from tfx.components.util import model_utils
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from components.artifacts import SPLITS
from models.trainer import MODEL_FILE

ABSENT = "absent"  # custom property, 1: nothing was remembered yet
_MODEL, _STATISTICS = "model", "statistics"


def keep(source: Path, folder: Path) -> None:
    """Copies the folder `source` below `folder`; seen whole or not at all, whenever it is cut short. Older ones go."""
    number = str(time.time_ns())
    partial = folder / f"{number}.partial"
    shutil.copytree(source, partial)
    partial.rename(folder / number)
    for one in folder.iterdir():
        if one.name != number:
            shutil.rmtree(one)


def newest(folder: Path) -> Path | None:
    """What was kept last; None where nothing was."""
    kept = [one for one in folder.iterdir() if one.name.isdecimal()] if folder.is_dir() else []
    return max(kept, key=lambda one: int(one.name), default=None)


class Recaller(base_executor.BaseExecutor):
    """Executor of `Recall`."""

    def Do(self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]) -> None:
        """Keys: `RecallSpec`."""
        for kind in (_STATISTICS, _MODEL):
            artifact = artifact_utils.get_single_instance(output_dict[kind])
            kept = newest(Path(exec_properties["folder"]) / kind)
            if kept is None:
                artifact.set_int_custom_property(ABSENT, 1)
                continue
            shutil.copytree(kept, artifact.uri, dirs_exist_ok=True)
            if kind == _STATISTICS:
                found = [split for split in SPLITS if (kept / f"Split-{split}").is_dir()]
                artifact.split_names = artifact_utils.encode_split_names(found)


class Rememberer(base_executor.BaseExecutor):
    """Executor of `Remember`."""

    def Do(self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]) -> None:
        """Keys: `RememberSpec`."""
        folder = Path(exec_properties["folder"])
        for kind in (_STATISTICS, _MODEL):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        keep(Path(artifact_utils.get_single_uri(input_dict["statistics"])), folder / _STATISTICS)
        if not input_dict.get("model"):
            return
        if model_utils.is_model_blessed(artifact_utils.get_single_instance(input_dict["blessing"])):
            self._model(Path(artifact_utils.get_single_uri(input_dict["model"])), folder / _MODEL)

    def _model(self, model: Path, folder: Path) -> None:
        """Of the model what another run reads: its weights, not its SavedModel."""
        alone = folder / "weights.partial"
        shutil.rmtree(alone, ignore_errors=True)
        alone.mkdir()
        shutil.copyfile(model / MODEL_FILE, alone / MODEL_FILE)
        keep(alone, folder)
