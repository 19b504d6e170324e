"""The ranking rule: exact sums whatever the block, keys that fall with the score, ranks against a slow twin."""

import numpy as np
import pytest

from models.ranking import descending, ranks_of, similarity, tie_keys


def summed_in_order(query: np.ndarray, candidate: np.ndarray) -> np.float32:
    total = 0.0
    for one, other in zip(query.tolist(), candidate.tolist(), strict=True):
        total += one * other
    return np.float32(total)


@pytest.mark.parametrize("kind", ["near the middle of two float32", "far below the lengths", "plain"])
def test_a_score_is_the_sum_in_order_rounded_once(kind: str) -> None:
    random = np.random.default_rng(5)
    queries, candidates = (random.normal(size=(40, 24)).astype(np.float32) for _ in range(2))
    if kind == "near the middle of two float32":  # 1 + 2^-24, and parts whose order decides on which side they end
        queries[:] = 1
        candidates = random.choice(np.float32([2**-54, 2**-55, 0]), (40, 24))
        candidates[:, 3], candidates[:, 9] = 1, np.float32(2**-24)
    if kind == "far below the lengths":
        span = np.linalg.qr(queries[:10].T.astype(float))[0]  # ten queries, and what is left of the candidates beside them
        queries, candidates = queries[:10], (candidates - candidates @ span @ span.T).astype(np.float32)
    expected = np.array([[summed_in_order(q, c) for c in candidates] for q in queries])
    assert np.array_equal(similarity(queries, candidates), expected)
    one_by_one = np.array([[similarity(q[None], c[None])[0, 0] for c in candidates] for q in queries])
    assert np.array_equal(one_by_one, expected)
    if kind != "plain":  # another order does end elsewhere: the case is one
        backwards = (queries[:, ::-1].astype(np.float64) * candidates[:, None, ::-1]).cumsum(axis=2)[..., -1].T
        assert (backwards.astype(np.float32) != expected).any()


def test_a_score_past_float32_ties_with_its_like() -> None:
    huge = np.full((1, 2), 3e38, np.float32)
    assert similarity(huge, np.concatenate([huge, -huge])).tolist() == [[np.inf, -np.inf]]


def test_keys_grow_as_scores_fall() -> None:
    scores = np.float32([np.inf, 3.5, 1e-30, 0.0, -1e-30, -2, -np.inf])
    assert (np.diff(descending(scores).astype(object)) > 0).all()
    assert descending(np.float32([-0.0])) == descending(np.float32([0.0]))


def test_ranks_with_ties_against_sorted_tuples() -> None:
    random = np.random.default_rng(0)
    scores, relevant = random.integers(-2, 3, (6, 20)).astype(np.float32), random.random((6, 20)) < 0.3
    ties = random.permutation(20).astype(np.uint64)
    expected = []
    for row, wanted in zip(scores, relevant, strict=True):
        order = sorted(range(20), key=lambda i: (-row[i], ties[i]))
        expected += [rank for rank, i in enumerate(order, 1) if wanted[i]]
    assert ranks_of(scores, relevant, ties).tolist() == expected


def test_a_tie_key_is_the_hash_of_the_id() -> None:
    keys = tie_keys(["a", "é"])
    assert keys.dtype == np.uint64
    assert f"{int(keys[0]):x}" == "40f89e395b66422f"  # printf a | b2sum -l 64
