"""Is a model good enough to serve? By a threshold, and beside the last blessed model on the same photos."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from components.retrieval_evaluator.measure import Measured
from components.retrieval_evaluator.paired import compare_measured

Beside = Mapping[str, Mapping[str, float]]


def beside(before: Mapping[str, Measured], now: Mapping[str, Measured]) -> dict[str, dict[str, float]]:
    """Two models on the same queries, by attribute that both know and "overall" of these; empty where they share none.

    Returns: `before`, `now`, their `difference` with the interval `low` to `high` of 95 %, `p`, and whether it is
        `sure`; MAPs as fractions.
    """
    shared = [name for name in now if name in before]
    if not shared:
        return {}
    first, second = ({name: one[name] for name in shared} for one in (before, now))
    rows = {}
    for name, test in compare_measured(first, second, "the last blessed model and this one").items():
        parts = [first[name]] if name in first else list(first.values())
        then = float(np.concatenate([one.metrics.average_precision for one in parts]).mean())
        rows[name] = {"before": then, "now": then + test.difference, **vars(test), "sure": test.sure}
    return rows


def fallen(found: Beside, max_attribute_drop: float) -> list[str]:
    """Attributes that fell by more than `max_attribute_drop`, and hardly by chance: see `Comparison.sure`."""
    attributes = {name: one for name, one in found.items() if name != "overall"}
    return [name for name, one in attributes.items() if one["difference"] < -max_attribute_drop and one["sure"]]


def verdict(
    results: dict[str, Any], found: Beside, min_map: float, max_drop: float, max_attribute_drop: float = 1.0
) -> tuple[bool, str]:
    """Whether overall MAP reaches `min_map`, and neither it nor an attribute fell too far; and the reason in words.

    Args:
        results: results.json of the candidate. found: what `beside` returned, empty where no model was blessed before.
        min_map, max_drop, max_attribute_drop: fractions; see `fallen` for the last.
    """
    reached, against = results["overall"]["map"], []
    if reached < min_map:
        against.append(f"overall MAP {reached:.2%} is below evaluation.min_map {min_map:.2%}")
    if found and found["overall"]["now"] < found["overall"]["before"] - max_drop:
        against.append(
            f"overall MAP {found['overall']['now']:.2%} is more than evaluation.max_drop ({max_drop:.2%}) below the last "
            f"blessed model's {found['overall']['before']:.2%} on the same photos"
        )
    against += [_fall(name, found[name], max_attribute_drop) for name in fallen(found, max_attribute_drop)]
    if against:
        return False, "; ".join(against)
    floor = f"reaches {min_map:.2%}" if min_map else "has no floor to reach (evaluation.min_map)"
    if not found:
        return True, f"overall MAP {reached:.2%} {floor}; no model was blessed before"
    before = found["overall"]["before"]
    return True, f"overall MAP {reached:.2%} {floor}, and stands beside the last blessed model's {before:.2%}"


def _fall(name: str, one: Mapping[str, float], limit: float) -> str:
    return (
        f"{name} fell from {one['before']:.2%} to {one['now']:.2%}, by {-one['difference']:.2%} (95 % interval "
        f"{-one['high']:.2%} to {-one['low']:.2%}), more than evaluation.max_attribute_drop ({limit:.2%})"
    )
