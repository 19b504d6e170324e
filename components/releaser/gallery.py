"""Whether a run's gallery is small enough to go inside the SavedModel, and what of it does."""

from pathlib import Path

import numpy as np

from models.export_gallery import Gallery
from models.taxonomy import Taxonomy
from serving.class_vectors import read_class_vectors
from serving.index import open_index, read_info
from serving.items import Items

_MOST_ITEMS = 50_000  # beyond, a query scores too much on the model's own processors
_MOST_BYTES = 256 << 20  # of all vectors: they lie in the release a second time, and in the memory of who loads the model


def gallery_of(index: Path, items: Path, taxonomy: Taxonomy) -> Gallery | None:
    """Of the indexes in the folder `index` and items.parquet; None where it is too large."""
    infos = [read_info(index / name) for name in taxonomy.names]
    if infos[0].size > _MOST_ITEMS or sum(4 * info.size * info.length for info in infos) > _MOST_BYTES:
        return None
    listed, every = Items(items, taxonomy), np.arange(infos[0].size)
    return Gallery(
        ids=listed.ids,
        images=listed.images,
        vectors={name: np.array(open_index(index / name).take(every)) for name in taxonomy.names},
        classes={name: listed.classes(name) for name in taxonomy.names},
        class_vectors={
            one.name: read_class_vectors(index / one.name, len(one.classes), infos[0].length) for one in taxonomy.attributes
        },
    )
