"""Embeddings of another maker that cannot be measured: one line, and never a number."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.errors import InputError
from components.retrieval_evaluator.measure import measure_all
from components.retrieval_evaluator.slices import slices
from models.taxonomy import Taxonomy

VECTORS: list[list[float] | None] = [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]


def _written(folder: Path, vectors: list[list[float] | None] = VECTORS, labels: list[list[int] | None] | None = None) -> Path:
    columns = {"id": ["q", "a", "b"], "split": ["test"] * 3, "role": ["query", "candidate", "candidate"]}
    cells = {
        "labels": pa.array(labels or [[0], [0], [1]], pa.list_(pa.int32())),
        "vector": pa.array(vectors, pa.list_(pa.float32())),
    }
    pq.write_table(pa.table({**columns, "attribute": ["colour"] * 3, **cells}), folder / "rows.parquet")
    return folder / "rows.parquet"


@pytest.mark.parametrize("vectors", [
    [[1.0, 0.0, 0.0], [0.6], [0.0, 1.0]],  # six numbers of three rows: by count alone these are three pairs
    [[1.0, 0.0], None, [0.0, 1.0]],
    [[], [], []],
    [[1.0, 0.0], [float("nan"), 0.8], [0.0, 1.0]],
])  # fmt: skip
def test_vectors_that_cannot_be_compared_are_refused(tmp_path: Path, vectors: list[list[float] | None]) -> None:
    with pytest.raises(InputError, match='the vector of "'):
        measure_all(_written(tmp_path, vectors))


@pytest.mark.parametrize("label", [[-1], [0, None]])
def test_a_label_that_is_no_place_is_refused(tmp_path: Path, label: list[int]) -> None:
    with pytest.raises(InputError, match='of "a" are not all places'):
        measure_all(_written(tmp_path, labels=[[0], label, [1]]))


@pytest.mark.parametrize("text", ['{"name": "hue", "classes": ["red"]}', '{"name": "colour", "classes": ["red"]}'])
def test_a_taxonomy_of_other_data_is_refused(tmp_path: Path, text: str) -> None:
    path = _written(tmp_path, labels=[[1], [0], [1]])
    other = Taxonomy.from_json('{"format": 1, "attributes": [' + text + "]}")
    with pytest.raises(InputError, match="no class 1 of colour"):
        slices(measure_all(path), path, "test", ["class"], other)


@pytest.mark.parametrize(("column", "values", "line"), [
    ("id", [1, 2, 3], '"id" is int64; write it as string'),
    ("id", ["q", None, "b"], '"id" is empty in 1 rows'),
    ("attribute", ["colour", None, "colour"], '"attribute" is empty in 1 rows'),
    ("labels", [["red"], ["red"], ["blue"]], '"labels" is list<.*string>; write it as a list of int32'),
    ("vector", [1.0, 0.6, 0.0], '"vector" is double; write it as a list of float32'),
])  # fmt: skip
def test_a_column_of_another_type_is_refused(tmp_path: Path, column: str, values: list[object], line: str) -> None:
    path = _written(tmp_path)
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.schema.get_field_index(column), column, pa.array(values)), path)
    with pytest.raises(InputError, match=line):
        measure_all(path)


def test_a_damaged_page_is_one_line(tmp_path: Path) -> None:
    path = _written(tmp_path)
    path.write_bytes(path.read_bytes()[:4] + bytes(40) + path.read_bytes()[44:])
    with pytest.raises(InputError, match="cannot be read"):
        measure_all(path)
