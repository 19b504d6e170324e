"""Shards against the one index of all their vectors."""

from pathlib import Path

import numpy as np
import pytest

from serving import index
from serving.exact import ExactIndex
from tests.serving.test_index import small_integers


@pytest.mark.parametrize("k", [1, 7, 95, 200])
def test_as_one_index_ties_and_all(tmp_path: Path, k: int) -> None:
    vectors, queries = small_integers(95, 4, 0), small_integers(6, 4, 1)
    info = index.build(vectors, tmp_path / "i", shard=30)
    opened = index.open_index(tmp_path / "i")
    assert (info.kind, info.shards, info.size, info.recall) == ("shards", 4, 95, 1.0)
    for mine, whole in zip(opened.search(queries, k), ExactIndex(vectors).search(queries, k), strict=True):
        assert mine.dtype == whole.dtype
        np.testing.assert_array_equal(mine, whole)
    rows = np.array([94, 0, 31, 29, 0])
    np.testing.assert_array_equal(opened.take(rows), vectors[rows])


def test_of_both_kinds(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(901, 8)).astype(np.float32)
    info = index.build(vectors, tmp_path / "i", scann_above=450, shard=500)
    assert [index.read_info(tmp_path / "i" / str(n)).kind for n in (0, 1)] == ["scann", "exact"]
    assert info.recall == index.read_info(tmp_path / "i" / "0").recall
    rows, scores = index.open_index(tmp_path / "i").search(vectors[:20], 10)
    exact = np.argsort(-(vectors[:20] @ vectors.T), axis=1)[:, :10]
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(rows, exact, strict=True)]) > 0.95
    np.testing.assert_allclose(scores, np.take_along_axis(vectors[:20] @ vectors.T, rows, 1), rtol=1e-5)


def test_a_missing_shard_is_told_of(tmp_path: Path) -> None:
    index.build(small_integers(20, 3, 0), tmp_path / "i", shard=10)
    for file in (tmp_path / "i" / "1").iterdir():
        file.unlink()
    with pytest.raises(OSError, match=r"index\.json"):
        index.open_index(tmp_path / "i")
