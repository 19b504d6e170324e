"""The local engine's runner: what local_runner.py at the project's root calls. `environment` says what it reads."""

from absl import logging

from pipeline import local
from pipeline.environment import asked, explained
from pipeline.lock import exclusive
from pipeline.progress import quiet


def run() -> None:
    """Runs the pipeline as `m3net run` does, or gives it to the `tfx` command, whichever called."""
    quiet()
    logging.set_verbosity(logging.WARNING)
    with explained(__file__):
        config, output = asked()
        with exclusive(output):
            pipeline = local.pipeline_of(config, output)
            from pipeline.recorded import RecordedRunner

            RecordedRunner(config, output).run(pipeline)


if __name__ == "__main__":
    run()
