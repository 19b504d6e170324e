"""The Beam half of embedding: Examples to rows of the Embeddings contract, each photo passed through the model once."""

from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

_BATCH = 64


def schema(length: int) -> pa.Schema:
    """The Embeddings contract for vectors of `length` numbers."""
    text = [(name, pa.string()) for name in ("id", "split", "role", "attribute")]
    return pa.schema([*text, ("labels", pa.list_(pa.int32())), ("vector", pa.list_(pa.float32(), length))])


class EmbedBatch(beam.DoFn):
    """Serialised Examples of one split to an Arrow table, a row an image and attribute.

    Args:
        model: path of the .keras file. split: its name, for the column.
    """

    def __init__(self, model: str, split: str) -> None:
        self.model, self.split = model, split

    def setup(self) -> None:
        """Loads the model once a worker."""
        from models import systems

        self.system = systems.load(self.model)

    def process(self, batch: Sequence[bytes]) -> Iterator[pa.Table]:
        """Yields one table."""
        import tensorflow as tf

        from models.features import decode_photos, feature_spec

        system = self.system
        parsed = tf.io.parse_example(list(batch), feature_spec(system.taxonomy))
        photos = decode_photos(parsed["image/encoded"], system.config.image_size)
        vectors = np.asarray(system.vectors(system(photos, training=False)))
        yield self._table(parsed, vectors)

    def _table(self, parsed: dict[str, Any], vectors: np.ndarray) -> pa.Table:
        """Rows image by image, attributes in order. `vectors`: float32 (B, N, L)."""
        names = self.system.taxonomy.names
        count, _, length = vectors.shape
        ids, roles = ([text.decode() for text in parsed[key].numpy()] for key in ("image/id", "role"))
        cells = [parsed[f"label/{name}"].to_list() for name in names]
        flat = pa.array(np.ascontiguousarray(vectors, np.float32).ravel())
        return pa.table(
            {
                "id": [one for one in ids for _ in names],
                "split": [self.split] * (count * len(names)),
                "role": [one for one in roles for _ in names],
                "attribute": list(names) * count,
                "labels": [cells[n][i] for i in range(count) for n in range(len(names))],
                "vector": pa.FixedSizeListArray.from_arrays(flat, length),
            },
            schema=schema(length),
        )


def embed(pipeline: beam.Pipeline, examples: str, splits: Sequence[str], model: str, length: int, output: str) -> None:
    """Adds to `pipeline`: the Examples of `splits` under the folder `examples`, embedded, as Parquet `output`-*.parquet."""
    tables = []
    for split in splits:
        records = pipeline | f"Read-{split}" >> beam.io.ReadFromTFRecord(f"{examples}/Split-{split}/*")
        batches = records | f"Batch-{split}" >> beam.BatchElements(min_batch_size=_BATCH, max_batch_size=_BATCH)
        tables.append(batches | f"Embed-{split}" >> beam.ParDo(EmbedBatch(model, split)))
    flat = tables | beam.Flatten()
    _ = flat | beam.io.WriteToParquetBatched(output, schema(length), file_name_suffix=".parquet")
