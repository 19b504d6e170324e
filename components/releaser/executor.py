"""Pushes a blessed model as a release: whole, or not at all."""

import sys
from pathlib import Path
from typing import Any

from tfx.components.pusher import executor as pusher
from tfx.types import artifact_utils

from components.releaser.parts import composer
from serving import retention
from serving.release import push


class Executor(pusher.Executor):
    """Executor of `Releaser`; checks the blessings and records the push as the stock Pusher does."""

    def Do(self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]) -> None:
        """Keys: `ReleaserSpec`."""
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        releases = Path(exec_properties["releases"])
        keep, models_config = exec_properties["keep"], exec_properties["models_config"]
        named = retention.named(Path(models_config)) if models_config else frozenset()  # first: a mistake pushes nothing
        version = push(releases, composer(input_dict, run=self._context.pipeline_run_id or "" if self._context else ""))
        self._MarkPushed(pushed, pushed_destination=str(releases / str(version)), pushed_version=str(version))
        if keep:
            _prune(releases, keep, named | {version})


def _prune(releases: Path, keep: int, spared: frozenset[int]) -> None:
    """What is pushed is pushed: if this fails, the run has not."""
    try:
        removed = retention.prune(releases, keep, spared)
    except OSError as error:
        print(f"  old releases stay: {error}", file=sys.stderr)
    else:
        print(f"  old releases removed: {', '.join(map(str, removed)) or 'none'}", file=sys.stderr)
