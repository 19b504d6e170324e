"""What the index builder writes, from Embeddings and items of a few rows."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.index_builder.build import build_all
from models.taxonomy import Attribute, Taxonomy
from serving.class_vectors import read_class_vectors
from serving.index import open_index
from serving.items import Items

TAXONOMY = Taxonomy((Attribute("neck", ("v", "crew", "boat")), Attribute("fit", ("slim", "wide"), True)))
# id, split, labels of neck and of fit, and a vector: that of fit is twice that of neck
ROWS = [("b", "test", [1], [0, 1], [0, 2]), ("a", "test", [0], [1], [3, 4]), ("c", "train", [0], [], [1, 0])]


def test_items_indexes_and_classes(tmp_path: Path) -> None:
    rows = [
        {"id": i, "split": split, "role": "query", "attribute": name, "labels": labels, "vector": [factor * x for x in vector]}
        for i, split, neck, fit, vector in ROWS
        for name, labels, factor in (("neck", neck, 1.0), ("fit", fit, 2.0))
    ]
    types = {"labels": pa.list_(pa.int32()), "vector": pa.list_(pa.float32(), 2)}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in rows[0]])
    pq.write_table(pa.Table.from_pylist(rows, schema), tmp_path / "embeddings.parquet")
    examples = tmp_path / "examples"
    (examples / "items").mkdir(parents=True)
    TAXONOMY.save(examples)
    items = [{"id": i, "image": f"{i}.jpg", "split": split, "role": "query"} for i, split, *_ in ROWS]
    pq.write_table(pa.Table.from_pylist(items), examples / "items" / "0.parquet")

    build_all(tmp_path / "embeddings.parquet", examples, tmp_path / "out", ["test"], scann_above=20_000, recall=0.98)

    found = Items(tmp_path / "out" / "items.parquet", TAXONOMY)
    assert found.ids.tolist() == [b"a", b"b"]  # of the split asked for, by id
    assert found.classes("fit").tolist() == [b"wide", b"slim|wide"]
    assert found.showing("split")[b"test"].tolist() == [0, 1]
    assert open_index(tmp_path / "out" / "index" / "fit").take(np.array([0, 1])).tolist() == [[6, 8], [0, 4]]
    # Classes also of c, which cannot be found: neck v is the mean of a and c, (3, 4) and (1, 0).
    means = read_class_vectors(tmp_path / "out" / "index" / "neck", 3, 2)
    np.testing.assert_array_equal(means, np.float32([[2, 2], [0, 2], [np.nan, np.nan]]))
