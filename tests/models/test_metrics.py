"""The metrics against values worked out by hand, by brute force, and by the floors of the public protocol."""

import dataclasses
import itertools

import numpy as np
import pytest

from models.metrics import (
    Rows,
    from_ranks,
    labelled,
    measure,
    one_query_a_class,
    shares,
)


def average_precision(ranked: np.ndarray) -> np.ndarray:
    """AP of bool (q, c) in ranked order."""
    return from_ranks(np.nonzero(ranked)[1] + 1, ranked.sum(axis=1), ranked.shape[1]).average_precision


def rows(vectors: list[list[float]], labels: list[list[int]], prefix: str = "c") -> Rows:
    ids = [f"{prefix}{i}" for i in range(len(vectors))]
    return Rows(ids, np.array(vectors, np.float32), np.array(labels, bool))


@pytest.mark.parametrize(
    ("ranked", "expected"),
    [
        ([1, 0, 0], 1.0),
        ([0, 1, 0], 1 / 2),
        ([0, 1, 1], (1 / 2 + 2 / 3) / 2),
        ([1, 0, 1, 0, 1], (1 + 2 / 3 + 3 / 5) / 3),
        ([0, 0, 0], 0.0),  # nothing relevant: 0, and the query still counts
    ],
)
def test_average_precision_by_hand(ranked: list[int], expected: float) -> None:
    assert average_precision(np.array([ranked], bool))[0] == pytest.approx(expected)


def test_recall_divides_by_all_relevant() -> None:
    assert from_ranks(np.array([1, 3, 4]), np.array([3]), 4, k=2).recall_at_k[0] == pytest.approx(1 / 3)


def test_several_queries_at_once_and_both_normalisations() -> None:
    got = from_ranks(np.array([1, 3, 2]), np.array([2, 0, 1]), 4, k=2)
    assert got.average_precision.tolist() == pytest.approx([(1 + 2 / 3) / 2, 0, 1 / 2])
    assert got.average_precision_at_k.tolist() == pytest.approx([1, 0, 1 / 2])  # by the one hit within two
    assert got.average_precision_at_k_of_relevant.tolist() == pytest.approx([1 / 2, 0, 1 / 2])  # by min(2, 2), min(1, 2)


@pytest.mark.parametrize(("n", "relevant"), [(1, 1), (4, 1), (5, 2), (6, 6), (6, 3)])
@pytest.mark.parametrize("k", [1, 3, 10])
def test_random_expectations_are_the_means_over_every_order(n: int, relevant: int, k: int) -> None:
    orders = np.array(sorted(set(itertools.permutations([1] * relevant + [0] * (n - relevant)))), bool)
    found = from_ranks(np.nonzero(orders)[1] + 1, orders.sum(axis=1), n, k)
    for name in ("average_precision", "average_precision_at_k", "recall_at_k"):
        assert getattr(found, f"random_{name}") == pytest.approx(getattr(found, name).mean()), name


def test_a_query_without_a_relevant_candidate_has_no_chance() -> None:
    found = from_ranks(np.array([], int), np.array([0]), 5)
    assert [float(getattr(found, field.name)[0]) for field in dataclasses.fields(found)] == [0.0] * 7


def test_shares_a_class_beyond_eight_and_of_unequal_widths() -> None:
    random = np.random.default_rng(0)
    for classes, others in ((3, 3), (9, 20), (40, 33)):
        queries, candidates = random.random((30, classes)) < 0.1, random.random((50, others)) < 0.1
        known = min(classes, others)
        expected = (queries[:, None, :known] & candidates[None, :, :known]).any(axis=2)
        assert np.array_equal(shares(queries, candidates), expected)
        assert expected.any()
        assert not expected.all()


def test_measure_ranks_by_inner_product_not_by_distance() -> None:
    # Scores 2, 1, 10: the long third vector wins although it is the farthest away. Relevant: the first.
    got = measure(rows([[1, 0]], [[1, 0]], "q"), rows([[2, 0], [1, 0], [10, 9]], [[1, 0], [0, 1], [0, 1]]))
    assert got.average_precision[0] == pytest.approx(1 / 2)


def test_depth_k_divides_by_the_hits_within_it() -> None:
    candidates = rows([[4], [3], [2], [1]], [[0, 1], [1, 0], [0, 1], [1, 0]])
    got = measure(rows([[1]], [[1, 0]], "q"), candidates, k=3)
    assert got.average_precision[0] == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert got.average_precision_at_k[0] == pytest.approx(1 / 2)  # one hit within three
    assert got.recall_at_k[0] == pytest.approx(1 / 2)


def test_pair_protocol_asks_for_each_class_alone() -> None:
    both = one_query_a_class(rows([[1]], [[1, 0, 1]], "q"))
    assert both.labels.tolist() == [[True, False, False], [False, False, True]]
    got = measure(both, rows([[2], [1]], [[1, 0, 0], [0, 0, 1]]))
    assert got.average_precision.tolist() == pytest.approx([1.0, 1 / 2])


def test_unlabelled_rows_are_left_out() -> None:
    assert list(labelled(rows([[1], [2], [3]], [[0, 0], [1, 0], [0, 1]])).ids) == ["c1", "c2"]


def test_ties_do_not_depend_on_the_order_of_rows() -> None:
    random = np.random.default_rng(0)
    vectors = random.integers(0, 2, (60, 3)).astype(np.float32)  # at most 8 vectors: ties everywhere
    candidates = Rows([f"{i}" for i in range(60)], vectors, random.random((60, 4)) < 0.3)
    queries = candidates.take(np.arange(20))
    first = measure(queries, candidates).average_precision
    assert np.array_equal(first, measure(queries, candidates.take(random.permutation(60))).average_precision)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    data = Rows([f"{i}" for i in range(50)], random.normal(size=(50, 8)).astype(np.float32), random.random((50, 3)) < 0.4)
    whole = measure(data, data)
    monkeypatch.setattr("models.metrics._BLOCK_SCORES", 130)
    monkeypatch.setattr("models.metrics._QUERIES", 1)  # and so two queries a block, the last one alone
    monkeypatch.setattr("models.metrics._TILE", 7)
    assert np.array_equal(whole.average_precision, measure(data, data).average_precision)


def test_an_id_that_stands_twice_is_named() -> None:
    twice = Rows(["a", "b", "a"], np.eye(3, dtype=np.float32), np.ones((3, 1), bool))
    with pytest.raises(ValueError, match='two candidates have the id "a"'):
        measure(twice.take(np.arange(2)), twice)


def test_a_vector_that_is_not_finite_is_named() -> None:
    with pytest.raises(ValueError, match='"c1" is not finite'):
        rows([[1.0], [float("nan")]], [[1], [1]])
