"""What a Beam runner needs on this machine, looked for before a run starts: Beam itself says it late and in a traceback."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from components.errors import InputError

_JOB_SERVERS = {"flinkrunner": "flink", "sparkrunner": "spark"}


def require(args: Sequence[str]) -> None:
    """Raises: InputError with one line for the first thing that the runner of `args`, Beam's options, lacks here."""
    options = dict(one.removeprefix("--").partition("=")[::2] for one in args)
    runner = options.get("runner", "").lower()
    if engine := _JOB_SERVERS.get(runner):
        _job_server(options, engine)
    if runner == "portablerunner" and not options.get("job_endpoint"):
        raise InputError("beam.args: PortableRunner asks a job service; say where it listens, --job_endpoint=HOST:PORT")
    if options.get("environment_type", "").upper() == "PROCESS":
        _worker(options.get("environment_config", ""))


def _job_server(options: dict[str, str], engine: str) -> None:
    if not shutil.which("java"):
        raise InputError(f"beam.args: the job server of {engine} needs Java 17, and no `java` is on PATH; install a JRE")
    jar = options.get(f"{engine}_job_server_jar", "")
    if jar and "://" not in jar and not Path(jar).is_file():
        raise InputError(f"beam.args: --{engine}_job_server_jar={jar}: no such file; docs/runners.md says where it comes from")


def _worker(config: str) -> None:
    try:
        command = json.loads(config)["command"]
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f'beam.args: --environment_config is JSON with the worker\'s command, {{"command": "/opt/m3net/worker"}}; got {config!r}'
        ) from None
    if not os.access(command, os.X_OK):
        raise InputError(
            f"beam.args: --environment_config: {command} is no executable file; docs/runners.md shows its two lines"
        )
