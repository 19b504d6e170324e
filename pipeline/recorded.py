"""TFX's local runner, whose runs have an id from their first moment, and say in ML Metadata what they are runs of.

What is noted hangs on the run's context, not on executions: TFX's cache is keyed by those alone, so that neither a new
commit nor another number of Beam workers makes anything run again.
"""

import contextlib
import dataclasses
import hashlib
import json
import logging
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tfx.dsl.compiler import constants
from tfx.orchestration import metadata
from tfx.orchestration.local import local_dag_runner, runner_utils
from tfx.orchestration.portable import runtime_parameter_utils
from tfx.orchestration.portable.mlmd import context_lib

from components.code_version import code_version
from pipeline import failures, run_metrics
from pipeline.config import Config
from pipeline.progress import _RUNNING as RUNNING
from pipeline.recovery import recover
from serving import logs

ARTIFACTS = "tfx/artifacts"  # in the output folder: the pipeline's root


class RecordedRunner(local_dag_runner.LocalDagRunner):
    """As the stock one, for runs of `config` into the folder `output`, whose lock the caller holds.

    What a killed run left is set right first; `config` and the code's version are noted before the run starts; metrics.prom
    is written after it, however it ended.
    """

    def __init__(self, config: Config, output: Path) -> None:
        super().__init__()
        self.config, self.output = config, output

    def run_with_ir(self, pipeline: Any, run_options: Any = None) -> None:
        """Runs the compiled pipeline. An error says in its notes which component it was; see `failures`."""
        deployed = runner_utils.extract_local_deployment_config(pipeline).metadata_connection_config
        connection = getattr(deployed, deployed.WhichOneof("connection_config"))
        for name in recover(connection, self.output / ARTIFACTS):
            print(f"{name} was cut off in an earlier run; it begins again, with what it had finished", file=sys.stderr)
        run, started, success = new_run_id(), time.time(), False
        # Set here, it is no parameter any more that the stock runner would fill with the time.
        runtime_parameter_utils.substitute_runtime_parameter(pipeline, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run})
        self._record(connection, run)
        try:
            with _followed(run):
                super().run_with_ir(pipeline, run_options)
            success = True
        except Exception as error:
            failures.note(error, self.output, run)
            raise
        finally:
            run_metrics.write(self.output, run, started, success)

    def _record(self, connection: Any, run: str) -> None:
        with metadata.Metadata(connection) as handle:
            context = context_lib.register_context_if_not_exists(handle, constants.PIPELINE_RUN_CONTEXT_TYPE_NAME, run)
            for name, text in facts(self.config).items():
                context.custom_properties[name].string_value = text
            handle.store.put_contexts([context])


class _Follow(logging.Handler):
    """Knows which component is running, by the stock runner's own message."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg == RUNNING and isinstance(record.args, tuple):
            logs.FIELDS["component"] = str(record.args[0])


@contextlib.contextmanager
def _followed(run_id: str) -> Iterator[None]:
    """While it lasts, logs name the run and the component."""
    absl, follow = logging.getLogger("absl"), _Follow()
    absl.handlers.insert(0, follow)  # before whoever says that a component starts
    logs.FIELDS["run"] = run_id
    if isinstance(sys.stderr, logs.JsonLines):
        for handler in absl.handlers:
            if isinstance(handler, logging.FileHandler):
                handler.setFormatter(logs.JsonFormatter())
    try:
        yield
    finally:
        absl.removeHandler(follow)
        logs.FIELDS.clear()


def new_run_id() -> str:
    """UTC to the microsecond, as text that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}Z"


def facts(config: Config) -> dict[str, str]:
    """`config` as JSON, `config_hash`, and `code_*` of `code_version`: all that a run follows from but its data."""
    text = json.dumps(dataclasses.asdict(config), sort_keys=True, ensure_ascii=False)
    digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    return {"config": text, "config_hash": digest, **{f"code_{key}": value for key, value in code_version().items()}}
