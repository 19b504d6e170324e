"""Two passes over shards of the gallery give the numbers of one process, in every cut, order and protocol."""

import dataclasses
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.embedder.embed import schema
from components.errors import InputError
from components.retrieval_evaluator import beam_measure
from components.retrieval_evaluator.beam_measure import measure_in_beam, read_measured
from components.retrieval_evaluator.measure import measure_all, results
from tests.components.direct import ONE, TWO
from tests.slow_metrics import slow_map

NAMES = {"system": "s", "dataset": "d", "split": "test", "protocol": "attribute"}


def drawn(images: int = 80, ties: bool = False) -> list[dict[str, object]]:
    """Two attributes, one multi-label; unlabelled cells, and a class that only a query has."""
    random = np.random.default_rng(3)
    rows: list[dict[str, object]] = []
    for i in range(images):
        for attribute, classes in (("neckline", 3), ("details", 5)):
            labels = sorted(
                random.choice(classes, random.integers(0, 3 if attribute == "details" else 2), replace=False).tolist()
            )
            role = "query" if i % 4 == 0 else "candidate"
            vector = random.integers(0, 2, 3) if ties else random.normal(size=3)
            row = {"id": f"i{i:03}", "split": "test" if i % 9 else "valid", "role": role, "attribute": attribute}
            rows.append({**row, "labels": [classes] if i == 4 else labels, "vector": vector.astype(np.float32)})
    return rows


def written(folder: Path, rows: list[dict[str, object]], shards: int) -> Path:
    folder.mkdir()
    for i in range(shards):
        pq.write_table(pa.Table.from_pylist(rows[i::shards], schema=schema(3)), folder / f"{i}.parquet")
    return folder


def in_beam(folder: Path, protocol: str = "attribute", args: list[str] = ONE) -> dict[str, object]:
    with beam.Pipeline(argv=args) as pipeline:
        measure_in_beam(pipeline, f"{folder}/*.parquet", "test", protocol, f"{folder}-out/queries")
    return {name: dataclasses.asdict(one) for name, one in read_measured(Path(f"{folder}-out")).items()}


@pytest.mark.parametrize(("shards", "ties", "protocol"), [
    (1, False, "attribute"), (2, True, "attribute"), (7, True, "pair"), (7, False, "attribute"),
])  # fmt: skip
def test_equal_to_one_process(tmp_path: Path, shards: int, ties: bool, protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beam_measure, "_QUERIES", 5)
    monkeypatch.setattr(beam_measure, "_CANDIDATES", 6)
    rows = drawn(ties=ties)
    np.random.default_rng(shards).shuffle(rows)  # type: ignore[arg-type]
    folder = written(tmp_path / "embeddings", rows, shards)
    found = in_beam(folder, protocol)
    expected = {name: dataclasses.asdict(one) for name, one in measure_all(folder, "test", protocol).items()}
    assert found.keys() == expected.keys() == {"details", "neckline"}
    for name, one in expected.items():
        assert found[name]["images"] == one["images"]
        assert found[name]["candidates"] == one["candidates"]
        for key, values in one["metrics"].items():
            np.testing.assert_array_equal(found[name]["metrics"][key], values, err_msg=f"{name} {key}")


def test_results_equal_the_slow_twin(tmp_path: Path) -> None:
    rows = drawn()
    folder = written(tmp_path / "embeddings", rows, 3)
    in_beam(folder)
    found, slow = results(read_measured(Path(f"{folder}-out")), **NAMES), slow_map(rows)
    assert found == results(measure_all(folder), **NAMES)
    assert found["overall"]["map"] == pytest.approx(slow["overall"], abs=1e-9)


@pytest.mark.slow
def test_two_processes_give_the_same(tmp_path: Path) -> None:
    folder = written(tmp_path / "embeddings", drawn(), 4)
    found = in_beam(folder, args=TWO)
    for name, one in measure_all(folder).items():
        np.testing.assert_array_equal(found[name]["metrics"]["average_precision"], one.metrics.average_precision)


@pytest.mark.parametrize("role", ["query", "candidate"])
def test_an_image_in_two_shards_is_refused(tmp_path: Path, role: str) -> None:
    rows = drawn()
    again = next(row for row in rows if row["role"] == "candidate" and row["split"] == "test" and row["labels"])
    folder = written(tmp_path / "embeddings", [*rows, {**again, "role": role}], 2)  # the two lie in different files
    with pytest.raises(Exception, match=f'"{again["id"]}" stands twice'):
        in_beam(folder)
    with pytest.raises(InputError, match=f'"{again["id"]}" stands twice'):
        measure_all(folder)


def test_no_query_is_one_line(tmp_path: Path) -> None:
    folder = written(tmp_path / "embeddings", [row for row in drawn() if row["role"] == "candidate"], 1)
    with pytest.raises(InputError, match="no attribute has both"):
        in_beam(folder)
