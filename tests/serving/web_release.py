"""A release whose photos lie in a folder, and whose classes and ids are as hostile as text can be.

Item i is the drawn photo i, each of its 4 x 4 pixels grown to a square: scaled down it is the same photo again.
"""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from models.taxonomy import Attribute, Taxonomy
from serving import release
from tests.serving.drawn import ITEMS, Drawn, photo

HOSTILE = "<img src=x onerror=document.title='mine'>"
TAXONOMY = Taxonomy(
    (Attribute("neckline", ("round", "v_neck", HOSTILE)), Attribute("pocket", ('"><script>alert(1)</script>', "flap"), True))
)
IDS = ["../../etc/passwd", HOSTILE, "a/b?c#d%2F", "v 1", *(f"item-{i}" for i in range(4, ITEMS))]
NO_PHOTO = 5  # the item whose photo is not there


def large(seed: int) -> bytes:
    """Drawn photo `seed` as a PNG of 120 x 160."""
    out = io.BytesIO()
    Image.open(io.BytesIO(photo(seed))).resize((120, 160), Image.Resampling.NEAREST).save(out, "PNG")
    return out.getvalue()


def neighbours(seed: int, attribute: str, k: int) -> list[str]:
    """The ids, by the definition."""
    rows = [int(one.split("-")[1]) for one, _, _ in Drawn(1).neighbours(seed, attribute, k)]
    return [IDS[row] for row in rows]


def compose(folder: Path, version: int, parts: Path, photos: Path) -> release.Manifest:
    """A release of the drawn model's `parts`, its photos written into `photos`."""
    photos.mkdir(exist_ok=True)
    for item in range(ITEMS):
        if item != NO_PHOTO:
            (photos / f"{item}.png").write_bytes(large(item))
    columns = {
        "id": pa.array(IDS),
        "image": pa.array([str(photos / f"{i}.png") for i in range(ITEMS)]),
        **{f"label/{name}": pa.array(rows, pa.list_(pa.int32())) for name, rows in Drawn(1).labels.items()},
    }
    items = folder.with_name(f"{folder.name}.parquet")
    pq.write_table(pa.table(columns), items)
    try:
        return release.compose(
            folder, version, saved_model=parts / "model", index=parts / "index", items=items, taxonomy=TAXONOMY,
            system="<b>drawn</b>", dataset=HOSTILE, metrics={"map": 0.5}, counts={"items": ITEMS}, warmup_image=photo(0),
        )  # fmt: skip
    finally:
        items.unlink()


def shown(values: np.ndarray) -> list[str]:
    """Bytes as text."""
    return [one.decode() for one in values.tolist()]
