"""The Beam half of embedding: Examples to rows of the Embeddings contract, each photo passed through the model once.

A chunk of photos becomes one Parquet file, written aside and renamed. A run that finds the file in its folder leaves it,
so that what a killed run has finished is not done again; the rows of a file follow from its chunk alone.
"""

import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from components.embedder.chunks import PHOTOS, Chunk, chunks, examples_files, records

T = TypeVar("T")


def schema(length: int) -> pa.Schema:
    """The Embeddings contract for vectors of `length` numbers."""
    text = [(name, pa.string()) for name in ("id", "split", "role", "attribute")]
    return pa.schema([*text, ("labels", pa.list_(pa.int32())), ("vector", pa.list_(pa.float32(), length))])


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items; the next is made in a thread while the caller works on this one: decoding beside the model."""
    done = object()
    with ThreadPoolExecutor(1) as worker:
        upcoming = worker.submit(next, items, done)
        while (item := upcoming.result()) is not done:
            upcoming = worker.submit(next, items, done)
            yield item  # type: ignore[misc]  # no longer `done`


class EmbedChunk(beam.DoFn):
    """A chunk of Examples to a Parquet file, a row an image and attribute: image by image, attributes in order.

    Args:
        model: path of the .keras file. output: the folder of the Parquet files.
    """

    def __init__(self, model: str, output: str) -> None:
        self.model, self.output = model, output

    def setup(self) -> None:
        """Loads and compiles the model once a worker."""
        import tensorflow as tf

        from components.embedder.forward import BATCH, Forward
        from models import systems
        from models.features import decode_photos, feature_spec

        system = systems.load(self.model)
        names, size, spec = system.taxonomy.names, system.photo_size, feature_spec(system.taxonomy)

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
        def prepare(serialised: tf.Tensor) -> tuple[dict[str, Any], tf.Tensor]:
            parsed = tf.io.parse_example(serialised, spec)
            return parsed, decode_photos(parsed.pop("image/encoded"), size)

        self.names, self.batch, self.prepare, self.forward = names, BATCH, prepare, Forward(system)

    def process(self, chunk: Chunk) -> Iterator[str]:
        """Yields the path of the chunk's file."""
        path = f"{self.output}/{chunk.name}"
        if not _finished(path, chunk.photos * len(self.names)):
            prepared = ahead(map(self.prepare, records(chunk, self.batch)))
            tables = [
                self._table(chunk.file.split, parsed, self.forward.vectors(images.numpy())) for parsed, images in prepared
            ]
            _write(pa.concat_tables(tables), path)
        yield path

    def _table(self, split: str, parsed: dict[str, Any], vectors: np.ndarray) -> pa.Table:
        """The rows of a batch. `vectors`: float32 (B, N, L)."""
        names = self.names
        count, _, length = vectors.shape
        ids, roles = ([text.decode() for text in parsed[key].numpy()] for key in ("image/id", "role"))
        cells = [parsed[f"label/{name}"].to_list() for name in names]
        flat = pa.array(np.ascontiguousarray(vectors, np.float32).ravel())
        return pa.table(
            {
                "id": [one for one in ids for _ in names],
                "split": [split] * (count * len(names)),
                "role": [one for one in roles for _ in names],
                "attribute": list(names) * count,
                "labels": [cells[n][i] for i in range(count) for n in range(len(names))],
                "vector": pa.FixedSizeListArray.from_arrays(flat, length),
            },
            schema=schema(length),
        )


def embed(
    pipeline: beam.Pipeline, examples: str, splits: Sequence[str], model: str, output: str, photos: int = PHOTOS
) -> beam.PCollection:
    """Adds to `pipeline`: the Examples of `splits` under the folder `examples`, embedded into *.parquet under `output`.

    Args:
        output: a folder that all workers see; what an earlier run over the same Examples and model finished there stays.
        photos: at most so many in a file.
    Returns: the paths of the Parquet files.
    """
    return (
        pipeline
        | "Files" >> beam.Create(examples_files(examples, splits))
        | "Chunks" >> beam.FlatMap(chunks, photos)
        | "Spread" >> beam.Reshuffle()  # a file alone would be one worker's
        | "Embed" >> beam.ParDo(EmbedChunk(model, output))
    )


def _finished(path: str, rows: int) -> bool:
    """By its last bytes, where Parquet counts the rows: a machine that lost power may leave a file under its name half there."""
    if not FileSystems.exists(path):
        return False
    try:
        with FileSystems.open(path) as file:
            return bool(pq.read_metadata(file).num_rows == rows)
    except (OSError, pa.ArrowInvalid):
        return False


def _write(table: pa.Table, path: str) -> None:
    # Of its own name: a runner may give one chunk to two workers, and the later one must not write into the other's file.
    partial = f"{path}.{uuid.uuid4().hex}.partial"
    with FileSystems.create(partial) as file:
        # Vectors do not compress. Not the compliant naming: it would call a list's numbers otherwise than `schema` does.
        options = {"compression": "none", "use_dictionary": ["split", "role", "attribute"], "use_compliant_nested_type": False}
        pq.write_table(table, file, **options)
    FileSystems.rename([partial], [path])
