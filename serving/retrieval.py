"""The signatures `search*`: from a photo, an item or a class to the items of a release. TF Serving knows no such thing."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from models.taxonomy import Taxonomy
from serving.call import Code, RequestError, invalid
from serving.index import Index
from serving.items import Items
from serving.protos import meta_graph_pb2, types_pb2

SEARCH = "search"
# signature: what is searched for; beside it all take `attribute` and `k`
ASKED = {SEARCH: "image", "search_by_id": "id", "search_by_class": "class"}
OUTPUTS = ("id", "score")  # the contract's; those below come only where they are asked for by name
ITEM_OUTPUTS = ("class", "image")
MAX_K = 1000

_TYPES = {"k": types_pb2.DT_INT32, "score": types_pb2.DT_FLOAT}
_CLASSES = 4096  # mean vectors kept


class Retrieval:
    """The indexes of one release and the items behind their rows."""

    def __init__(self, taxonomy: Taxonomy, items: Items, indexes: dict[str, Index]) -> None:
        self._taxonomy, self._items, self._indexes = taxonomy, items, indexes
        self._mean = lru_cache(_CLASSES)(self._mean_of)

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

    def vectors(self, signature: str, asked: np.ndarray, attributes: np.ndarray) -> np.ndarray:
        """What `search_by_id` or `search_by_class` search for, float32 (B, L): an item's vector, or the mean of a class's.

        Raises: RequestError for an id or class that is not there.
        """
        look: Callable[[str, bytes], np.ndarray] = self._of_item if signature == "search_by_id" else self._mean
        pairs = zip(attributes.tolist(), asked.tolist(), strict=True)
        length = next(iter(self._indexes.values())).info.length
        return np.array([look(name.decode(), one) for name, one in pairs], np.float32).reshape(len(asked), length)

    def _of_item(self, attribute: str, item: bytes) -> np.ndarray:
        row = self._items.row(item)
        if row is None:
            raise invalid(f'unknown id "{item.decode(errors="replace")[:100]}"')
        return self._of_rows(attribute, np.array([row]))[0]

    def _mean_of(self, attribute: str, name: bytes) -> np.ndarray:
        """Our definition: of all items labelled so, the mean vector, which ranks by the mean of their similarities."""
        classes = self._taxonomy[attribute].classes
        if (wanted := name.decode(errors="replace")) not in classes:
            raise invalid(f'unknown class "{wanted[:100]}" of {attribute}; there are: {", ".join(classes)}')
        rows = np.array([row for row, cell in enumerate(self._items.classes(attribute)) if name in cell.split(b"|")], np.intp)
        if not len(rows):
            raise invalid(f'no item is labelled "{wanted}" of {attribute}')
        return np.asarray(self._of_rows(attribute, rows).mean(axis=0, dtype=np.float64), np.float32)

    def _of_rows(self, attribute: str, rows: np.ndarray) -> np.ndarray:
        try:
            return self._indexes[attribute].vectors_of(rows)
        except LookupError as error:
            message = f"the index of {attribute} cannot be searched by id or class: {error}; build it again and push"
            raise RequestError(Code.FAILED_PRECONDITION, message) from None


def depth(k: np.ndarray) -> int:
    """The input `k` as a number. Raises: RequestError unless it is one integer within bounds."""
    if k.shape != () or k.dtype.kind != "i" or not 1 <= int(k) <= MAX_K:
        raise invalid(f'input "k" must be one integer from 1 to {MAX_K}, of shape ()')
    return int(k)


def inputs_of(signature: str) -> tuple[str, ...]:
    """The inputs' names."""
    return (ASKED[signature], "attribute", "k")


def definition(signature: str) -> Any:
    """What GetModelMetadata says of one of them."""
    defined = meta_graph_pb2.SignatureDef(method_name="tensorflow/serving/predict")
    for infos, names in ((defined.inputs, inputs_of(signature)), (defined.outputs, (*OUTPUTS, *ITEM_OUTPUTS))):
        for name in names:
            infos[name].name, infos[name].dtype = f"{signature}/{name}:0", _TYPES.get(name, types_pb2.DT_STRING)
            rank = 0 if name == "k" else 1 if infos is defined.inputs else 2
            infos[name].tensor_shape.SetInParent()  # present and empty is a scalar; absent would be unknown
            for _ in range(rank):
                infos[name].tensor_shape.dim.add(size=-1)
    return defined
