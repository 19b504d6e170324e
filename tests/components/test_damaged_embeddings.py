"""Embeddings of another maker that cannot be measured: one line, and never a number."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.errors import InputError
from components.retrieval_evaluator.measure import measure_all
from components.retrieval_evaluator.slices import slices
from models.taxonomy import Taxonomy

VECTORS = [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]


def _written(folder: Path, vectors: list[list[float] | None] = VECTORS, labels: list[list[int] | None] | None = None) -> Path:
    columns = {"id": ["q", "a", "b"], "split": ["test"] * 3, "role": ["query", "candidate", "candidate"]}
    cells = {"labels": pa.array(labels or [[0], [0], [1]], pa.list_(pa.int32())), "vector": vectors}
    pq.write_table(pa.table({**columns, "attribute": ["colour"] * 3, **cells}), folder / "rows.parquet")
    return folder / "rows.parquet"


@pytest.mark.parametrize("vectors", [
    [[1.0, 0.0, 0.0], [0.6], [0.0, 1.0]],  # six numbers of three rows: by count alone these are three pairs
    [[1.0, 0.0], None, [0.0, 1.0]],
    [[], [], []],
])  # fmt: skip
def test_vectors_of_unequal_length_are_refused(tmp_path: Path, vectors: list[list[float] | None]) -> None:
    with pytest.raises(InputError, match='the vector of "'):
        measure_all(_written(tmp_path, vectors))


@pytest.mark.parametrize("label", [[-1], [0, None]])
def test_a_label_that_is_no_place_is_refused(tmp_path: Path, label: list[int]) -> None:
    with pytest.raises(InputError, match='of "a" are not all places'):
        measure_all(_written(tmp_path, labels=[[0], label, [1]]))


@pytest.mark.parametrize("text", ['{"name": "hue", "classes": ["red"]}', '{"name": "colour", "classes": []}'])
def test_a_taxonomy_of_other_data_is_refused(tmp_path: Path, text: str) -> None:
    path = _written(tmp_path, labels=[[1], [0], [1]])
    other = Taxonomy.from_json('{"format": 1, "attributes": [' + text.replace("[]", '["red"]') + "]}")
    with pytest.raises(InputError, match="no class 1 of colour"):
        slices(measure_all(path), path, "test", ["class"], other)
