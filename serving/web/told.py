"""What the page must know of a release before it can ask anything, as JSON."""

from typing import Any

import numpy as np

from serving.servable import Servable

_EXAMPLES = 12  # items to begin with


def told_of(name: str, servable: Servable) -> dict[str, Any]:
    """One release of the model `name`: its attributes and classes, and the ids of a few items spread over all."""
    items, manifest = servable.items, servable.manifest
    some = np.unique(np.linspace(0, len(items) - 1, _EXAMPLES, dtype=int))
    return {
        "model": name,
        "version": manifest.version,
        "system": manifest.system,
        "dataset": manifest.dataset,
        "items": len(items),
        "attributes": [
            {"name": one.name, "classes": list(one.classes), "multi_label": one.multi_label}
            for one in servable.taxonomy.attributes
        ],
        "signatures": sorted(servable.definitions),
        "examples": [one.decode() for one in items.ids[some].tolist()],
    }
