"""The runner file of the `tfx` command's local engine: `tfx pipeline create --engine local --pipeline_path THIS`.

Reads M3NET_CATALOGUE, and if set M3NET_CONFIG, M3NET_OUTPUT and M3NET_SET ("part.key=value ..."): the `tfx` command passes
no arguments on.
"""

import os
from pathlib import Path

from absl import logging
from tfx import v1 as tfx
from tfx.orchestration import metadata

from pipeline.config import QUICK, load
from pipeline.create import create_pipeline
from pipeline.fingerprint import fingerprint
from pipeline.lock import exclusive


def run() -> None:
    """Runs the pipeline, or gives it to the `tfx` command, whichever called."""
    overrides = [f"data.catalogue={os.environ['M3NET_CATALOGUE']}", *os.environ.get("M3NET_SET", "").split()]
    config = load(Path(os.environ.get("M3NET_CONFIG", QUICK)), overrides)
    output = Path(os.environ.get("M3NET_OUTPUT", "runs/tfx")).resolve()
    (output / "tfx").mkdir(parents=True, exist_ok=True)
    pipeline = create_pipeline(
        config,
        root=str(output / "tfx" / "artifacts"),
        releases=str(output / "releases"),
        version=fingerprint(config.data.catalogue, config.data.format),
        metadata=metadata.sqlite_metadata_connection_config(str(output / "tfx" / "metadata.sqlite")),
    )
    with exclusive(output):
        tfx.orchestration.LocalDagRunner().run(pipeline)


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    run()
