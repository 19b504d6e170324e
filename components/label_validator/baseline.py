"""Which statistics a run's labels are compared with: those of the last run whose labels passed."""

from typing import Any

from tfx.dsl.components.common import resolver

CHECKED, PASSED = "statistics_id", "passed"  # custom properties of LabelChecks


class StatisticsBefore(resolver.ResolverStrategy):
    """The latest statistics that passed and are older than the current ones.

    Older: a run with nothing changed then has the same input as before, and is answered from cache. Passed: labels that
    stopped a run are no measure for the next one.
    """

    CURRENT = "current"  # the key of what is at hand

    def resolve_artifacts(self, store: Any, input_dict: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Keys: `statistics`, `checks`, and `current`, the statistics at hand. An empty list where there is none."""
        passed = {
            checks.get_int_custom_property(CHECKED)
            for checks in input_dict["checks"]
            if checks.get_int_custom_property(PASSED) == 1
        }
        current = min(statistics.id for statistics in input_dict[self.CURRENT])
        older = [one for one in input_dict["statistics"] if one.id < current and one.id in passed]
        found = max(older, key=lambda one: one.id, default=None)
        return {"statistics": [found] if found else [], "checks": [], self.CURRENT: input_dict[self.CURRENT]}
