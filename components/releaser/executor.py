"""Pushes a blessed model as a release: whole, or not at all."""

from pathlib import Path
from typing import Any

from tfx.components.pusher import executor as pusher
from tfx.types import artifact_utils

from components.releaser.parts import composer
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
        version = push(releases, composer(input_dict))
        self._MarkPushed(pushed, pushed_destination=str(releases / str(version)), pushed_version=str(version))
