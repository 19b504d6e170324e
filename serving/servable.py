"""One release, loaded: the SavedModel and its indexes as one thing that answers, or fails before it ever answers."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from models.taxonomy import Taxonomy
from serving.index import open_index
from serving.items import Items
from serving.protos import prediction_log_pb2
from serving.release import INDEX, ITEMS, WARM_UP, Manifest, ReleaseError, verify
from serving.tensors import from_proto

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf

DEFAULT = "serving_default"
SEARCH = "search"
MAX_K = 1000
_SEARCH_INPUTS = ("image", "attribute", "k")
_SEARCH_OUTPUTS = ("id", "score")  # the contract's; those below come only where they are asked for by name
_ITEM_OUTPUTS = ("class", "image")


class RequestError(Exception):
    """A request that cannot be answered: the gRPC code to send, and as its text the message."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class Servable:
    """A verified release in memory, warmed. Raises: ReleaseError where `folder` is not a whole release."""

    def __init__(self, folder: Path) -> None:
        self.manifest: Manifest = verify(folder)
        self.taxonomy = Taxonomy.from_json(json.dumps(self.manifest.taxonomy))
        self._items = Items(folder / ITEMS, self.taxonomy)
        self._indexes = {name: open_index(folder / INDEX / name) for name in self.taxonomy.names}
        if len(self._items) != (size := self._indexes[self.taxonomy.names[0]].info.size):
            raise ReleaseError(f"{folder}: {len(self._items)} items for indexes of {size}; build both and push again")
        # Held, for the signatures alone do not keep the model's variables alive.
        self._model = tf.saved_model.load(str(folder))
        self._signatures: dict[str, Any] = dict(self._model.signatures)
        if missing := {DEFAULT, "embed"} - set(self._signatures):
            raise ReleaseError(f"{folder}: the model has no signature {sorted(missing)[0]}; export it and push again")
        self._warm(folder / WARM_UP)

    def _warm(self, records: Path) -> None:
        """Replays the warm-up file, and with its photos every signature and index: the first request pays for none."""
        for record in tf.data.TFRecordDataset(str(records)):
            request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
            inputs = {name: from_proto(proto) for name, proto in request.inputs.items()}
            self.predict(request.model_spec.signature_name, inputs)
            self.predict(SEARCH, {**inputs, "k": np.array(10, np.int32)})
        for name, function in self._signatures.items():
            if (needed := set(function.structured_input_signature[1])) <= set(inputs):
                self.predict(name, {key: inputs[key] for key in needed})

    def predict(
        self, signature: str, inputs: dict[str, np.ndarray], output_filter: Sequence[str] = ()
    ) -> dict[str, np.ndarray]:
        """Answers one request.

        Args:
            signature: "" = serving_default. inputs: an array a name, strings as bytes in object arrays.
            output_filter: the outputs to return; none = all of the contract's.
        Returns: an array a name. `search` gives `id` bytes (B, k) and `score` float32 (B, k), k cut to the items there
            are; asked for by name also `class` bytes (B, k), the item's classes of the attribute joined by |, and
            `image` bytes (B, k), its location.
        Raises: RequestError.
        """
        signature = signature or DEFAULT
        if signature == SEARCH:
            usual, known = _SEARCH_OUTPUTS, (*_SEARCH_OUTPUTS, *_ITEM_OUTPUTS)
        elif signature in self._signatures:
            usual = known = tuple(sorted(self._signatures[signature].structured_outputs))
        else:
            raise RequestError(grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{signature}" not found.')
        _check_outputs(output_filter, known)
        wanted = tuple(output_filter) or usual
        outputs = self._search(inputs, wanted) if signature == SEARCH else self._run(signature, inputs)
        return {name: outputs[name] for name in wanted}

    def _run(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Asks the SavedModel, as it is."""
        function = self._signatures[signature]
        expected = function.structured_input_signature[1]
        _check_names(set(inputs), set(expected))
        for name, spec in expected.items():
            array = inputs[name]
            if array.dtype != spec.dtype.as_numpy_dtype or not spec.shape.is_compatible_with(array.shape):
                raise _invalid(
                    f'input "{name}" must be {spec.dtype.name} of shape {_shape(spec.shape)}; '
                    f"got {'string' if array.dtype == object else array.dtype} of shape {_shape(array.shape)}"
                )
        if len({len(array) for array in inputs.values() if array.ndim}) > 1:
            counts = ", ".join(f"{name} {len(array)}" for name, array in sorted(inputs.items()))
            raise _invalid(f"the inputs of one request hold one batch; got {counts}")
        if "attribute" in expected:
            self._check_attributes(inputs["attribute"])
        try:
            found = function(**{n: tf.constant(inputs[n], s.dtype, inputs[n].shape) for n, s in expected.items()})
        except tf.errors.InvalidArgumentError as error:
            raise _invalid(_reason(error.message)) from None
        return {name: value.numpy() for name, value in found.items()}

    def _check_attributes(self, attributes: np.ndarray) -> None:
        names = {name.encode() for name in self.taxonomy.names}
        if unknown := sorted(set(attributes.tolist()) - names):
            given = unknown[0].decode(errors="replace")
            raise _invalid(f'unknown attribute "{given}"; there are: {", ".join(self.taxonomy.names)}')

    def _search(self, inputs: dict[str, np.ndarray], wanted: Sequence[str]) -> dict[str, np.ndarray]:
        """Embeds the photos, then asks each attribute's index once for all of its queries."""
        _check_names(set(inputs), set(_SEARCH_INPUTS))
        if inputs["k"].shape != () or inputs["k"].dtype.kind != "i" or not 1 <= int(inputs["k"]) <= MAX_K:
            raise _invalid(f'input "k" must be one integer from 1 to {MAX_K}, of shape ()')
        asked = inputs["attribute"]
        vectors = self._run("embed", {"image": inputs["image"], "attribute": asked})["vector"]
        if not np.isfinite(vectors).all():
            raise RequestError(grpc.StatusCode.INTERNAL, "the model gave a vector that is not finite for this photo")
        shape = (len(vectors), min(int(inputs["k"]), len(self._items)))
        rows, outputs = np.empty(shape, np.int32), {name: np.empty(shape, object) for name in wanted}
        outputs["score"] = np.empty(shape, np.float32)
        for name in set(asked.tolist()):
            of_name = asked == name
            attribute = name.decode()
            rows[of_name], outputs["score"][of_name] = self._indexes[attribute].search(vectors[of_name], shape[1])
            if "class" in wanted:
                outputs["class"][of_name] = self._items.classes(attribute)[rows[of_name]]
        return {**outputs, "id": self._items.ids[rows], "image": self._items.images[rows]}


def _check_names(given: set[str], expected: set[str]) -> None:
    if given != expected:
        sent, needed, extra, missing = (
            ",".join(sorted(names)) for names in (given, expected, given - expected, expected - given)
        )
        raise _invalid(
            f"input size does not match signature: {len(given)}!={len(expected)} len({{{sent}}}) != len({{{needed}}}). "
            f"Sent extra: {{{extra}}}. Missing but required: {{{missing}}}."
        )


def _check_outputs(output_filter: Sequence[str], known: Sequence[str]) -> None:
    for place, name in enumerate(output_filter):
        if name not in known:
            expected = ",".join(known)
            raise _invalid(
                f"output tensor alias not found in signature: {name} Outputs expected to be in the set {{{expected}}}."
            )
        if name in output_filter[:place]:
            raise _invalid(f"duplicate output tensor alias: {name}")


def _reason(message: str) -> str:
    """What TensorFlow complains of, without the traces before it and the nodes after it: a line of 300 characters."""
    complaint = re.split(r"\s*\[\[\{\{node|\s*\[Op:", message, maxsplit=1)[0].strip().splitlines()
    return re.sub(r"\{\{function_node [^}]*\}\}\s*", "", complaint[-1] if complaint else message)[:300]


def _shape(sizes: Any) -> str:
    return f"({', '.join('B' if size is None else str(size) for size in sizes)})"


def _invalid(message: str) -> RequestError:
    return RequestError(grpc.StatusCode.INVALID_ARGUMENT, message)
