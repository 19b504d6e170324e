"""How sure a mean over queries is: bootstrap intervals, and a paired test of two systems on the same queries.

What is drawn anew is the image, with all of its queries: those of one photo are no independent evidence.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 1000
CONFIDENCE = 0.95
_CELLS = 4_000_000  # images drawn at once, of all draws


@dataclass(frozen=True)
class Comparison:
    """Of two paired systems: the mean difference, its interval, and p, the share of sign-flips at least as far from 0."""

    difference: float
    low: float
    high: float
    p: float

    @property
    def sure(self) -> bool:
        """Hardly by chance: the interval leaves out 0, as that of few images may, and p is below 5 %, as of few it never is."""
        return (self.low > 0 or self.high < 0) and self.p < 1 - CONFIDENCE


def interval(values: np.ndarray, images: Sequence[str], draws: int = DRAWS, seed: int = 0) -> tuple[float, float]:
    """The percentile interval of `CONFIDENCE` for the mean of `values`.

    Args:
        values: float (q,), one a query. images: q names; queries of one image are drawn together.
    Source: Efron's bootstrap, percentiles; by image, a cluster bootstrap.
    """
    sums, counts = _by_image(values, images)
    means = np.concatenate([sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1) for drawn in _draws(len(sums), draws, seed)])
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def compare(first: np.ndarray, second: np.ndarray, images: Sequence[str], draws: int = DRAWS, seed: int = 0) -> Comparison:
    """Is `second` better than `first`? Both float (q,), on the same queries in the same order.

    The interval is `interval` of the differences. p is a permutation test's: under no difference, an image's differences
    are as likely with the other sign. Exact for few images; of many, `draws` are counted with what was found, so that it
    is never 0.
    """
    difference = second - first
    sums, _ = _by_image(difference, images)
    return Comparison(float(difference.mean()), *interval(difference, images, draws, seed), _p(sums, draws, seed))


def _p(sums: np.ndarray, draws: int, seed: int) -> float:
    """The share of sign flips that bring the sum at least as far from 0."""
    count, random = len(sums), np.random.default_rng(seed)

    def far(flips: np.ndarray) -> int:
        return int((np.abs((flips * 2.0 - 1) @ sums) >= abs(sums.sum()) - 1e-12).sum())

    if 2**count <= draws:
        return far(np.arange(2**count)[:, None] >> np.arange(count) & 1) / 2**count
    drawn = sum(far(random.integers(0, 2, (size, count), np.int8)) for size in _sizes(count, draws))
    return (drawn + 1) / (draws + 1)


def _by_image(values: np.ndarray, images: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The sum and number of the values of each image."""
    _, place = np.unique(np.asarray(images), return_inverse=True)
    return np.bincount(place, values), np.bincount(place)


def _draws(count: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """int (b, count) images with replacement, in blocks, `draws` rows in all."""
    random = np.random.default_rng(seed)
    yield from (random.integers(0, count, (size, count)) for size in _sizes(count, draws))


def _sizes(count: int, draws: int) -> Iterator[int]:
    block = max(1, _CELLS // count)
    yield from (min(block, draws - start) for start in range(0, draws, block))
