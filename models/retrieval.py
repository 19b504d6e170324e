"""Validation: retrieval vectors of photos, and the MAP that decides which epoch is kept."""

from collections.abc import Sequence

import numpy as np
from keras import ops

from models import metrics
from models.sampling import Photos
from models.systems import System

_EMBED_BATCH = 64


def embed(system: System, photos: Photos) -> np.ndarray:
    """Retrieval vectors of all photos, float32 (n, N, L)."""
    found = []
    for start in range(0, len(photos.ids), _EMBED_BATCH):
        index = np.arange(start, min(start + _EMBED_BATCH, len(photos.ids)))
        outputs = system.predict_on_batch(photos.batch(index).astype(np.float32))
        tensors = {name: ops.convert_to_tensor(value) for name, value in outputs.items()}
        found.append(ops.convert_to_numpy(system.vectors(tensors)))
    return np.concatenate(found)


def average_precisions(system: System, photos: Photos) -> dict[str, tuple[Sequence[str], np.ndarray]]:
    """By attribute, if it has any: the labelled photos in role query, and the AP of each against those in role candidate."""
    vectors, roles = embed(system, photos), np.asarray(photos.roles)
    found = {}
    for attribute, (name, classes) in enumerate(system.taxonomy.slices.items()):
        size = len(system.taxonomy[name].classes)
        rows = metrics.Rows(photos.ids, vectors[:, attribute], photos.labels[:, classes].astype(bool))
        queries, candidates = (metrics.labelled(rows.take(roles == role)) for role in ("query", "candidate"))
        if size and len(queries.ids) and len(candidates.ids):
            found[name] = queries.ids, metrics.measure(queries, candidates).average_precision
    return found


def retrieval_map(system: System, photos: Photos) -> float | None:
    """Overall MAP of the photos in role query against those in role candidate; None without a labelled query."""
    precision = [each for _, each in average_precisions(system, photos).values()]
    return float(np.concatenate(precision).mean()) if precision else None
