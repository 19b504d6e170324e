"""One index an attribute and the items behind their rows, from Embeddings and the items that ingestion kept."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from components.retrieval_evaluator.measure import attribute_rows, read_embeddings, vectors
from models.taxonomy import Taxonomy
from serving.class_vectors import class_vectors, write_class_vectors
from serving.exact import IndexInfo
from serving.index import build

INDEX = "index"
ITEMS = "items.parquet"


def build_all(
    embeddings: Path, examples: Path, output: Path, splits: Sequence[str], scann_above: int, recall: float
) -> dict[str, IndexInfo]:
    """Writes `output`/index/<attribute>/ and `output`/items.parquet; row i of each is the same item, items by id.

    Args:
        examples: the Examples artifact, for taxonomy.json and items/. splits: whose photos can be found.
    """
    taxonomy = Taxonomy.load(examples)
    table = read_embeddings(embeddings)
    rows = attribute_rows(table.filter(pc.is_in(table["split"], pa.array(list(splits)))))
    infos = {
        name: build(vectors(rows[name]), output / INDEX / name, scann_above=scann_above, recall=recall)
        for name in taxonomy.names
    }
    # Of all splits, also of those that cannot be found: a gallery without labels knows its classes from the others.
    labelled = attribute_rows(table)
    for one in taxonomy.attributes:
        of_one = labelled[one.name]
        means = class_vectors(vectors(of_one), of_one["labels"].to_pylist(), len(one.classes))
        write_class_vectors(means, output / INDEX / one.name)
    items = ds.dataset(examples / "items", format="parquet").to_table()  # what else it says of them can be searched by
    first = rows[taxonomy.names[0]].select(["id"])
    items = first.join(items, keys="id", join_type="inner").sort_by("id")
    for name in taxonomy.names:
        items = items.append_column(f"label/{name}", rows[name]["labels"])
    pq.write_table(items, output / ITEMS)
    return infos
