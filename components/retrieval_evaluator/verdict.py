"""Is a model good enough to serve? By a threshold, and beside the last blessed model on the same photos."""

from typing import Any


def verdict(results: dict[str, Any], baseline: dict[str, Any] | None, min_map: float, max_drop: float) -> tuple[bool, str]:
    """Whether overall MAP reaches `min_map` and falls at most `max_drop` below the baseline's, and the reason in words.

    Args:
        results, baseline: results.json of the candidate and of the last blessed model, on the same split; None = no
            model was blessed before. min_map, max_drop: fractions.
    """
    found = results["overall"]["map"]
    if found < min_map:
        return False, f"overall MAP {found:.2%} is below evaluation.min_map {min_map:.2%}"
    if baseline is None:
        return True, f"overall MAP {found:.2%} reaches {min_map:.2%}; no model was blessed before"
    before = baseline["overall"]["map"]
    if found < before - max_drop:
        return False, (
            f"overall MAP {found:.2%} is more than evaluation.max_drop ({max_drop:.2%}) below the last blessed model's "
            f"{before:.2%} on the same photos"
        )
    return True, f"overall MAP {found:.2%} reaches {min_map:.2%}, and stands beside the last blessed model's {before:.2%}"
