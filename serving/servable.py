"""One release, loaded: the SavedModel and its indexes as one thing that answers, or fails before it ever answers."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from models.taxonomy import Taxonomy
from serving import retrieval
from serving.batcher import Arrays, Batcher, Batching
from serving.call import Call, Code, RequestError, invalid
from serving.items import Items
from serving.photos import MOST_PIXELS, pixels
from serving.protos import prediction_log_pb2, saved_model_pb2
from serving.release import WARM_UP, Manifest, ReleaseError, verify
from serving.retrieval import SEARCH
from serving.signatures import (
    DEFAULT,
    check_array,
    check_attributes,
    check_names,
    check_outputs,
    check_rows,
    find_signature,
    has_batch_axis,
    kind_of,
)
from serving.tensors import from_proto
from serving.warm_up import read_records


class Model(Protocol):
    """Whoever computes: a `LocalModel`, or a `RemoteModel`."""

    def run(self, signature: str, inputs: Arrays, call: Call) -> Arrays:
        """All outputs of a signature, inputs as it defines them, for as long as `call` waits. Raises: RequestError."""

    def spoiled(self, inputs: Arrays) -> np.ndarray:
        """See `Batcher`."""

    def close(self) -> None:
        """Lets go of what it holds."""


def local_model(folder: Path, definitions: dict[str, Any], version: int) -> Model:  # noqa: ARG001
    """The SavedModel of `folder` in this process."""
    from serving.model import LocalModel  # here, for beside a remote embedder no TensorFlow need be loaded

    return LocalModel(folder)


class Servable:
    """A verified release in memory, warmed. Raises: ReleaseError where `folder` is not a whole release.

    `definitions` holds every signature as GetModelMetadata tells of it. `model_of` makes the model of a folder, of the
    signatures in it, of this version. `observe`: see `Batcher`.
    """

    def __init__(
        self,
        folder: Path,
        batching: Batching | None = None,
        observe: Callable[[str, int, float], None] = lambda *_: None,
        model_of: Callable[[Path, dict[str, Any], int], Model] = local_model,
    ) -> None:
        batching = batching or Batching()
        self.manifest: Manifest = verify(folder)
        self.taxonomy = Taxonomy.from_json(json.dumps(self.manifest.taxonomy))
        self._retrieval = retrieval.open_retrieval(folder, self.manifest, self.taxonomy)
        self._signatures = definitions_of(folder)
        if missing := {DEFAULT, "embed"} - set(self._signatures):
            raise ReleaseError(f"{folder}: the model has no signature {sorted(missing)[0]}; export it and push again")
        searches = {name: retrieval.definition(name) for name in retrieval.ASKED}
        self.definitions: dict[str, Any] = {**self._signatures, **searches}
        self._batched = {name for name, defined in self._signatures.items() if has_batch_axis(defined)}
        self._model = model_of(folder, self._signatures, self.manifest.version)
        self._batcher = Batcher(self._model.run, batching, observe, self._model.spoiled)
        try:
            self._warm(folder / WARM_UP, batching.max_batch_size)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Answers what is under way, then ends; nobody may ask any more."""
        self._batcher.close()
        self._model.close()

    @property
    def items(self) -> Items:
        """What can be found now."""
        return self._retrieval.live().items

    @property
    def own(self) -> set[str]:
        """The signatures that the SavedModel itself answers."""
        return {name for name, defined in self._signatures.items() if defined.method_name}

    def waiting(self) -> int:
        """Rows that wait for the model."""
        return self._batcher.waiting()

    def location(self, item: bytes) -> bytes:
        """Where the photo of an item lies, as its catalogue named it. Raises: RequestError for an unknown id."""
        gallery = self._retrieval.live()
        if (row := gallery.row(item)) is None:
            raise RequestError(Code.NOT_FOUND, f'no item has the id "{item.decode(errors="replace")[:100]}"')
        location: bytes = gallery.items.images[row]
        return location

    def _warm(self, records: Path, largest: int) -> None:
        """Replays the warm-up file, and with its last photo every index and signature, alone and in the largest batch:
        the first request pays for none of it."""
        photo: np.ndarray | None = None
        for record in read_records(records.read_bytes()):
            request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
            inputs = {name: from_proto(proto) for name, proto in request.inputs.items()}
            self.predict(request.model_spec.signature_name, inputs)
            photo = inputs["image"][:1] if len(inputs.get("image", ())) else photo
        if photo is None:
            return  # a log of requests that name items or classes alone: they have been run
        for name in self.taxonomy.names:
            one = {"image": photo, "attribute": np.array([name.encode()], object)}
            self.predict(SEARCH, {**one, "k": np.array(10, np.int32)})
        for name, defined in self._signatures.items():
            if defined.method_name and name != DEFAULT and set(defined.inputs) <= set(one):
                # Of the sizes between none pays for being the first, for the batch axis is open and nothing is traced anew:
                # the first call of 2 to 31 rows took 1.04 of the next (median; small at 96), 1.09 (ResNet-50 at 128), the
                # very first of all 25 and 18 times as long.
                for rows in (1, largest) if name in self._batched else (1,):
                    self.predict(name, {key: np.repeat(one[key], rows) for key in defined.inputs})

    def predict(self, signature: str, inputs: Arrays, output_filter: Sequence[str] = (), call: Call | None = None) -> Arrays:
        """Answers one request.

        Args:
            signature: "" = serving_default. inputs: an array a name, strings as bytes in object arrays.
            output_filter: the outputs to return; none = all of the contract's. call: who waits; none = for ever.
        Returns: an array a name; of the signatures that search see `Retrieval.answer`.
        Raises: RequestError.
        """
        signature, call = signature or DEFAULT, call or Call()
        defined = find_signature(self.definitions, signature)
        if signature not in retrieval.ASKED:
            usual = tuple(sorted(defined.outputs))
            check_outputs(output_filter, usual)
            outputs = self._run(signature, inputs, call)
            return {name: outputs[name] for name in tuple(output_filter) or usual}
        return self._retrieval.answer(signature, inputs, output_filter, lambda asked: self._run("embed", asked, call)["vector"])

    def _run(self, signature: str, inputs: Arrays, call: Call) -> Arrays:
        """Asks the SavedModel, once what is asked makes sense."""
        self.check(signature, inputs)
        return (self._batcher.ask if signature in self._batched else self._model.run)(signature, inputs, call)

    def check(self, signature: str, inputs: Arrays) -> None:
        """Whether `inputs` fit a signature of the SavedModel, as far as can be told without running it. Raises: RequestError."""
        expected = find_signature(self._signatures, signature).inputs
        check_names(set(inputs), set(expected))
        for name, info in expected.items():
            check_array(name, inputs[name], *kind_of(info))
        check_rows(inputs)
        self._check_content(inputs)

    def _check_content(self, inputs: Arrays) -> None:
        for photo in inputs["image"].tolist() if "image" in inputs else ():
            try:
                claimed = pixels(photo)
            except ValueError as error:
                raise invalid(str(error)) from None
            if claimed > MOST_PIXELS:
                raise invalid(f"a photo of {claimed:,} pixels is not decoded; at most {MOST_PIXELS:,}: send it smaller")
        if "attribute" in inputs:
            check_attributes(inputs["attribute"], self.taxonomy.names)


def definitions_of(folder: Path) -> dict[str, Any]:
    """The SavedModel's own signatures, each a SignatureDef."""
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    return dict(saved.meta_graphs[0].signature_def)
