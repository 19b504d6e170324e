"""A small gallery inside the SavedModel: `search`, `search_by_id` and `search_by_class` on stock TensorFlow operations.

So that an unmodified TensorFlow Serving answers them: every vector scored, the best k taken. A client cannot tell it from
the retrieval tier, but for two things: without an output filter `class` and `image` come too, and there are no filters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.saved_model import fingerprinting_utils

from models.taxonomy import Taxonomy

MOST_K = 1000
_CLASS = "class_"
_TEXTS = tf.TensorSpec((None,), tf.string)
_K = tf.TensorSpec((), tf.int32, name="k")
Outputs = dict[str, tf.Tensor]


@dataclass(frozen=True)
class Gallery:
    """n items: `ids` and `images`, where their photos lie, bytes (n,); by attribute `vectors` float32 (n, L), `classes`
    bytes (n,), joined by |, and `class_vectors` float32 (classes, L), NaN for a class that cannot be asked for."""

    ids: np.ndarray
    images: np.ndarray
    vectors: dict[str, np.ndarray]
    classes: dict[str, np.ndarray]
    class_vectors: dict[str, np.ndarray]


def export_with(saved_model: Path, folder: Path, taxonomy: Taxonomy, gallery: Gallery) -> None:
    """Writes the SavedModel anew into `folder`, its signatures as they are and three more."""
    loaded = tf.saved_model.load(str(saved_model))
    module = _Searched(loaded, taxonomy, gallery)
    more = {"search": module.search, "search_by_id": module.search_by_id, "search_by_class": module.search_by_class}
    tf.saved_model.save(module, str(folder), {**dict(loaded.signatures), **more})
    _rename_class(folder)


def _rename_class(folder: Path) -> None:
    """The input `class` to its name: TensorFlow makes inputs of arguments, and Python has no argument of that name."""
    file = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    inputs = saved.meta_graphs[0].signature_def["search_by_class"].inputs
    inputs["class"].CopyFrom(inputs.pop(_CLASS))
    file.write_bytes(saved.SerializeToString(deterministic=True))
    fingerprinting_utils.write_fingerprint(str(folder))  # of what is there now


class _Searched(tf.Module):
    """The loaded model and, as variables, the vectors: a constant would count against the graph's 2 GB."""

    def __init__(self, loaded: tf.Module, taxonomy: Taxonomy, gallery: Gallery) -> None:
        super().__init__()
        self.loaded, self.embed = loaded, loaded.signatures["embed"]
        names = taxonomy.names
        self.names = [name.encode() for name in names]
        self.vectors = [tf.Variable(gallery.vectors[name], trainable=False) for name in names]
        self.class_vectors = tf.Variable(np.concatenate([gallery.class_vectors[name] for name in names]), trainable=False)
        # A zero byte is in no name of a file, and so in none of an attribute.
        self.class_keys = [f"{one.name}\0{name}".encode() for one in taxonomy.attributes for name in one.classes]
        self.ids, self.images = (tf.constant(texts, tf.string) for texts in (gallery.ids, gallery.images))
        self.classes = [_coded(gallery.classes[name]) for name in names]

    @tf.function(input_signature=[_TEXTS, _TEXTS, _K])
    def search(self, image: tf.Tensor, attribute: tf.Tensor, k: tf.Tensor) -> Outputs:
        return self._ranked(self.embed(image=image, attribute=attribute)["vector"], self._attributes(attribute), k)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="id"), _TEXTS, _K])
    def search_by_id(self, id: tf.Tensor, attribute: tf.Tensor, k: tf.Tensor) -> Outputs:
        own, place = _places(id, self.ids, "id"), self._attributes(attribute)
        # Of every attribute, then the one asked for: B x N vectors are little beside the scores.
        vectors = tf.stack([tf.gather(one, own) for one in self.vectors], axis=1)
        return self._ranked(tf.gather(vectors, place, batch_dims=1), place, k, own)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name=_CLASS), _TEXTS, _K])
    def search_by_class(self, name: tf.Tensor, attribute: tf.Tensor, k: tf.Tensor) -> Outputs:
        place = self._attributes(attribute)
        keys = tf.strings.join([attribute, name], separator="\0")
        vectors = tf.gather(self.class_vectors, _places(keys, tf.constant(self.class_keys), "class"))
        known = tf.debugging.Assert(tf.reduce_all(tf.math.is_finite(vectors)), ["no item is labelled so, of", name])
        with tf.control_dependencies([known]):
            return self._ranked(tf.identity(vectors), place, k)

    def _attributes(self, attribute: tf.Tensor) -> tf.Tensor:
        return _places(attribute, tf.constant(self.names), "attribute")

    def _ranked(self, vectors: tf.Tensor, place: tf.Tensor, k: tf.Tensor, own: tf.Tensor | None = None) -> Outputs:
        """The best k for each of (B, L) under the attributes `place` (B,), without the rows `own` (B,)."""
        bounded = tf.debugging.Assert((k >= 1) & (k <= MOST_K), [f'input "k" must be one integer from 1 to {MOST_K}; got', k])
        with tf.control_dependencies([bounded]):
            k = tf.minimum(k, len(self.ids) - (own is not None))
        asked, parts = [], []
        for number, gallery in enumerate(self.vectors):  # an attribute at a time: to gather galleries would copy them
            queries = tf.where(place == number)[:, 0]
            scores = tf.matmul(tf.gather(vectors, queries), gallery, transpose_b=True)
            if own is not None:
                cells = tf.stack([tf.range(tf.size(queries)), tf.gather(own, queries)], axis=1)
                scores = tf.tensor_scatter_nd_update(scores, cells, tf.fill((tf.size(queries),), -np.inf))
            best, rows = tf.math.top_k(scores, k)  # of equal ones the lower row first, as everywhere here
            codes, texts = self.classes[number]
            asked.append(tf.cast(queries, tf.int32))
            parts.append(
                (tf.gather(self.ids, rows), best, tf.gather(texts, tf.gather(codes, rows)), tf.gather(self.images, rows))
            )
        names = ("id", "score", "class", "image")
        return {name: tf.dynamic_stitch(asked, list(part)) for name, part in zip(names, zip(*parts, strict=True), strict=True)}


def _coded(texts: np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
    """As int32 (n,) into the distinct texts: a class is written once, not once an item."""
    distinct: Sequence[bytes] = sorted(set(texts.tolist()))
    places = {text: place for place, text in enumerate(distinct)}
    return tf.constant([places[text] for text in texts.tolist()], tf.int32), tf.constant(distinct, tf.string)


def _places(given: tf.Tensor, known: tf.Tensor, what: str) -> tf.Tensor:
    """Where each of (B,) stands among `known`; one that does not fails as INVALID_ARGUMENT.

    All are compared: of 50,000 that is less than a query's scores cost, and needs no table to be initialised.
    """
    same = tf.equal(given[:, None], known[None])
    found = tf.debugging.Assert(tf.reduce_all(tf.reduce_any(same, axis=1)), [f"unknown {what} in", given])
    with tf.control_dependencies([found]):
        return tf.argmax(tf.cast(same, tf.int8), axis=1, output_type=tf.int32)
