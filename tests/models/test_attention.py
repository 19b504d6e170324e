"""Attention: the formulas by hand, the layers against slow twins that loop over attributes, classes and positions."""

from math import log, sqrt

import numpy as np
import pytest

from models.attention import AttributeAttention, ClassAttention, emphasis, spatial_attention
from models.m3net_plus import refined_scores, residual_class_scores
from models.taxonomy import Taxonomy

Array = np.ndarray
RANDOM = np.random.default_rng(0)


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max())
    return e / e.sum()


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def shake(layer: object) -> None:
    """Random weights: zero biases would hide that one is missing."""
    layer.set_weights([RANDOM.normal(size=w.shape) ** 2 * 0.3 + 0.1 for w in layer.get_weights()])  # type: ignore[attr-defined]


def test_scores_are_scaled_by_the_root_of_their_length() -> None:
    keys = np.float32([[2 * log(3), 0, 0, 0], [0, 0, 0, 0]])  # d = 4: 2 log 3 / 2
    np.testing.assert_allclose(np.asarray(spatial_attention(keys, np.float32([[1, 0, 0, 0]]))), [[0.75, 0.25]], atol=1e-6)


def test_emphasis_by_hand() -> None:
    # (1 + 2 * 0.75) / 2 and (1 + 2 * 0.25) / 2; an even attention leaves the map as it is
    np.testing.assert_allclose(np.asarray(emphasis(np.float32([[[0.75, 0.25], [0.5, 0.5]]]))), [[[1.25, 0.75], [1, 1]]])


def test_attribute_attention_like_its_slow_twin() -> None:
    layer = AttributeAttention(attributes=2, dim=3)
    layer.build((None, 4, 5))
    shake(layer)
    x = RANDOM.normal(size=(2, 4, 5)).astype(np.float32)
    alpha, gate = (np.asarray(t) for t in layer(x, training=False))
    w = {v.path.split("/", 1)[1]: np.asarray(v) for v in layer.variables}
    for b in range(2):
        for n in range(2):
            e = w["e"][n]
            query = np.tanh(e @ w["query/kernel"] + w["query/bias"])
            score = []
            for j in range(4):
                key = x[b, j] @ w["key/kernel"] + w["key/bias"]
                key = (key - w["norm/moving_mean"]) / np.sqrt(w["norm/moving_variance"] + 1e-5)
                score.append(query @ np.tanh(key * w["norm/gamma"] + w["norm/beta"]) / sqrt(3))
            expected = softmax(np.array(score))
            np.testing.assert_allclose(alpha[b, n], expected, atol=1e-5)
            condition = np.maximum(e @ w["condition/kernel"] + w["condition/bias"], 0)
            joined = np.concatenate([expected @ x[b], condition])
            hidden = np.maximum(joined @ w["squeeze/kernel"] + w["squeeze/bias"], 0)
            np.testing.assert_allclose(gate[b, n], sigmoid(hidden @ w["excite/kernel"] + w["excite/bias"]), atol=1e-5)


@pytest.mark.parametrize("refined", [False, True])
def test_class_attention_like_its_slow_twin(taxonomy: Taxonomy, refined: bool) -> None:
    layer = ClassAttention(taxonomy.to_json(), dim=3, class_dim=2)
    layer.build((None, 4, 5), (2, 3))
    shake(layer)
    x = RANDOM.normal(size=(2, 4, 5)).astype(np.float32)
    embedding = RANDOM.normal(size=(2, 3)).astype(np.float32)
    gate, given = RANDOM.random((2, 2, 5)).astype(np.float32), RANDOM.dirichlet(np.ones(4), (2, 2)).astype(np.float32)
    phi, alpha = (np.asarray(t) for t in (layer(x, embedding, gate, given) if refined else layer(x, embedding)))
    w = {v.path.split("/", 1)[1]: np.asarray(v) for v in layer.variables}
    for b in range(2):
        for m, n in enumerate(taxonomy.attribute_of_class):
            # The plain form: each attribute's refined map whole.
            own = x[b] * gate[b, n] * (1 + 4 * given[b, n])[:, None] / 2 if refined else x[b]
            query = np.tanh((embedding[n] + w["c"][m]) @ w["query/kernel"] + w["query/bias"])
            keys = np.tanh(own @ w["key/kernel"] + w["key/bias"])
            expected = softmax(keys @ query / sqrt(3))
            np.testing.assert_allclose(alpha[b, m], expected, atol=1e-5)
            pooled = expected @ own
            np.testing.assert_allclose(phi[b, m], pooled @ w["value/kernel"] + w["value/bias"], atol=1e-5)


def test_residual_class_scores_by_hand() -> None:
    logits, attention = residual_class_scores(np.float32([log(3), 0]))
    np.testing.assert_allclose(np.asarray(attention), [0.75, 0.25], atol=1e-6)
    assert float(logits) == pytest.approx((0.5 + 0.3 * 0.75) * log(3), abs=1e-6)


def test_refined_scores_are_those_on_the_residual_map() -> None:
    x, weight = RANDOM.normal(size=(1, 4, 3)).astype(np.float32), RANDOM.normal(size=(2, 3)).astype(np.float32)
    gate = RANDOM.random((1, 2, 3)).astype(np.float32)
    alpha = np.float32([[softmax(RANDOM.normal(size=4)), softmax(RANDOM.normal(size=4))]])
    gain = np.float32([0.3, -0.5])
    scores = np.asarray(refined_scores(x, weight, gate, alpha, gain))
    for m in range(2):
        for j in range(4):
            refined = x[0, j] + gain[m] * (x[0, j] * gate[0, m] * (1 + 4 * alpha[0, m, j]) - x[0, j])
            assert scores[0, m, j] == pytest.approx(weight[m] @ refined, abs=1e-5)


def test_with_gain_0_the_logit_is_a_pooled_classifiers() -> None:
    x, weight = RANDOM.normal(size=(1, 4, 3)).astype(np.float32), RANDOM.normal(size=(2, 3)).astype(np.float32)
    gate, alpha = RANDOM.random((1, 2, 3)).astype(np.float32), RANDOM.random((1, 2, 4)).astype(np.float32)
    scores = refined_scores(x, weight, gate, alpha, np.zeros(2, np.float32))
    logits, _ = residual_class_scores(scores, attended=0.0)
    np.testing.assert_allclose(np.asarray(logits), x.mean(axis=1) @ weight.T, atol=1e-6)
