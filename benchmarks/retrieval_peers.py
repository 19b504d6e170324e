"""Average precision by other libraries, from the same vectors and labels: what ours is held against.

A peer that is not installed is left out. scikit-learn is among the project's own packages; for all of them, in a virtual
environment of its own (ours needs NumPy and threadpoolctl alone):

    pip install numpy scikit-learn threadpoolctl tabulate torchmetrics ranx open-metric-learning omegaconf
"""

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

from models.metrics import Rows, shares

Peer = Callable[[Rows, Rows, int | None], np.ndarray]


def scored(queries: Rows, candidates: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Scores float32 and relevance bool, both (q, c), in one product: every peer's best case."""
    return queries.vectors @ candidates.vectors.T, shares(queries.labels, candidates.labels)


def scikit_learn(queries: Rows, candidates: Rows, k: int | None = None) -> np.ndarray:  # noqa: ARG001
    """A loop over queries; knows no depth `k`."""
    from sklearn.metrics import average_precision_score

    return np.array([average_precision_score(r, s) for s, r in zip(*scored(queries, candidates), strict=True)])


def torchmetrics(queries: Rows, candidates: Rows, k: int | None = None) -> np.ndarray:
    """Its function in a loop: its class gives the mean alone. It takes no candidate with a score of 0 or less for relevant,
    so the scores are lifted above 0.
    """
    import torch
    from torchmetrics.functional.retrieval import retrieval_average_precision

    scores, relevant = scored(queries, candidates)
    pairs = zip(torch.from_numpy(scores - scores.min() + 1), torch.from_numpy(relevant), strict=True)
    return np.array([float(retrieval_average_precision(s, r, top_k=k)) for s, r in pairs])


def ranx(queries: Rows, candidates: Rows, k: int | None = None) -> np.ndarray:
    """Its compiled evaluation; it reads dictionaries of names, whose making counts, as its user has to make them. Its values
    stand in the order of the queries' names. Its map@k divides by all relevant, however many fit into k.
    """
    from ranx import Qrels, Run, evaluate

    scores, relevant = scored(queries, candidates)
    names = [f"c{i}" for i in range(len(candidates.ids))]
    wanted = {f"q{i:09}": {names[j]: 1 for j in np.flatnonzero(row)} for i, row in enumerate(relevant)}
    run = {f"q{i:09}": dict(zip(names, row, strict=True)) for i, row in enumerate(scores.tolist())}
    metric = f"map@{k}" if k else "map"
    return np.asarray(evaluate(Qrels(wanted), Run(run), metric, return_mean=False))


def open_metric_learning(queries: Rows, candidates: Rows, k: int | None = None) -> np.ndarray:
    """Its metric, on orders found by torch: its own search ranks by distance, not by inner product, and knows single labels.
    Its map@k divides by the hits within k, and a query without a relevant candidate has 1.
    """
    import torch
    from oml.functional.metrics import calc_map

    scores, relevant = scored(queries, candidates)
    order = torch.argsort(torch.from_numpy(scores), dim=1, descending=True)
    tops = torch.gather(torch.from_numpy(relevant), 1, order)
    return np.asarray(calc_map(tuple(tops), relevant.sum(axis=1).tolist(), (k or scores.shape[1],))[0])


PEERS: dict[str, tuple[str, Peer]] = {
    "scikit-learn, a loop over queries": ("sklearn", scikit_learn),
    "torchmetrics": ("torchmetrics", torchmetrics),
    "ranx": ("ranx", ranx),
    "open-metric-learning": ("oml", open_metric_learning),
}


def installed() -> dict[str, Peer]:
    """The peers that are here."""
    return {name: peer for name, (module, peer) in PEERS.items() if find_spec(module)}
