"""The ASEN family against its documents: parameter counts, and the formulas by a slow twin."""

import keras
import numpy as np
import pytest

from models.asen import Asen, AsenAttention
from models.attention import AttributeAttention
from models.taxonomy import Taxonomy
from tests.models.test_systems import built

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(("layer", "expected"), [(AsenAttention, 3_161_601), (AttributeAttention, 2_367_488)])
def test_the_heads_parameters_are_as_documented(layer: type[keras.layers.Layer], expected: int) -> None:
    head = layer(attributes=8, dim=512)  # type: ignore[call-arg]
    head.build((None, 196, 1024))
    assert sum(int(np.prod(v.shape)) for v in head.trainable_variables) == expected


def test_version_1_like_its_slow_twin() -> None:
    layer = AsenAttention(attributes=2, dim=3)
    layer.build((None, 4, 5))
    layer.set_weights([RANDOM.normal(size=w.shape) * 0.5 for w in layer.get_weights()])
    x = RANDOM.normal(size=(2, 4, 5)).astype(np.float32)
    alpha, f = (np.asarray(t) for t in layer(x))
    w = {v.path.split("/", 1)[1]: np.asarray(v) for v in layer.variables}
    for b in range(2):
        for a in range(2):
            p = np.tanh(x[b] @ w["W_c/kernel"] + w["W_c/bias"])
            scores = np.exp([np.tanh(w["w_s"][0] @ (np.tanh(w["W_a"][a]) * p_j) + w["b_s"]) for p_j in p])
            expected = scores / scores.sum()
            np.testing.assert_allclose(alpha[b, a], expected, atol=1e-5)
            v = expected @ x[b]
            joined = np.concatenate([v, np.maximum(w["W_b"][a], 0)])
            hidden = np.maximum(joined @ w["W_1/kernel"] + w["W_1/bias"], 0)
            gate = 1 / (1 + np.exp(-(hidden @ w["W_2/kernel"] + w["W_2/bias"])))
            out = (v * gate) @ w["W_f/kernel"] + w["W_f/bias"]
            np.testing.assert_allclose(f[b, a], out / np.linalg.norm(out), atol=1e-5)


def test_it_names_the_class_of_the_nearest_centre(taxonomy: Taxonomy) -> None:
    system = built("asen", taxonomy)
    assert isinstance(system, Asen)
    centres = np.zeros((5, 256), np.float32)
    centres[np.arange(5), np.arange(5)] = 7
    system.centres.centres.assign(centres)
    f = np.zeros((1, 2, 256), np.float32)
    f[0, 0, 1] = f[0, 1, 4] = 1
    got = np.asarray(system.posteriors({"f": f}))[0]
    high = np.exp(10) / (np.exp(10) + 1)
    np.testing.assert_allclose(got[:2], [1 - high, high], atol=1e-6)
    assert got[2:].argmax() == 2
