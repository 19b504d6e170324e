"""Which model was blessed last before the one at hand."""

from typing import Any

from tfx.dsl.components.common import resolver


class BlessedBefore(resolver.ResolverStrategy):
    """The latest blessed model that is older than the current one.

    Not the stock LatestBlessedModelStrategy: after a blessing it resolves to the current model itself, so that a run
    with nothing changed would have a new input, and evaluate, bless and push again instead of being answered from cache.
    """

    CURRENT = "current"  # the key of what is at hand

    def resolve_artifacts(self, store: Any, input_dict: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Keys: `model`, `model_blessing`, and `current`, the model at hand, or the Examples that one is to be made of. Empty lists where there is none."""
        blessings = {
            blessing.get_int_custom_property("current_model_id"): blessing
            for blessing in input_dict["model_blessing"]
            if blessing.get_int_custom_property("blessed") == 1
        }
        current = min(model.id for model in input_dict[self.CURRENT])
        older = [model for model in input_dict["model"] if model.id < current and model.id in blessings]
        found = max(older, key=lambda model: model.id, default=None)
        blessed = [blessings[found.id]] if found else []
        return {"model": [found] if found else [], "model_blessing": blessed, self.CURRENT: input_dict[self.CURRENT]}
