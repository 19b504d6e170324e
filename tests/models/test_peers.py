"""Our metrics beside other libraries' where the definitions coincide; docs/metrics.md says where they do not.

scikit-learn is always here; the others are asked where they are installed, in a virtual environment of their own
(benchmarks/retrieval_peers.py names them): they bring PyTorch, which this project does not need.
"""

import numpy as np
import pytest

from benchmarks.retrieval_peers import PEERS, installed
from models.metrics import Rows, measure

HITS, RELEVANT, ALL = "average_precision_at_k", "average_precision_at_k_of_relevant", "all relevant"
NORMALISED = {"torchmetrics": HITS, "open-metric-learning": HITS, "ranx": ALL}  # of AP at k, by what each divides


def drawn(count: int, seed: int, role: str) -> Rows:
    """Scores are whole numbers plus a fraction of the candidate's own: exact in any order of summing, and without ties."""
    random = np.random.default_rng(seed)
    vectors = random.integers(-8, 9, (count, 12)).astype(np.float32)
    vectors[:, -1] = 1 if role == "query" else np.arange(count) / 1024
    return Rows([f"{i}" for i in range(count)], vectors, random.random((count, 12)) < 0.15)


@pytest.fixture(params=sorted(PEERS))
def peer(request: pytest.FixtureRequest) -> str:
    if request.param not in installed():
        pytest.skip(f"{request.param} is not installed here")
    return request.param


def both(queries: Rows, candidates: Rows) -> tuple[Rows, Rows]:
    """Those queries alone that have a relevant candidate: without one, the libraries answer 0, 1 or nothing at all."""
    return queries.take(measure(queries, candidates).average_precision > 0), candidates


def test_average_precision_over_the_whole_gallery(peer: str) -> None:
    queries, candidates = both(drawn(40, 0, "query"), drawn(300, 1, "candidate"))
    expected = installed()[peer](queries, candidates, None)
    assert len(expected) > 30
    np.testing.assert_allclose(measure(queries, candidates).average_precision, expected, rtol=1e-5)


def test_average_precision_at_k(peer: str) -> None:
    if peer not in NORMALISED:
        pytest.skip(f"{peer} knows no depth k")
    queries, candidates = both(drawn(40, 2, "query"), drawn(300, 3, "candidate"))
    found, expected = measure(queries, candidates, k=10), installed()[peer](queries, candidates, 10)
    if NORMALISED[peer] == ALL:  # no name for it here: ours times min(R, k) / R
        relevant = (queries.labels.astype(int) @ candidates.labels.T.astype(int) > 0).sum(axis=1)
        ours = found.average_precision_at_k_of_relevant * np.minimum(relevant, 10) / relevant
    else:
        ours = getattr(found, NORMALISED[peer])
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-7)
