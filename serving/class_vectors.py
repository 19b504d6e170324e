"""A query for a class, without a photo: the mean of the retrieval vectors of the items labelled with it.

The score is an inner product, so an item's score against the mean is the mean of its scores against each of those items:
the class asks what its own items would ask together. That holds for any system. For posteriors it tends to a multiple of
the class's unit vector as the model grows sure, and a part for looking alike comes in as the class looks on average, which a unit
vector alone would leave out.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

CLASSES = "classes.npy"


def class_vectors(vectors: np.ndarray, labels: Sequence[Sequence[int] | None], classes: int) -> np.ndarray:
    """float32 (classes, L); NaN for a class that no row has.

    Args:
        vectors: float32 (n, L). labels: of each row the class indices, none where it is unlabelled.
    """
    rows = [row for row, cell in enumerate(labels) for _ in cell or ()]
    places = np.array([place for cell in labels for place in cell or ()], np.intp)
    means = np.full((classes, vectors.shape[1]), np.nan, np.float32)
    order = np.argsort(places, kind="stable")
    for place, members in zip(*_groups(places[order], np.array(rows, np.intp)[order]), strict=True):
        means[place] = vectors[members].mean(axis=0, dtype=np.float64)
    return means


def _groups(places: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """The distinct of the sorted `places`, and the rows of each."""
    distinct, starts = np.unique(places, return_index=True)
    return distinct, np.split(rows, starts[1:]) if len(distinct) else []


def write_class_vectors(vectors: np.ndarray, index: Path) -> None:
    """Puts them beside the index in the folder `index`."""
    np.save(index / CLASSES, vectors, allow_pickle=False)


def read_class_vectors(index: Path, classes: int, length: int) -> np.ndarray:
    """What `write_class_vectors` wrote; all NaN where nothing was. Raises: ValueError where they do not fit."""
    if not (index / CLASSES).exists():  # a release older than this file, or one put together without labels
        return np.full((classes, length), np.nan, np.float32)
    vectors = np.load(index / CLASSES, allow_pickle=False)
    if vectors.shape != (classes, length) or vectors.dtype != np.float32:
        raise ValueError(f"{index}: {CLASSES} is {vectors.dtype} {vectors.shape}, not float32 {(classes, length)}")
    return vectors
