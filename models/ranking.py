"""The ranking rule: which score a pair has, which of two candidates ranks first, and at which ranks the relevant ones stand.

A score is the inner product of two vectors, summed in float64 from the first component on and rounded once to float32. Of
equal scores the candidate whose hashed id is smaller ranks first: an id that happens to tell the class (a folder's name)
helps no ranking. So the order of rows, the size of a block or shard, the threads and the BLAS in use change no rank.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

_PRODUCTS = 1 << 20  # held at once where sums are done over: 8 MB


def tie_keys(ids: Sequence[str]) -> np.ndarray:
    """uint64 (n,): of equal scores the smaller ranks first."""
    digests = b"".join(hashlib.blake2b(one.encode(), digest_size=8).digest() for one in ids)
    return np.frombuffer(digests, ">u8").astype(np.uint64)


def similarity(queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """The scores of all pairs, (q, L) and (c, L) to float32 (q, c); the same bits in whatever block a pair stands.

    Products of two float32 are exact in float64, and two orders of adding L of them lie at most
    2 (L - 1) 2^-53 sum |q_i c_i| apart. Where both ends of that interval round to one float32, so does the sum in order,
    whatever order the BLAS took; the few others are added up in order.
    Source of the bound: Higham, Accuracy and Stability of Numerical Algorithms, section 4.2.
    """
    left, right = queries.astype(np.float64), candidates.astype(np.float64)
    step = 2.0**-52 * 1.001 * left.shape[1]
    with np.errstate(over="ignore"):  # past float32 a score is infinite, and ties with its like
        sums = left @ right.T
        longest = np.sqrt(np.einsum("cl,cl->c", right, right).max(initial=0.0))
        scores, unsure = _rounded(sums, step * longest * np.linalg.norm(left, axis=1, keepdims=True))
        if len(unsure) > 0.01 * sums.size:  # scores far below the lengths: there the bound by lengths is too wide
            scores, unsure = _rounded(sums, step * (np.abs(left) @ np.abs(right).T))
        flat = scores.reshape(-1)
        for part in np.array_split(unsure, 1 + len(unsure) * left.shape[1] // _PRODUCTS):
            query, candidate = np.divmod(part, sums.shape[1])
            flat[part] = np.add.accumulate(left[query] * right[candidate], axis=1)[:, -1]
    return scores


def _rounded(sums: np.ndarray, slack: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`sums` as float32, and the flat places where a sum off by `slack` could round to another one."""
    low, high = np.empty(sums.shape, np.float32), np.empty(sums.shape, np.float32)
    np.subtract(sums, slack, out=low, casting="same_kind")
    np.add(sums, slack, out=high, casting="same_kind")
    return low, np.flatnonzero(low != high)


def descending(scores: np.ndarray) -> np.ndarray:
    """float32 to uint64 whose upper half grows as the score falls; the lower half is 0. Both zeros are one."""
    bits = (scores + np.float32(0)).view(np.uint32)
    # A positive float's bits grow with it and a negative one's against it: turning a positive's around, all but its
    # sign, makes one falling order. The shift copies the sign to all bits.
    bits ^= ~(bits.view(np.int32) >> 31).view(np.uint32) & np.uint32(0x7FFFFFFF)
    return np.left_shift(bits, np.uint64(32), dtype=np.uint64)


def ranks_of(scores: np.ndarray, relevant: np.ndarray, ties: np.ndarray) -> np.ndarray:
    """The ranks, from 1, of the relevant candidates: query by query, ascending within each.

    Score, place among ties and relevance are packed into one whole number, which NumPy sorts several times faster than it
    finds an order; the relevance is its lowest bit, below the place, and so decides nothing.

    Args:
        scores: float32 (q, c). relevant: bool (q, c).
        ties: uint64 (c,), the place of each candidate among all by its tie key, from 0; below 2^31.
    Returns: int (r,), r the relevant pairs.
    """
    keys = descending(scores)
    keys |= ties << np.uint64(1)
    keys |= relevant
    keys.sort(axis=1)
    # Of a flat array of bools: nonzero of a table of whole numbers takes longer than the sort.
    places = np.flatnonzero((keys.astype(np.uint8) & 1).view(bool))
    return places + 1 - np.repeat(np.arange(len(scores)) * scores.shape[1], relevant.sum(axis=1))
