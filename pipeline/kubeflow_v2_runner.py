"""The runner file for Kubeflow, where TFX's templates have theirs: `python -m pipeline.kubeflow_v2_runner` writes the package.

Reads what `pipeline/local_runner.py` reads; the package is m3net.yaml in M3NET_OUTPUT. `tfx pipeline create --engine vertex`
takes this file, too; `--engine kubeflow` of TFX 1.21 imports a runner that TFX has removed, so `m3net schedule` and kfp go there.
"""

import os
from pathlib import Path

from pipeline.config import QUICK, load
from pipeline.kubeflow import compile_package


def run() -> None:
    """Writes the package, or gives the pipeline to the `tfx` command, whichever called."""
    overrides = [f"data.catalogue={os.environ['M3NET_CATALOGUE']}", *os.environ.get("M3NET_SET", "").split()]
    config = load(Path(os.environ.get("M3NET_CONFIG", QUICK)), overrides)
    file = Path(os.environ.get("M3NET_OUTPUT", "runs/tfx")).resolve() / "m3net.yaml"
    compile_package(config, file)
    print(file)


if __name__ == "__main__":
    run()
