"""Two systems on the same queries: the difference of their MAP, its interval and a permutation test, by attribute."""

from collections.abc import Mapping

import numpy as np

from components.errors import InputError
from components.retrieval_evaluator.measure import Measured
from models.intervals import Comparison, compare


def compare_measured(one: Mapping[str, Measured], other: Mapping[str, Measured], where: str) -> dict[str, Comparison]:
    """MAP@all of `other` less that of `one`, both of `measure_all`, by attribute and "overall".

    Args: where: names both, for errors.
    Raises: InputError where the two do not ask the same queries of the same candidates.
    """
    if one.keys() != other.keys():
        raise InputError(f"{where} have other attributes: {', '.join(sorted(one.keys() ^ other.keys()))}")
    for name in one:
        _same(name, one[name], other[name], where)
    pairs = {name: (one[name].metrics.average_precision, other[name].metrics.average_precision) for name in one}
    found = {name: compare(*pair, one[name].images) for name, pair in pairs.items()}
    before, after = (np.concatenate([pair[side] for pair in pairs.values()]) for side in (0, 1))
    return {**found, "overall": compare(before, after, [image for name in one for image in one[name].images])}


def _same(name: str, one: Measured, other: Measured, where: str) -> None:
    if list(one.images) != list(other.images) or not np.array_equal(_trimmed(one), _trimmed(other)):
        raise InputError(f"{where}: {name} has other queries in one than in the other; embed the same photos with both")
    if one.candidates != other.candidates:
        raise InputError(f"{where}: {name} ranks {one.candidates} candidates in one and {other.candidates} in the other")
    if one.gallery and other.gallery and one.gallery != other.gallery:  # not known where Beam measured
        raise InputError(f"{where}: {name} ranks other candidates, or with other labels, in one than in the other")


def _trimmed(measured: Measured) -> np.ndarray:
    return measured.classes[:, : 1 + int(np.flatnonzero(measured.classes.any(axis=0)).max(initial=0))]
