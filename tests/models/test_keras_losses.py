"""The losses' Keras classes: the functions' numbers, also after a round trip and from half precision."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from models.grid import Grid
from models.losses import keras_losses as classes
from models.losses.alignment import alignment_loss
from models.losses.classification import best_l_m, published_l_m
from models.losses.cluster import cluster_loss, prototype_loss
from models.losses.triplet import attribute_loss, drawn_triplet_loss, instance_loss
from models.taxonomy import Taxonomy

RANDOM = np.random.default_rng(2)
Y = np.float32([[1, 0, 1, 0, 0], [1, 0, 0, 1, 0], [0, 1, 1, 0, 1], [0, 1, 0, 1, 0], [1, 0, 0, 0, 0], [0, 1, 0, 0, 1]])
LOGITS, PHI, F, L, CENTRES = (
    RANDOM.normal(size=shape).astype(np.float32) for shape in ((6, 5), (6, 5, 4), (6, 2, 4), (6, 2, 4), (5, 4))
)
ONE = Y * np.float32([1, 1, 0, 0, 0])  # triplets are labelled for one attribute
W = [1.0, 2.0, 3.0, 4.0, 5.0]
CASES: dict[str, tuple[type[classes.TaxonomyLoss], dict[str, Any], Any, Any, Any]] = {
    "published": (classes.PublishedLM, {"positive_weight": W}, Y, LOGITS, lambda g: published_l_m(Y, LOGITS, g, np.float32(W))),
    "best": (classes.BestLM, {}, Y, LOGITS, lambda g: best_l_m(Y, LOGITS, g, np.array([False, True]))),
    "instance": (classes.InstanceLoss, {"margin": 0.7}, Y, PHI, lambda g: instance_loss(Y, PHI, g, 0.7)),
    "cluster": (classes.ClusterLoss, {"margin": 0.7}, Y, (PHI, CENTRES), lambda g: cluster_loss(Y, PHI, CENTRES, g, 0.7)),
    "attribute": (classes.AttributeLoss, {"margin": 0.7}, Y, F, lambda g: attribute_loss(Y, F, g, 0.7)),
    "drawn": (classes.DrawnTripletLoss, {"margin": 0.7}, ONE, F, lambda g: drawn_triplet_loss(ONE, F, g, 0.7)),
    "prototype": (classes.PrototypeLoss, {"margin": 0.7}, Y, (F, CENTRES), lambda g: prototype_loss(Y, F, CENTRES, g, 0.7)),
    "alignment": (classes.AlignmentLoss, {}, Y, (F, L), lambda g: alignment_loss(Y, F, L, g)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_class_is_its_function_also_after_a_round_trip(name: str, taxonomy: Taxonomy, grid: Grid) -> None:
    kind, options, y_true, y_pred, function = CASES[name]
    made = kind(taxonomy.to_json(), **options)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
    assert type(again) is kind
    expected = float(function(grid))
    assert expected > 0.01
    for loss in (made, again):
        assert float(loss(y_true, y_pred)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", CASES)
def test_half_precision_goes_in_and_float32_comes_out(name: str, dtype: str, taxonomy: Taxonomy, grid: Grid) -> None:
    kind, options, y_true, y_pred, function = CASES[name]
    half = keras.tree.map_structure(lambda x: keras.ops.cast(x, dtype), y_pred)
    value = kind(taxonomy.to_json(), **options)(y_true, half)
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    # A difference in the third digit may also make or unmake a triplet.
    assert float(value) == pytest.approx(float(function(grid)), rel=0.1)


def test_a_model_compiled_with_one_is_saved_and_loaded_with_it(taxonomy: Taxonomy, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5)])
    model.compile(optimizer="sgd", loss=classes.BestLM(taxonomy.to_json()))
    x = RANDOM.normal(size=(6, 3)).astype(np.float32)
    before = model.evaluate(x, Y, batch_size=6, verbose=0)
    assert model.fit(x, Y, batch_size=6, epochs=5, verbose=0).history["loss"][-1] < before
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.loss, classes.BestLM)
    expected = model.evaluate(x, Y, batch_size=6, verbose=0)
    assert loaded.evaluate(x, Y, batch_size=6, verbose=0) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("margin", [0.0, -0.2, 2.1])
def test_a_margin_that_no_two_cosines_can_differ_by_is_refused(margin: float, taxonomy: Taxonomy) -> None:
    with pytest.raises(ValueError, match=r"lies in \(0, 2\]"):
        classes.InstanceLoss(taxonomy.to_json(), margin=margin)
