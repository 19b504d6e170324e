"""The SavedModel of a release in this process: the one place where serving needs TensorFlow."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from serving.batcher import Arrays
from serving.call import Call, invalid

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf


class LocalModel:
    """Loaded from a release's folder."""

    def __init__(self, folder: Path) -> None:
        # Held, for the signatures alone do not keep the model's variables alive.
        self._model = tf.saved_model.load(str(folder))
        self._signatures: dict[str, Any] = dict(self._model.signatures)

    def run(self, signature: str, inputs: Arrays, call: Call) -> Arrays:
        """All outputs of a signature, inputs as it defines them; a run that has begun is not ended before its time.

        Raises: RequestError where the content is at fault.
        """
        function = self._signatures[signature]
        expected = function.structured_input_signature[1]
        try:
            found = function(**{n: tf.constant(inputs[n], s.dtype, inputs[n].shape) for n, s in expected.items()})
        except tf.errors.InvalidArgumentError as error:
            raise invalid(_reason(error.message)) from None
        return {name: value.numpy() for name, value in found.items()}

    def spoiled(self, inputs: Arrays) -> np.ndarray:
        """Which photos cannot be decoded, by the model's own operation; it costs each of a batch that failed one decoding more."""
        return np.array([not _decodes(photo) for photo in inputs["image"]] if "image" in inputs else [], bool)

    def close(self) -> None:
        """Nothing to end."""


def _decodes(photo: bytes) -> bool:
    try:
        tf.io.decode_image(photo, channels=3, expand_animations=False)
    except tf.errors.InvalidArgumentError:
        return False
    return True


def _reason(message: str) -> str:
    """What TensorFlow complains of, without the traces before it and the nodes after it: a line of 300 characters."""
    complaint = re.split(r"\s*\[\[\{\{node|\s*\[Op:", message, maxsplit=1)[0].strip().splitlines()
    return re.sub(r"\{\{function_node [^}]*\}\}\s*", "", complaint[-1] if complaint else message)[:300]
