"""Composes a release aside, checks it in a real server, and records whether it may be pushed."""

import os
import tempfile
from pathlib import Path
from typing import Any

from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.release_validator.check import MismatchError, check, running
from components.releaser.parts import composer
from serving.release import push


class Executor(base_executor.BaseExecutor):
    """Executor of `ReleaseValidator`."""

    def Do(self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]) -> None:
        """Keys: `ReleaseValidatorSpec`."""
        examples, embeddings = (Path(artifact_utils.get_single_uri(input_dict[key])) for key in ("examples", "embeddings"))
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        reason = ""
        # In the artifact's own folder where that is on this machine: what a kill leaves there goes with it.
        with tempfile.TemporaryDirectory(dir=blessing.uri if Path(blessing.uri).is_dir() else None) as folder:
            push(Path(folder), composer(input_dict))
            try:
                with running(Path(folder)) as address:
                    check(address, examples, embeddings, exec_properties["splits"].split(","))
            except MismatchError as error:
                reason = str(error)
        blessing.set_int_custom_property("blessed", int(not reason))
        blessing.set_string_custom_property("reason", reason)
        io_utils.write_string_file(os.path.join(blessing.uri, "INFRA_NOT_BLESSED" if reason else "INFRA_BLESSED"), reason)
