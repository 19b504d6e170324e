"""Retrieval vectors of attributes with many classes, made short: the part beyond the posteriors in its few main directions.

An attribute of K classes has K posteriors and K D numbers of class vectors weighted by them: 15,000 for 230 classes. A photo
has two or three probable classes, and so these numbers lie near a space of few dimensions, which the training photos tell.
"""

import numpy as np

PHOTOS = 1024  # that a basis is found from: an attribute of 1,000 classes of 64 numbers takes 260 MB, and so does each other


def main_directions(rows: np.ndarray, rank: int) -> np.ndarray:
    """V, the `rank` directions that keep most of the rows' inner products: rows V V^T rows^T is their best approximation.

    Args: rows: float32 (n, l), not centred.
    Returns: float32 (l, rank), orthonormal columns; zero columns for directions in which the rows
        have less than a millionth of what they have in the first.
    Source: the singular value decomposition (Eckart and Young, 1936), by way of the n x n products, of which n is smaller.
    """
    found = np.zeros((rows.shape[1], rank), np.float32)
    values, left = np.linalg.eigh(rows.astype(np.float64) @ rows.T.astype(np.float64))
    kept = np.flatnonzero(values > 1e-6 * max(values[-1], 1e-12))[::-1][:rank]  # largest first
    found[:, : len(kept)] = rows.T @ (left[:, kept] / np.sqrt(values[kept]))
    return found
