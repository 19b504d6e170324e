"""The SavedModel: photo bytes in, vectors, posteriors or attention out, on stock TensorFlow operations only."""

import sys
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from models.features import decode_photos
from models.systems import System, load

_IMAGE = tf.TensorSpec((None,), tf.string, name="image")
_ATTRIBUTE = tf.TensorSpec((None,), tf.string, name="attribute")


def export(system: System, folder: Path) -> None:
    """Writes the SavedModel of `system` with the signatures `embed` (also the default), `classify` and `explain`.

    Inputs: `image` (B,) JPEG or PNG bytes; `attribute` (B,) names, which may differ within a batch. Outputs: `vector`
    float32 (B, L); a float32 (B, M_n) named by each attribute; `attention` float32 (B, H, W), summing to 1.
    """
    names, size = system.taxonomy.names, system.photo_size

    @tf.function(input_signature=[_IMAGE])  # one graph that all signatures call: a copy in each took export and load far longer
    def outputs(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return system(decode_photos(image, size), training=False)

    def embed(image: tf.Tensor, attribute: tf.Tensor) -> dict[str, tf.Tensor]:
        place = _place(attribute, names)
        return {"vector": tf.gather(system.vectors(outputs(image)), place, batch_dims=1)}

    def classify(image: tf.Tensor) -> dict[str, tf.Tensor]:
        posteriors = system.posteriors(outputs(image))
        return {name: posteriors[:, classes] for name, classes in system.taxonomy.slices.items()}

    def explain(image: tf.Tensor, attribute: tf.Tensor) -> dict[str, tf.Tensor]:
        place = _place(attribute, names)
        return {"attention": tf.gather(outputs(image)["attention"], place, batch_dims=1)}

    archive = keras.export.ExportArchive()
    archive.track(system)
    endpoints: list[tuple[str, Any, list[Any]]] = [
        ("serving_default", embed, [_IMAGE, _ATTRIBUTE]),
        ("embed", embed, [_IMAGE, _ATTRIBUTE]),
        ("classify", classify, [_IMAGE]),
        ("explain", explain, [_IMAGE, _ATTRIBUTE]),
    ]
    for name, function, signature in endpoints:
        archive.add_endpoint(name, function, input_signature=signature)
    archive.write_out(str(folder), verbose=False)


def _place(attribute: tf.Tensor, names: tuple[str, ...]) -> tf.Tensor:
    """Attribute names (B,) to their indices (B,); an unknown one fails as INVALID_ARGUMENT, naming those there are."""
    same = tf.equal(attribute[:, None], tf.constant([name.encode() for name in names])[None])
    known = tf.debugging.Assert(
        tf.reduce_all(tf.reduce_any(same, axis=1)),
        ["unknown attribute in", attribute, f"; there are: {', '.join(names)}"],
    )
    with tf.control_dependencies([known]):
        return tf.argmax(tf.cast(same, tf.int32), axis=1)


if __name__ == "__main__":  # MODEL FOLDER: what a training on another backend starts, with KERAS_BACKEND=tensorflow
    export(load(sys.argv[1]), Path(sys.argv[2]))
