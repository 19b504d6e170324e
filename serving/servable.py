"""One release, loaded: the SavedModel and its indexes as one thing that answers, or fails before it ever answers."""

import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.taxonomy import Taxonomy
from serving import retrieval
from serving.batcher import Arrays, Batcher, Batching
from serving.call import Call, invalid
from serving.index import open_index
from serving.items import Items
from serving.photos import MOST_PIXELS, pixels
from serving.protos import prediction_log_pb2, saved_model_pb2
from serving.release import INDEX, ITEMS, WARM_UP, Manifest, ReleaseError, verify
from serving.retrieval import SEARCH
from serving.signatures import DEFAULT, check_array, check_names, check_outputs, check_rows, find_signature
from serving.tensors import from_proto

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf


class Servable:
    """A verified release in memory, warmed. Raises: ReleaseError where `folder` is not a whole release.

    `definitions` holds every signature as GetModelMetadata tells of it. `observe`: see `Batcher`.
    """

    def __init__(
        self,
        folder: Path,
        batching: Batching | None = None,
        observe: Callable[[str, int, float], None] = lambda *_: None,
    ) -> None:
        batching = batching or Batching()
        self.manifest: Manifest = verify(folder)
        self.taxonomy = Taxonomy.from_json(json.dumps(self.manifest.taxonomy))
        self._attributes = {name.encode() for name in self.taxonomy.names}
        self._items = items = Items(folder / ITEMS, self.taxonomy)
        indexes = {name: open_index(folder / INDEX / name) for name in self.taxonomy.names}
        if len(items) != (size := indexes[self.taxonomy.names[0]].info.size):
            raise ReleaseError(f"{folder}: {len(items)} items for indexes of {size}; build both and push again")
        self._retrieval = retrieval.Retrieval(self.taxonomy, items, indexes)
        # Held, for the signatures alone do not keep the model's variables alive.
        self._model = tf.saved_model.load(str(folder))
        self._signatures: dict[str, Any] = dict(self._model.signatures)
        if missing := {DEFAULT, "embed"} - set(self._signatures):
            raise ReleaseError(f"{folder}: the model has no signature {sorted(missing)[0]}; export it and push again")
        self.definitions: dict[str, Any] = {
            **_definitions(folder),
            **{name: retrieval.definition(name) for name in retrieval.ASKED},
        }
        self._batched = {name for name, function in self._signatures.items() if _has_batch_axis(function)}
        self._batcher = Batcher(self._execute, batching, observe)
        try:
            self._warm(folder / WARM_UP, batching.max_batch_size)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Answers what is under way, then ends; nobody may ask any more."""
        self._batcher.close()

    def waiting(self) -> int:
        """Rows that wait for the model."""
        return self._batcher.waiting()

    def location(self, item: bytes) -> str:
        """Where the photo of an item lies, as its catalogue named it. Raises: RequestError for an unknown id."""
        if (row := self._items.row(item)) is None:
            raise invalid(f'unknown id "{item.decode(errors="replace")[:100]}"')
        return str(self._items.images[row].decode())

    def _warm(self, records: Path, largest: int) -> None:
        """Replays the warm-up file, and with its photos every signature and index, alone and in the largest batch: the
        first request pays for none of it."""
        for record in tf.data.TFRecordDataset(str(records)):
            request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
            inputs = {name: from_proto(proto) for name, proto in request.inputs.items()}
            self.predict(request.model_spec.signature_name, inputs)
            self.predict(SEARCH, {**inputs, "k": np.array(10, np.int32)})
        for name, function in self._signatures.items():
            if name != DEFAULT and (needed := set(function.structured_input_signature[1])) <= set(inputs):
                for rows in (1, largest) if name in self._batched else (1,):
                    self.predict(name, {key: np.repeat(inputs[key], rows) for key in needed})

    def predict(self, signature: str, inputs: Arrays, output_filter: Sequence[str] = (), call: Call | None = None) -> Arrays:
        """Answers one request.

        Args:
            signature: "" = serving_default. inputs: an array a name, strings as bytes in object arrays.
            output_filter: the outputs to return; none = all of the contract's. call: who waits; none = for ever.
        Returns: an array a name. `search` gives `id` bytes (B, k) and `score` float32 (B, k), k cut to the items there
            are; asked for by name also `class` bytes (B, k), the item's classes of the attribute joined by |, and
            `image` bytes (B, k), its location.
        Raises: RequestError.
        """
        signature, call = signature or DEFAULT, call or Call()
        find_signature(self.definitions, signature)
        if signature not in retrieval.ASKED:
            usual = tuple(sorted(self._signatures[signature].structured_outputs))
            check_outputs(output_filter, usual)
            outputs = self._run(signature, inputs, call)
            return {name: outputs[name] for name in tuple(output_filter) or usual}
        check_outputs(output_filter, (*retrieval.OUTPUTS, *retrieval.ITEM_OUTPUTS))
        check_names(set(inputs), set(retrieval.inputs_of(signature)))
        k, attributes = retrieval.depth(inputs["k"]), inputs["attribute"]
        vectors = self._vectors(signature, inputs, call)
        return self._retrieval.search(vectors, attributes, k, tuple(output_filter) or retrieval.OUTPUTS)

    def _vectors(self, signature: str, inputs: Arrays, call: Call) -> np.ndarray:
        """What is searched for."""
        asked, attributes = inputs[retrieval.ASKED[signature]], inputs["attribute"]
        if signature == SEARCH:
            return self._run("embed", {"image": asked, "attribute": attributes}, call)["vector"]
        for name, array in ((retrieval.ASKED[signature], asked), ("attribute", attributes)):
            check_array(name, array, np.dtype(object), (None,))
        check_rows(inputs)
        self._check_content({"attribute": attributes})
        return self._retrieval.vectors(signature, asked, attributes)

    def _run(self, signature: str, inputs: Arrays, call: Call) -> Arrays:
        """Asks the SavedModel, once what is asked makes sense."""
        expected = self._signatures[signature].structured_input_signature[1]
        check_names(set(inputs), set(expected))
        for name, spec in expected.items():
            check_array(name, inputs[name], np.dtype(spec.dtype.as_numpy_dtype), tuple(spec.shape))
        check_rows(inputs)
        self._check_content(inputs)
        return self._batcher.ask(signature, inputs, call) if signature in self._batched else self._execute(signature, inputs)

    def _check_content(self, inputs: Arrays) -> None:
        for photo in inputs["image"].tolist() if "image" in inputs else ():
            if (claimed := pixels(photo)) > MOST_PIXELS:
                raise invalid(f"a photo of {claimed:,} pixels is not decoded; at most {MOST_PIXELS:,}: send it smaller")
        unknown = sorted(set(inputs["attribute"].tolist()) - self._attributes) if "attribute" in inputs else ()
        if unknown:
            given = unknown[0].decode(errors="replace")
            raise invalid(f'unknown attribute "{given}"; there are: {", ".join(self.taxonomy.names)}')

    def _execute(self, signature: str, inputs: Arrays) -> Arrays:
        function = self._signatures[signature]
        expected = function.structured_input_signature[1]
        try:
            found = function(**{n: tf.constant(inputs[n], s.dtype, inputs[n].shape) for n, s in expected.items()})
        except tf.errors.InvalidArgumentError as error:
            raise invalid(_reason(error.message)) from None
        return {name: value.numpy() for name, value in found.items()}


def _definitions(folder: Path) -> dict[str, Any]:
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    return dict(saved.meta_graphs[0].signature_def)


def _has_batch_axis(function: Any) -> bool:
    """Whether requests can be run side by side: every input and output has a first axis of any length."""
    specs = (*function.structured_input_signature[1].values(), *function.structured_outputs.values())
    return all(spec.shape.rank and spec.shape[0] is None for spec in specs)


def _reason(message: str) -> str:
    """What TensorFlow complains of, without the traces before it and the nodes after it: a line of 300 characters."""
    complaint = re.split(r"\s*\[\[\{\{node|\s*\[Op:", message, maxsplit=1)[0].strip().splitlines()
    return re.sub(r"\{\{function_node [^}]*\}\}\s*", "", complaint[-1] if complaint else message)[:300]
