"""Both kinds of index against every score computed and sorted in the test."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from serving import exact, index


def by_definition(vectors: np.ndarray, queries: np.ndarray, k: int) -> list[list[int]]:
    scores = queries.astype(np.float64) @ vectors.T.astype(np.float64)
    return [sorted(range(len(vectors)), key=lambda i, row=row: (-row[i], i))[:k] for row in scores]


def small_integers(rows: int, length: int, seed: int) -> np.ndarray:
    """Ties everywhere, and sums without rounding."""
    return np.random.default_rng(seed).integers(-2, 3, (rows, length)).astype(np.float32)


@pytest.mark.parametrize("k", [1, 3, 50, 80])
def test_exact_orders_by_score_then_row(tmp_path: Path, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "_BLOCK", 7)  # so that ties fall on both sides of many borders
    vectors, queries = small_integers(50, 4, 0), small_integers(6, 4, 1)
    assert index.build(vectors, tmp_path / "i").recall == 1.0
    rows, scores = index.open_index(tmp_path / "i").search(queries, k)
    assert rows.tolist() == by_definition(vectors, queries, k)
    assert np.array_equal(scores, np.take_along_axis(queries @ vectors.T, rows, 1))
    assert (rows.dtype, scores.dtype, rows.shape) == (np.int32, np.float32, (6, min(k, 50)))


def test_length_counts_not_only_direction(tmp_path: Path) -> None:
    # Scores 1, 3, 2: the longest wins although the first points where the query points.
    index.build(np.float32([[1, 0], [3, 9], [2, 0]]), tmp_path / "i")
    rows, scores = index.open_index(tmp_path / "i").search(np.float32([[1, 0]]), 3)
    assert (rows.tolist(), scores.tolist()) == ([[1, 2, 0]], [[3, 2, 1]])


@pytest.mark.parametrize(
    "vectors",
    [np.zeros((0, 3), np.float32), np.zeros(3, np.float32), np.float32([[np.nan, 1]]), np.float32([[np.inf, 1]])],
)
def test_what_cannot_be_searched_is_refused(tmp_path: Path, vectors: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite vectors"):
        index.build(vectors, tmp_path / "i")


@pytest.fixture(scope="module")
def clustered() -> np.ndarray:
    """float32 (25000, 32): 300 clusters of unit vectors, as embeddings of classes are."""
    random = np.random.default_rng(0)
    vectors = random.normal(size=(300, 32))[random.integers(0, 300, 25_000)] + 0.5 * random.normal(size=(25_000, 32))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def scann_folder(clustered: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index that has been moved since it was written."""
    folder = tmp_path_factory.mktemp("scann")
    index.build(clustered, folder / "here", recall=0.98)
    return (folder / "here").rename(folder / "there")


@pytest.mark.parametrize("k", [10, 100])
def test_scann_reaches_the_recall_it_states(clustered: np.ndarray, scann_folder: Path, k: int) -> None:
    opened = index.open_index(scann_folder)
    assert opened.info.kind == "scann"
    assert opened.info.recall >= 0.98
    assert opened.info.leaves_to_search < opened.info.leaves  # it got there without reading everything
    # Photos that are not in the gallery: near a member, as queries are.
    queries = clustered[::250] + np.random.default_rng(1).normal(scale=0.05, size=(100, 32)).astype(np.float32)
    rows, scores = opened.search(queries, k)
    exact = np.argsort(-(queries @ clustered.T), axis=1)[:, :k]
    assert np.mean([len(set(a) & set(b)) / k for a, b in zip(rows, exact, strict=True)]) >= 0.96
    np.testing.assert_allclose(scores, np.take_along_axis(queries @ clustered.T, rows, 1), rtol=1e-5, atol=1e-6)
    assert (np.diff(scores) <= 0).all()


def test_scann_gives_k_rows_even_where_its_leaves_hold_fewer(scann_folder: Path, clustered: np.ndarray) -> None:
    opened = index.open_index(scann_folder)
    opened.info = replace(opened.info, leaves_to_search=1)  # about 160 vectors a leaf, and ten leaves for k = 1000
    rows, scores = opened.search(clustered[:50], 1000)
    assert np.isfinite(scores).all()
    assert {len(set(row)) for row in rows.tolist()} == {1000}


def test_scann_ties_go_to_the_lower_row(tmp_path: Path) -> None:
    vectors = small_integers(400, 4, 2)
    info = index.build(vectors, tmp_path / "i", scann_above=100)
    assert info.kind == "scann"
    rows, scores = index.open_index(tmp_path / "i").search(small_integers(5, 4, 3), 30)
    for row, score in zip(rows.tolist(), scores.tolist(), strict=True):
        pairs = list(zip([-s for s in score], row, strict=True))
        assert pairs == sorted(pairs)


def test_a_recall_out_of_reach_ends_at_all_leaves(tmp_path: Path) -> None:
    info = index.build(np.random.default_rng(0).normal(size=(2000, 16)), tmp_path / "i", scann_above=100, recall=1.1)
    assert info.leaves_to_search == info.leaves
    assert info == index.read_info(tmp_path / "i")


def test_a_lower_recall_is_cheaper(scann_folder: Path, clustered: np.ndarray, tmp_path: Path) -> None:
    high, low = index.read_info(scann_folder), index.build(clustered, tmp_path / "i", recall=0.8)
    assert 0.8 <= low.recall < high.recall
    assert low.leaves_to_search <= high.leaves_to_search
    assert low.reorder <= high.reorder
    assert (low.leaves_to_search, low.reorder) != (high.leaves_to_search, high.reorder)


def test_no_pickle_is_opened(scann_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "i"
    folder.mkdir()
    for file in scann_folder.iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "scann_docids.pkl").write_bytes(pickle.dumps(["a"]))
    with pytest.raises(ValueError, match="pickle"):
        index.open_index(folder)


def test_vectors_that_do_not_fit_their_description_are_refused(tmp_path: Path) -> None:
    index.build(np.ones((3, 2), np.float32), tmp_path / "i")
    info = json.loads((tmp_path / "i" / index.INFO).read_text())
    (tmp_path / "i" / index.INFO).write_text(json.dumps({**info, "size": 4}))
    with pytest.raises(ValueError, match="not what"):
        index.open_index(tmp_path / "i")
