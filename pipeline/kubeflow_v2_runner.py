"""Kubeflow's runner: what kubeflow_v2_runner.py at the project's root calls. `environment` says what it reads.

`tfx pipeline create --engine vertex` takes that file, too; `--engine kubeflow` of TFX 1.21 imports a runner that TFX has
removed, so `m3net schedule` and kfp go there.
"""

from pipeline.environment import asked, explained
from pipeline.kubeflow import as_package, compile_package


def run() -> None:
    """Writes the package, m3net.yaml in M3NET_OUTPUT, or gives the pipeline to the `tfx` command, whichever called."""
    with explained(__file__):
        config, output = asked()
        file = as_package(output / "m3net.yaml")
        compile_package(config, file)
        print(file)


if __name__ == "__main__":
    run()
