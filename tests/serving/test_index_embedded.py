"""The gallery inside the SavedModel against the server of the same release: a client cannot tell the two apart."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.export_gallery import export_with
from serving import release, retrieval
from serving.protos import saved_model_pb2
from serving.servable import Servable
from tests.serving.drawn import ITEMS, TAXONOMY
from tests.serving.drawn import compose as compose_parts

NAMES = ("id", "score", "class", "image")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, parts: Callable[[int], Path]) -> Path:
    """A release whose SavedModel holds its gallery, too."""
    from components.releaser.gallery import gallery_of

    made, folder = parts(1), tmp_path_factory.mktemp("embedded")
    gallery = gallery_of(made / "index", made / "items.parquet", TAXONOMY)
    assert gallery is not None
    export_with(made / "model", folder / "model", TAXONOMY, gallery)
    release.push(folder / "releases", lambda into, version: compose_parts(into, version, made, folder / "model"))
    return folder / "releases" / "1"


@pytest.fixture(scope="module")
def server(folder: Path) -> Servable:
    return Servable(folder)


class Stock:
    """A model as the real server holds it: a session, fed and fetched by the tensors that a SignatureDef names."""

    def __init__(self, folder: Path) -> None:
        import tensorflow.compat.v1 as tf

        self._session = tf.Session(graph=tf.Graph())
        with self._session.graph.as_default():
            self.signatures = tf.saved_model.loader.load(self._session, ["serve"], str(folder)).signature_def

    def predict(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All outputs."""
        defined = self.signatures[signature]
        assert set(inputs) == set(defined.inputs)
        fetched = {name: info.name for name, info in defined.outputs.items()}
        found: dict[str, np.ndarray] = self._session.run(fetched, {defined.inputs[n].name: v for n, v in inputs.items()})
        return found


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Stock:
    return Stock(folder)


def texts(values: list[Any]) -> np.ndarray:
    return np.array([one if isinstance(one, bytes) else one.encode() for one in values], object)


def same(server: Servable, loaded: Stock, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    ours, theirs = server.predict(signature, inputs, NAMES), loaded.predict(signature, inputs)
    assert set(ours) == set(theirs)
    for name in NAMES:
        assert ours[name].shape == theirs[name].shape
        assert ours[name].dtype == theirs[name].dtype
    for name in ("id", "class", "image"):
        assert ours[name].tolist() == theirs[name].tolist()
    np.testing.assert_allclose(theirs["score"], ours["score"], rtol=1e-5)
    return theirs


@pytest.mark.parametrize("k", [1, 5, ITEMS, 1000])
def test_both_answer_the_same(server: Servable, loaded: Stock, photo: Callable[[int], bytes], k: int) -> None:
    attributes = texts(["pocket", "neckline", "pocket", "neckline"])
    more = {"attribute": attributes, "k": np.array(k, np.int32)}
    found = same(server, loaded, "search", {"image": texts([photo(i) for i in (0, 40, 41, 42)]), **more})
    assert found["id"].shape == (4, min(k, ITEMS))
    others = same(server, loaded, "search_by_id", {"id": texts(["v1-0", "v1-4", "v1-9", "v1-29"]), **more})
    assert others["id"].shape == (4, min(k, ITEMS - 1))
    assert b"v1-0" not in others["id"][0]
    same(server, loaded, "search_by_class", {"class": texts(["flap", "round", "patch", "square"]), **more})


def test_an_empty_batch(server: Servable, loaded: Stock) -> None:
    inputs = {"id": texts([]), "attribute": texts([]), "k": np.array(3, np.int32)}
    assert same(server, loaded, "search_by_id", inputs)["id"].shape == (0, 3)


@pytest.mark.parametrize(
    ("signature", "changed", "words"),
    [
        ("search_by_id", {"id": texts(["v2-0"])}, "unknown id"),
        ("search_by_id", {"attribute": texts(["colour"])}, "unknown attribute"),
        ("search_by_id", {"k": np.array(0, np.int32)}, "must be one integer from 1 to 1000"),
        ("search_by_id", {"k": np.array(1001, np.int32)}, "must be one integer from 1 to 1000"),
        ("search_by_class", {"class": texts(["flap"])}, "unknown class"),
    ],
)
def test_both_refuse_the_same(
    server: Servable, loaded: Stock, signature: str, changed: dict[str, np.ndarray], words: str
) -> None:
    import tensorflow as tf

    asked = {"search_by_id": {"id": texts(["v1-0"])}, "search_by_class": {"class": texts(["round"])}}[signature]
    inputs = {**asked, "attribute": texts(["neckline"]), "k": np.array(3, np.int32), **changed}
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        loaded.predict(signature, inputs)
    with pytest.raises(Exception, match=words) as caught:
        server.predict(signature, inputs)
    assert getattr(caught.value, "code", None) is retrieval.Code.INVALID_ARGUMENT


def test_the_signatures_are_told_the_same(folder: Path) -> None:
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    for name in retrieval.ASKED:
        own, ours = saved.meta_graphs[0].signature_def[name], retrieval.definition(name)
        assert set(own.inputs) == set(ours.inputs) - {retrieval.WHERE}
        for mine, theirs in ((ours.inputs, own.inputs), (ours.outputs, own.outputs)):
            assert {n: (i.dtype, len(i.tensor_shape.dim)) for n, i in theirs.items()}.items() <= {
                n: (i.dtype, len(i.tensor_shape.dim)) for n, i in mine.items()
            }.items()
        assert set(own.outputs) == set(ours.outputs)


def test_stock_operations_alone(folder: Path) -> None:
    from tensorflow.python.framework import op_def_registry

    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    names = {node.op for nodes in (graph.node, *(f.node_def for f in graph.library.function)) for node in nodes}
    names -= {function.signature.name for function in graph.library.function}
    assert "TopKV2" in names
    assert not [name for name in names if op_def_registry.get(name) is None or "Mkl" in name]
    assert not names & {"PyFunc", "EagerPyFunc", "XlaCallModule"}


def test_the_other_signatures_are_as_they_were(
    loaded: Stock, parts: Callable[[int], Path], photo: Callable[[int], bytes]
) -> None:
    before = Stock(parts(1) / "model")
    both = {"image": texts([photo(3)]), "attribute": texts(["pocket"])}
    assert set(loaded.signatures) == set(before.signatures) | set(retrieval.ASKED)
    for name in ("embed", "serving_default", "classify", "explain"):
        inputs = {key: both[key] for key in before.signatures[name].inputs}
        for key, value in before.predict(name, inputs).items():
            np.testing.assert_array_equal(loaded.predict(name, inputs)[key], value)


def test_a_large_gallery_stays_outside(parts: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from components.releaser import gallery

    made = parts(1)
    size = ITEMS * 8 * 4 * 2  # 30 vectors of 8 float32 numbers for each of two attributes
    for name, bound, inside in (("_MOST_ITEMS", 30, True), ("_MOST_ITEMS", 29, False), ("_MOST_BYTES", size - 1, False)):
        with monkeypatch.context() as changed:
            changed.setattr(gallery, name, bound)
            assert (gallery.gallery_of(made / "index", made / "items.parquet", TAXONOMY) is not None) == inside
