"""The SavedModel as a server sees it: its signatures, stock operations alone, and the same numbers as the system."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from models import systems
from models.export import export
from models.features import decode_photos
from models.recipe import ModelConfig
from models.sampling import Photos
from models.taxonomy import Taxonomy


@pytest.fixture(scope="module")
def system() -> systems.System:
    from models.taxonomy import Attribute

    attributes = Attribute("neck", ("v", "crew")), Attribute("sleeve", ("none", "short", "long"), multi_label=True)
    config = ModelConfig(image_size=32, attention_dim=8, class_dim=4, kappa=0.5, mirror=True, rank=6, balance=0.5)
    system = systems.build(config, Taxonomy(attributes))
    system.basis.assign(np.random.default_rng(0).normal(size=system.basis.shape))  # zero until a training ends
    system.frequency.assign([0.9, 0.1, 0.2, 0.3, 0.5])
    return system


@pytest.fixture(scope="module")
def folder(system: systems.System, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "model"
    export(system, folder)
    return folder


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Any:
    return tf.saved_model.load(str(folder))  # a fixture of its own: its functions hold no reference to it


@pytest.fixture(scope="module")
def signatures(loaded: Any) -> dict[str, Any]:
    return dict(loaded.signatures)


@pytest.fixture(scope="module")
def photos(draw: Callable[[int], Photos]) -> np.ndarray:
    return draw(3).images


def strings(photos: np.ndarray) -> tf.Tensor:
    return tf.constant([tf.io.encode_png(photo).numpy() for photo in photos])


MIXED = tf.constant(["sleeve", "neck", "sleeve"])
PLACE = [1, 0, 1]


def test_the_signatures_are_the_contracts(signatures: dict[str, Any]) -> None:
    shapes = {
        name: {key: (spec.dtype, tuple(spec.shape)) for key, spec in signature.structured_outputs.items()}
        for name, signature in signatures.items()
    }
    vector = {"vector": (tf.float32, (None, 9))}
    classes = {"neck": (tf.float32, (None, 2)), "sleeve": (tf.float32, (None, 3))}
    attention = {"attention": (tf.float32, (None, 4, 4))}
    assert shapes == {"serving_default": vector, "embed": vector, "classify": classes, "explain": attention}
    inputs = {name: set(signature.structured_input_signature[1]) for name, signature in signatures.items()}
    both = {"image", "attribute"}
    assert inputs == {"serving_default": both, "embed": both, "classify": {"image"}, "explain": both}


@pytest.mark.parametrize("name", ["embed", "serving_default"])
def test_embed_gives_each_photo_the_vector_of_its_attribute(
    signatures: dict[str, Any], system: systems.System, photos: np.ndarray, name: str
) -> None:
    expected = np.asarray(system.vectors(system(photos.astype(np.float32))))[np.arange(3), PLACE]
    got = signatures[name](image=strings(photos), attribute=MIXED)["vector"].numpy()
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_classify_gives_posteriors_by_attribute(signatures: dict[str, Any], system: systems.System, photos: np.ndarray) -> None:
    expected = np.asarray(system.posteriors(system(photos.astype(np.float32))))
    got = signatures["classify"](image=strings(photos))
    np.testing.assert_allclose(np.concatenate([got["neck"], got["sleeve"]], axis=1), expected, atol=1e-5)


def test_explain_sums_to_1(signatures: dict[str, Any], system: systems.System, photos: np.ndarray) -> None:
    got = signatures["explain"](image=strings(photos), attribute=MIXED)["attention"].numpy()
    np.testing.assert_allclose(got.sum(axis=(1, 2)), 1, atol=1e-5)
    expected = np.asarray(system(photos.astype(np.float32))["attention"])[np.arange(3), PLACE]
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["embed", "explain"])
def test_an_unknown_attribute_is_named_in_the_error(signatures: dict[str, Any], photos: np.ndarray, name: str) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"hem.*there are: neck, sleeve"):
        signatures[name](image=strings(photos), attribute=tf.constant(["neck", "hem", "neck"]))


def test_bytes_that_are_no_photo_are_an_invalid_argument(signatures: dict[str, Any]) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        signatures["classify"](image=tf.constant([b"no photo"]))


def unknown_operations(folder: Path) -> list[str]:
    """Those of a SavedModel that a stock TensorFlow server may lack."""
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    graph = model.meta_graphs[0].graph_def
    names = {node.op for nodes in (graph.node, *(f.node_def for f in graph.library.function)) for node in nodes}
    functions = {function.signature.name for function in graph.library.function}
    assert "Conv2D" in names
    # A server has no Python, and may have no XLA.
    banned = names & {"PyFunc", "EagerPyFunc", "XlaCallModule"}
    return [name for name in names - functions if op_def_registry.get(name) is None or "Mkl" in name] + list(banned)


def test_only_stock_operations(folder: Path) -> None:
    assert not unknown_operations(folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["asen++", "modc"])
def test_crops_and_segments_run_in_the_saved_model(name: str, taxonomy: Taxonomy, photos: np.ndarray, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    model = ModelConfig(system=name, image_size=32, photo_size=48 if name == "asen++" else 0, attention_dim=8)
    system = systems.build(model, taxonomy)
    system.set_weights([0.3 * random.normal(size=w.shape) if w.ndim > 1 else w for w in system.get_weights()])
    system.enter(2)
    export(system, tmp_path / "model")
    assert not unknown_operations(tmp_path / "model")
    signatures = tf.saved_model.load(str(tmp_path / "model")).signatures
    got = signatures["embed"](image=strings(photos), attribute=MIXED)["vector"].numpy()
    seen = decode_photos(strings(photos), system.photo_size).numpy()
    expected = np.asarray(system.vectors(system(seen)))[np.arange(3), PLACE]
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert len(np.unique(got.round(3), axis=0)) > 1
