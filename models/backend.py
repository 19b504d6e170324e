"""What Keras computes with. It is one for a process, and chosen before Keras is imported: this needs the standard library alone."""

import importlib.util
import os

from models.errors import TrainingError

BACKENDS = ("tensorflow", "jax")


def choose(name: str) -> None:
    """Keras, imported from here on in this process or one that it starts, computes with `name`, one of `BACKENDS`.

    Raises: TrainingError where that is not installed.
    """
    if not importlib.util.find_spec(name):
        raise TrainingError(
            f"training.backend: {name} is not installed here; pip install {name}, "
            "or for GPUs pipeline/deploy/cuda.txt and jax.txt, or take tensorflow"
        )
    os.environ["KERAS_BACKEND"] = name


def require(name: str, running: str) -> None:
    """Raises: TrainingError where Keras was imported with another backend, `running`, before `choose` was asked for `name`."""
    if name != running:
        raise TrainingError(
            f"training.backend: {name} is asked for, and Keras was started with {running}; set KERAS_BACKEND={name} before it"
        )
