"""What the runner files read, since the `tfx` command passes no arguments on.

M3NET_CATALOGUE, and if set M3NET_CONFIG, M3NET_OUTPUT and M3NET_SET ("part.key=value ...").
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.config import QUICK, Config, ConfigError, load
from pipeline.verbs import located, mendable


def asked() -> tuple[Config, Path]:
    """The configuration, and the output folder. Raises: ConfigError."""
    overrides = os.environ.get("M3NET_SET", "").split()
    if catalogue := os.environ.get("M3NET_CATALOGUE"):
        overrides.insert(0, f"data.catalogue={json.dumps(located(catalogue))}")
    config = load(Path(os.environ.get("M3NET_CONFIG") or QUICK), overrides)
    if not config.data.catalogue:
        raise ConfigError("no catalogue; set M3NET_CATALOGUE to path/catalogue.csv, or data.catalogue in $M3NET_CONFIG")
    return config, Path(os.environ.get("M3NET_OUTPUT") or "runs/tfx").resolve()


@contextlib.contextmanager
def explained(file: str) -> Iterator[None]:
    """What a user can mend ends the process with exit code 2 and one line, which begins with the name of the runner `file`."""
    try:
        yield
    except Exception as error:
        if not mendable(error):
            raise
        print(f"{Path(file).name}: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
