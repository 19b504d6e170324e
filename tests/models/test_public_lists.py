"""The evaluator on the lists that the ASEN family publishes: floors of a random ranking, ceilings of a perfect one."""

from pathlib import Path

import numpy as np
import pytest

from models.metrics import Rows, measure

LISTS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "lists"
pytestmark = pytest.mark.skipif(not LISTS.is_dir(), reason="the public lists do not lie beside the project")

FLOORS = {
    "FashionAI": (15.79, [17.20, 12.50, 13.35, 17.45, 22.36, 21.62, 11.09, 21.20]),
    "DARN": (31.26, [5.48, 23.46, 10.55, 29.91, 43.27, 38.76, 15.22, 62.02, 54.54]),
    "DeepFashion": (3.38, [6.69, 2.69, 3.23, 2.55, 1.97]),
}
QUERIES = {"FashionAI": (3_600, 14_400), "DARN": (4_293, 17_168), "DeepFashion": (5_525, 22_100)}
CEILINGS = {"FashionAI": 37.36, "DARN": 41.81, "DeepFashion": 77.58}


def read(name: str, role: str) -> np.ndarray:
    """int (n, 3): image, attribute, value."""
    return np.loadtxt(LISTS / name / f"{role}_test.txt", dtype=np.int64)


def rows(found: np.ndarray, values: int, vectors: np.ndarray) -> Rows:
    hot = np.zeros((len(found), values), bool)
    hot[np.arange(len(found)), found[:, 2]] = True
    return Rows([f"{i}" for i in found[:, 0]], vectors, hot)


def by_attribute(name: str) -> list[tuple[np.ndarray, np.ndarray, int]]:
    queries, candidates = read(name, "query"), read(name, "candidate")
    assert (len(queries), len(candidates)) == QUERIES[name]
    found = []
    for attribute in range(len(FLOORS[name][1])):
        pair = [part[part[:, 1] == attribute] for part in (queries, candidates)]
        found.append((*pair, 1 + int(max(part[:, 2].max() for part in pair))))
    return found


@pytest.mark.parametrize("name", sorted(FLOORS))
def test_random_vectors_reach_the_published_floor(name: str) -> None:
    random, measured = np.random.default_rng(0), []
    for queries, candidates, values in by_attribute(name):
        vectors = [random.normal(size=(len(part), 16)).astype(np.float32) for part in (queries, candidates)]
        measured.append(measure(rows(queries, values, vectors[0]), rows(candidates, values, vectors[1])))
    expected = [100 * one.random_average_precision.mean() for one in measured]
    assert expected == pytest.approx(FLOORS[name][1], abs=0.006)
    whole = np.concatenate([one.random_average_precision for one in measured])
    assert 100 * whole.mean() == pytest.approx(FLOORS[name][0], abs=0.006)
    drawn = np.concatenate([one.average_precision for one in measured])
    # Sampling error: of the mean of AP about its expectation, over queries; five of it are never met by chance.
    error = (drawn - whole).std() / np.sqrt(len(drawn))
    assert abs(drawn.mean() - whole.mean()) < 5 * error
    assert error < 0.001


@pytest.mark.parametrize("name", sorted(CEILINGS))
def test_perfect_scores_reach_the_ceiling(name: str) -> None:
    # The ceilings in use leave out the queries whose value no candidate has; with them, which score 0, they are lower.
    recall, precision = [], []
    for queries, candidates, values in by_attribute(name):
        vectors = [np.eye(values, dtype=np.float32)[part[:, 2]] for part in (queries, candidates)]
        found = measure(rows(queries, values, vectors[0]), rows(candidates, values, vectors[1]))
        recall.append(found.recall_at_k[found.average_precision > 0])
        precision.append(found.average_precision)
    assert 100 * np.concatenate(recall).mean() == pytest.approx(CEILINGS[name], abs=0.006)
    assert set(np.unique(np.concatenate(precision))) <= {0.0, 1.0}  # 0 where no candidate has the value
