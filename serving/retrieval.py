"""The signature `search`: from retrieval vectors to the items of a release. TF Serving knows no such thing."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.taxonomy import Taxonomy
from serving.call import Code, RequestError, invalid
from serving.index import Index
from serving.items import Items
from serving.protos import meta_graph_pb2, types_pb2

SEARCH = "search"
INPUTS = ("image", "attribute", "k")
OUTPUTS = ("id", "score")  # the contract's; those below come only where they are asked for by name
ITEM_OUTPUTS = ("class", "image")
MAX_K = 1000

_TYPES = {"k": types_pb2.DT_INT32, "score": types_pb2.DT_FLOAT}


class Retrieval:
    """The indexes of one release and the items behind their rows."""

    def __init__(self, taxonomy: Taxonomy, items: Items, indexes: dict[str, Index]) -> None:
        self._taxonomy, self._items, self._indexes = taxonomy, items, indexes

    def search(self, vectors: np.ndarray, attributes: np.ndarray, k: int, wanted: Sequence[str]) -> dict[str, np.ndarray]:
        """The best k of each query, k cut to the items there are.

        Args:
            vectors: float32 (B, L). attributes: known names as bytes (B,). wanted: of `OUTPUTS` and `ITEM_OUTPUTS`.
        Returns: `id`, `class` and `image` bytes (B, k), `score` float32 (B, k), as wanted.
        Raises: RequestError for a vector that is not finite.
        """
        if not np.isfinite(vectors).all():
            raise RequestError(Code.INTERNAL, "the model gave a vector that is not finite for this photo")
        shape = (len(vectors), min(k, len(self._items)))
        rows, scores = np.empty(shape, np.int32), np.empty(shape, np.float32)
        classes = np.empty(shape, object)
        for name in set(attributes.tolist()):  # each index is asked once for all of its queries
            of_name = attributes == name
            rows[of_name], scores[of_name] = self._indexes[name.decode()].search(vectors[of_name], shape[1])
            if "class" in wanted:
                classes[of_name] = self._items.classes(name.decode())[rows[of_name]]
        found = {"id": self._items.ids[rows], "score": scores, "class": classes, "image": self._items.images[rows]}
        return {name: found[name] for name in wanted}


def depth(k: np.ndarray) -> int:
    """The input `k` as a number. Raises: RequestError unless it is one integer within bounds."""
    if k.shape != () or k.dtype.kind != "i" or not 1 <= int(k) <= MAX_K:
        raise invalid(f'input "k" must be one integer from 1 to {MAX_K}, of shape ()')
    return int(k)


def signature() -> Any:
    """What GetModelMetadata says of `search`."""
    defined = meta_graph_pb2.SignatureDef(method_name="tensorflow/serving/predict")
    for infos, names in ((defined.inputs, INPUTS), (defined.outputs, (*OUTPUTS, *ITEM_OUTPUTS))):
        for name in names:
            infos[name].name, infos[name].dtype = f"{SEARCH}/{name}:0", _TYPES.get(name, types_pb2.DT_STRING)
            rank = 0 if name == "k" else 1 if infos is defined.inputs else 2
            infos[name].tensor_shape.SetInParent()  # present and empty is a scalar; absent would be unknown
            for _ in range(rank):
                infos[name].tensor_shape.dim.add(size=-1)
    return defined
