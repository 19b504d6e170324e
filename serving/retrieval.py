"""The signatures `search`, `search_by_id` and `search_by_class`: from a photo, an item or a class to the items of a release.

TF Serving knows no such thing; what is asked and refused follows its rules all the same.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.taxonomy import Taxonomy
from serving.call import Code, RequestError, invalid
from serving.class_vectors import read_class_vectors
from serving.gallery import Gallery, Live, Where
from serving.protos import meta_graph_pb2, types_pb2
from serving.release import INDEX, Manifest
from serving.signatures import check_array, check_attributes, check_names, check_outputs, check_rows
from serving.tensors import to_proto

SEARCH, BY_ID, BY_CLASS = "search", "search_by_id", "search_by_class"
ASKED = {SEARCH: "image", BY_ID: "id", BY_CLASS: "class"}  # what is searched for; beside it all take `attribute` and `k`
OUTPUTS = ("id", "score")  # the contract's; those below come only where they are asked for by name
ITEM_OUTPUTS = ("class", "image")
WHERE = "where"  # may be left out: conditions "column=value", of which all hold; of one column's values one does
MAX_K = 1000
_MOST_CONDITIONS = 64

_TYPES = {"k": types_pb2.DT_INT32, "score": types_pb2.DT_FLOAT}
Arrays = dict[str, np.ndarray]


class Retrieval:
    """What `live` says can be found, and a vector a class: `classes[attribute]` (classes, L), NaN where unknown."""

    def __init__(self, taxonomy: Taxonomy, live: Callable[[], Gallery], classes: dict[str, np.ndarray]) -> None:
        self._taxonomy, self.live, self._classes = taxonomy, live, classes

    def answer(
        self, signature: str, inputs: Arrays, output_filter: Sequence[str], embed: Callable[[Arrays], np.ndarray]
    ) -> Arrays:
        """Answers a request of one of the signatures in `ASKED`.

        Args:
            embed: from `image` and `attribute` to vectors (B, L), refusing what is wrong with them; asked by `search`.
        Returns: `id`, `class` and `image` bytes (B, k), `score` float32 (B, k); those in `output_filter`, or `OUTPUTS`
            where it is empty. k is cut to the items there are to be found.
        Raises: RequestError.
        """
        asked = ASKED[signature]
        check_outputs(output_filter, (*OUTPUTS, *ITEM_OUTPUTS))
        check_names(set(inputs), {asked, "attribute", "k", *({WHERE} & set(inputs))})
        k, attributes, gallery = depth(inputs["k"]), inputs["attribute"], self.live()
        where = _conditions(inputs[WHERE], gallery, self._taxonomy) if WHERE in inputs else ()
        own = None
        if signature == SEARCH:
            vectors = embed({"image": inputs["image"], "attribute": attributes})
        else:
            for name in (asked, "attribute"):
                check_array(name, inputs[name], np.dtype(object), (None,))
            check_rows({asked: inputs[asked], "attribute": attributes})
            check_attributes(attributes, self._taxonomy.names)
            own = _rows(inputs["id"], gallery) if signature == BY_ID else None
            vectors = self._of_classes(inputs["class"], attributes) if own is None else _of_rows(own, attributes, gallery)
        if not np.isfinite(vectors).all():
            raise RequestError(Code.INTERNAL, "the model gave a vector that is not finite for this photo")
        return search(gallery, vectors, attributes, k, tuple(output_filter) or OUTPUTS, where, own)

    def _of_classes(self, names: np.ndarray, attributes: np.ndarray) -> np.ndarray:
        pairs = zip(names.tolist(), attributes.tolist(), strict=True)
        found = [self._of_class(name, attribute.decode()) for name, attribute in pairs]
        return np.array(found, np.float32).reshape(len(names), -1 if found else 0)

    def _of_class(self, name: bytes, attribute: str) -> np.ndarray:
        classes = self._taxonomy[attribute].classes
        places = [place for place, one in enumerate(classes) if one.encode() == name]
        if not places:
            raise invalid(f'unknown class "{_shown(name)}" of {attribute}; there are: {", ".join(classes)}')
        vector = self._classes[attribute][places[0]]
        if not np.isfinite(vector).all():
            raise invalid(f'no item of this release is labelled "{_shown(name)}", so the class cannot be looked for')
        return vector


def search(
    gallery: Gallery,
    vectors: np.ndarray,
    attributes: np.ndarray,
    k: int,
    wanted: Sequence[str],
    where: Where = (),
    own: np.ndarray | None = None,
) -> Arrays:
    """The best k of each query, k cut to the items there are to be found.

    Args:
        vectors: float32 (B, L). attributes: known names as bytes (B,). wanted: of `OUTPUTS` and `ITEM_OUTPUTS`.
        own: a row (B,) that each query is not to find: itself.
    """
    allowed = gallery.allowed(where)
    more = 0 if own is None or not allowed[own].any() else 1
    shape = (len(vectors), min(k, int(np.count_nonzero(allowed)) - more))
    rows, scores = np.empty(shape, np.int32), np.empty(shape, np.float32)
    classes = np.empty(shape, object)
    for name in set(attributes.tolist()):  # each index is asked once for all of its queries
        of_name = attributes == name
        found = gallery.search(name.decode(), vectors[of_name], shape[1] + more, allowed)
        rows[of_name], scores[of_name] = found if own is None or not more else _without(own[of_name], *found)
        if "class" in wanted:
            classes[of_name] = gallery.items.classes(name.decode())[rows[of_name]]
    outputs = {"id": gallery.items.ids[rows], "score": scores, "class": classes, "image": gallery.items.images[rows]}
    return {name: outputs[name] for name in wanted}


def _rows(ids: np.ndarray, gallery: Gallery) -> np.ndarray:
    rows = [gallery.row(item) for item in ids.tolist()]
    if None in rows:
        # INVALID_ARGUMENT, not NOT_FOUND, which in this protocol says that there is no such model.
        raise invalid(f'unknown id "{_shown(ids[rows.index(None)])}"')
    return np.array(rows, np.intp)


def _of_rows(rows: np.ndarray, attributes: np.ndarray, gallery: Gallery) -> np.ndarray:
    found = [gallery.indexes[name.decode()].take(rows[i : i + 1])[0] for i, name in enumerate(attributes.tolist())]
    return np.array(found, np.float32).reshape(len(rows), -1 if found else 0)


def open_retrieval(folder: Path, manifest: Manifest, taxonomy: Taxonomy) -> Retrieval:
    """Of the release in `folder`. Raises: ReleaseError or ValueError where its parts do not fit each other; OSError."""
    classes = {
        one.name: read_class_vectors(folder / INDEX / one.name, len(one.classes), manifest.vector_length)
        for one in taxonomy.attributes
    }
    return Retrieval(taxonomy, Live(folder, manifest, taxonomy).now, classes)


def _without(own: np.ndarray, rows: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and scores (b, k + 1) to (b, k): less the row `own`, or less the last where that was not found."""
    keep = rows != own[:, None]
    keep[keep.all(axis=1), -1] = False
    shape = (len(rows), rows.shape[1] - 1)
    return rows[keep].reshape(shape), scores[keep].reshape(shape)


def depth(k: np.ndarray) -> int:
    """The input `k` as a number. Raises: RequestError unless it is one integer within bounds."""
    if k.shape != () or k.dtype.kind != "i" or not 1 <= int(k) <= MAX_K:
        raise invalid(f'input "k" must be one integer from 1 to {MAX_K}, of shape ()')
    return int(k)


def _conditions(given: np.ndarray, gallery: Gallery, taxonomy: Taxonomy) -> Where:
    """ "column=value" a condition, as the values asked for of each column. Raises: RequestError."""
    if given.dtype != object or given.ndim != 1 or len(given) > _MOST_CONDITIONS:
        raise invalid(f'input "{WHERE}" must be string of shape (C), C at most {_MOST_CONDITIONS}, as "column=value"')
    found: dict[str, set[bytes]] = {}
    for condition in given.tolist():
        name, equals, value = condition.partition(b"=")
        column = name.decode(errors="replace")
        if not equals or column not in gallery.items.columns:
            columns = ", ".join(gallery.items.columns)
            raise invalid(f'"{_shown(condition)}" is no condition "column=value" on one of: {columns}')
        if column in taxonomy.names and value not in (classes := [one.encode() for one in taxonomy[column].classes]):
            known = b", ".join(classes).decode()
            raise invalid(f'unknown class "{_shown(value)}" of {column}; there are: {known}')
        found.setdefault(column, set()).add(value)
    return tuple(sorted((column, tuple(sorted(values))) for column, values in found.items()))


def _shown(text: bytes) -> str:
    return text.decode(errors="replace")[:100]


def definition(signature: str) -> Any:
    """What GetModelMetadata says of one of them."""
    defined = meta_graph_pb2.SignatureDef(method_name="tensorflow/serving/predict")
    inputs = (ASKED[signature], "attribute", "k", WHERE)
    for infos, names in ((defined.inputs, inputs), (defined.outputs, (*OUTPUTS, *ITEM_OUTPUTS))):
        for name in names:
            infos[name].name, infos[name].dtype = f"{signature}/{name}:0", _TYPES.get(name, types_pb2.DT_STRING)
            rank = 0 if name == "k" else 1 if infos is defined.inputs else 2
            infos[name].tensor_shape.SetInParent()  # present and empty is a scalar; absent would be unknown
            for _ in range(rank):
                infos[name].tensor_shape.dim.add(size=-1)
    defined.defaults[WHERE].CopyFrom(to_proto(np.empty(0, object)))  # how a signature says that an input may be left out
    return defined
