"""A system's own SavedModel, as Keras exports it, with a gallery put inside."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from models import systems
from models.export import export
from models.export_gallery import Gallery, export_with
from models.recipe import ModelConfig
from models.taxonomy import Attribute, Taxonomy


def test_a_systems_photos_find_themselves(tmp_path: Path) -> None:
    taxonomy = Taxonomy((Attribute("neck", ("v", "crew")), Attribute("sleeve", ("none", "short", "long"), True)))
    system = systems.build(ModelConfig(image_size=32, attention_dim=8, class_dim=4, kappa=0.5), taxonomy)
    export(system, tmp_path / "model")
    photos = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    vectors = np.asarray(system.vectors(system(photos.astype(np.float32))))  # (5, 2, L)
    ids = np.array([f"{i}".encode() for i in range(5)], object)
    gallery = Gallery(
        ids,
        ids,
        {name: vectors[:, place] for place, name in enumerate(taxonomy.names)},
        {name: np.array([b"v", b"v|crew", b"", b"v", b""], object) for name in taxonomy.names},
        {one.name: np.zeros((len(one.classes), vectors.shape[-1]), np.float32) for one in taxonomy.attributes},
    )
    export_with(tmp_path / "model", tmp_path / "searched", taxonomy, gallery)
    loaded = tf.saved_model.load(str(tmp_path / "searched"))
    content = tf.constant([tf.io.encode_png(photo).numpy() for photo in photos[:2]])
    found = loaded.signatures["search"](image=content, attribute=tf.constant(["sleeve", "neck"]), k=tf.constant(5))
    for row, place in enumerate([1, 0]):
        scores = vectors[:, place] @ vectors[row, place]
        np.testing.assert_allclose(found["score"][row], np.sort(scores)[::-1], rtol=1e-4)
        assert sorted(found["id"][row].numpy().tolist()) == ids.tolist()
        np.testing.assert_allclose(scores[found["id"][row].numpy().astype(int)], found["score"][row], rtol=1e-4)
    classes = dict(zip(found["id"][0].numpy().tolist(), found["class"][0].numpy().tolist(), strict=True))
    assert classes == {b"0": b"v", b"1": b"v|crew", b"2": b"", b"3": b"v", b"4": b""}
