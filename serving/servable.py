"""One release, loaded: the SavedModel and its indexes as one thing that answers, or fails before it ever answers."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow.parquet as pq

from models.taxonomy import Taxonomy
from serving.index import open_index
from serving.release import INDEX, ITEMS, Manifest, verify

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf

DEFAULT = "serving_default"
SEARCH = "search"
MAX_K = 1000
_SEARCH_INPUTS = {"image": "bytes", "attribute": "bytes", "k": "int"}


@dataclass
class RequestError(Exception):
    """A request that cannot be answered: the gRPC code to send, and the message."""

    code: grpc.StatusCode
    message: str


class Items:
    """items.parquet: what stands behind the rows of every index."""

    def __init__(self, path: Path, taxonomy: Taxonomy) -> None:
        table = pq.read_table(path)
        self.ids = np.array([i.encode() for i in table["id"].to_pylist()], object)
        self.images = np.array([i.encode() for i in table["image"].to_pylist()], object)
        self.classes: dict[str, np.ndarray] = {}
        for attribute in taxonomy.attributes:
            cells = table[f"label/{attribute.name}"].to_pylist()
            names = ["|".join(attribute.classes[i] for i in cell).encode() for cell in cells]
            self.classes[attribute.name] = np.array(names, object)


class Servable:
    """A verified release in memory, warmed. Raises: ReleaseError where `folder` is not a whole release."""

    def __init__(self, folder: Path) -> None:
        self.manifest: Manifest = verify(folder)
        self.taxonomy = Taxonomy.from_json(json.dumps(self.manifest.taxonomy))
        self.items = Items(folder / ITEMS, self.taxonomy)
        self.indexes = {name: open_index(folder / INDEX / name) for name in self.taxonomy.names}
        self._model = tf.saved_model.load(str(folder))
        self._signatures: dict[str, Any] = dict(self._model.signatures)
        self._warm()

    def _warm(self) -> None:
        """Traces every signature and touches every index, so that the first request pays for neither."""
        photo = tf.io.encode_jpeg(np.full((64, 64, 3), 128, np.uint8)).numpy()
        for name in self.taxonomy.names:
            inputs = {"image": np.array([photo], object), "attribute": np.array([name.encode()], object)}
            self.predict(SEARCH, {**inputs, "k": np.array(1, np.int32)})
        for signature, function in self._signatures.items():
            names = function.structured_input_signature[1]
            self.predict(signature, {key: inputs[key] for key in names})

    def predict(self, signature: str, inputs: dict[str, np.ndarray], wanted: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
        """Answers one request.

        Args:
            signature: "" = serving_default. inputs: an array a name. wanted: the outputs to return; none = the usual.
        Returns: an array a name. `search` gives `id` (B, k) and `score` (B, k); asked for by name also `class`, the
            item's classes joined by |, and `image`, its location.
        Raises: RequestError.
        """
        signature = signature or DEFAULT
        if signature == SEARCH:
            outputs = self._search(inputs, wanted)
        elif signature in self._signatures:
            outputs = self._run(signature, inputs)
        else:
            raise RequestError(grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{signature}" not found.')
        if unknown := [name for name in wanted if name not in outputs]:
            raise RequestError(grpc.StatusCode.INVALID_ARGUMENT, f"output tensor alias not found in signature: {unknown[0]}")
        return {name: outputs[name] for name in wanted} if wanted else outputs

    def _run(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        function = self._signatures[signature]
        expected = set(function.structured_input_signature[1])
        _check_names(set(inputs), expected)
        for name, array in inputs.items():
            if array.dtype != object or array.ndim != 1:
                raise _invalid(f'input "{name}" must be strings of shape (B,); got {array.dtype} {array.shape}')
        if len({len(array) for array in inputs.values()}) != 1:
            raise _invalid("inputs of one request must have one length")
        try:
            found = function(**{name: tf.constant(list(array), tf.string) for name, array in inputs.items()})
        except tf.errors.InvalidArgumentError as error:
            raise _invalid(" ".join(error.message.split())[:500]) from None
        return {name: value.numpy() for name, value in found.items()}

    def _search(self, inputs: dict[str, np.ndarray], wanted: tuple[str, ...]) -> dict[str, np.ndarray]:
        _check_names(set(inputs), set(_SEARCH_INPUTS))
        if inputs["k"].size != 1 or inputs["k"].dtype.kind != "i" or not 1 <= int(inputs["k"].ravel()[0]) <= MAX_K:
            raise _invalid(f'input "k" must be one integer from 1 to {MAX_K}')
        k = int(inputs["k"].ravel()[0])
        vectors = self._run("embed", {"image": inputs["image"], "attribute": inputs["attribute"]})["vector"]
        names = [name.decode() for name in inputs["attribute"]]
        found = [self.indexes[name].search(vector[None], k) for name, vector in zip(names, vectors, strict=True)]
        rows = np.concatenate([one[0] for one in found])
        outputs = {"id": self.items.ids[rows], "score": np.concatenate([one[1] for one in found]).astype(np.float32)}
        if "image" in wanted:
            outputs["image"] = self.items.images[rows]
        if "class" in wanted:
            outputs["class"] = np.stack([self.items.classes[n][r] for n, r in zip(names, rows, strict=True)])
        return outputs


def _check_names(given: set[str], expected: set[str]) -> None:
    if given != expected:
        missing, extra = sorted(expected - given), sorted(given - expected)
        raise _invalid(
            f"input size does not match signature: {len(given)}!={len(expected)} len({{{','.join(sorted(given))}}}) != "
            f"len({{{','.join(sorted(expected))}}}). Sent extra: {{{','.join(extra)}}}. Missing but required: {{{','.join(missing)}}}."
        )


def _invalid(message: str) -> RequestError:
    return RequestError(grpc.StatusCode.INVALID_ARGUMENT, message)
