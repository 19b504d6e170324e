"""Evaluation from the Parquet contract, the verdict, and which model was blessed last."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from components.embedder.embed import schema
from components.errors import InputError
from components.retrieval_evaluator.baseline import BlessedBefore
from components.retrieval_evaluator.measure import evaluate, read_embeddings
from components.retrieval_evaluator.verdict import verdict
from tests.slow_metrics import rows_of, slow_map


def embeddings(path: Path, seed: int = 0, images: int = 60) -> Path:
    random = np.random.default_rng(seed)
    rows = []
    for i in range(images):
        for attribute, classes in (("neckline", 3), ("details", 5)):
            labels = sorted(random.choice(classes, random.integers(0, 3 if attribute == "details" else 2), replace=False))
            role = "query" if i % 5 == 0 else "candidate"
            row = {"id": f"i{i:03}", "split": "test", "role": role, "attribute": attribute}
            rows.append({**row, "labels": labels, "vector": random.normal(size=4).astype(np.float32)})
    pq.write_table(pa.Table.from_pylist(rows, schema=schema(4)), path)
    return path


def test_map_equals_an_independent_slow_one(tmp_path: Path) -> None:
    path = embeddings(tmp_path / "e.parquet")
    results, slow = evaluate(path, system="s", dataset="d"), slow_map(rows_of([path]))
    assert results["overall"]["map"] == pytest.approx(slow["overall"], abs=1e-6)
    assert {n: v["map"] for n, v in results["attributes"].items()} == pytest.approx(
        {n: v for n, v in slow.items() if n != "overall"}, abs=1e-6
    )
    counts = [(v["queries"], v["candidates"]) for v in results["attributes"].values()]
    assert (results["overall"]["queries"], results["overall"]["candidates"]) == tuple(map(sum, zip(*counts, strict=True)))


def test_pair_protocol_has_a_query_for_each_class(tmp_path: Path) -> None:
    path = embeddings(tmp_path / "e.parquet")
    queries = [len(r["labels"]) for r in pq.read_table(path).to_pylist() if r["role"] == "query"]
    assert evaluate(path, system="s", dataset="d", protocol="pair")["overall"]["queries"] == sum(queries)


def test_a_file_of_another_kind_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("no parquet")
    with pytest.raises(InputError, match="no Embeddings Parquet"):
        read_embeddings(tmp_path / "x.parquet")
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "y.parquet")
    with pytest.raises(InputError, match='no column "split"'):
        read_embeddings(tmp_path / "y.parquet")
    twice = pq.read_table(embeddings(tmp_path / "w.parquet"))
    pq.write_table(pa.concat_tables([twice, twice.filter(pc.field("id") == "i001")]), tmp_path / "w.parquet")
    with pytest.raises(InputError, match='details: "i001" stands twice'):
        evaluate(tmp_path / "w.parquet", system="s", dataset="d")
    with pytest.raises(InputError, match="split nowhere"):
        evaluate(embeddings(tmp_path / "z.parquet"), system="s", dataset="d", split="nowhere")


def result(overall: float) -> dict[str, dict[str, float]]:
    return {"overall": {"map": overall}}


@pytest.mark.parametrize(("found", "before", "blessed", "words"), [
    (0.5, None, True, "no model was blessed before"),
    (0.29, None, False, "below evaluation.min_map"),
    (0.5, 0.51, True, "stands beside"),
    (0.5, 0.53, False, "max_drop"),
])  # fmt: skip
def test_verdict(found: float, before: float | None, blessed: bool, words: str) -> None:
    got, reason = verdict(
        result(found), {"overall": {"before": before, "now": found}} if before else {}, min_map=0.3, max_drop=0.02
    )
    assert got == blessed
    assert words in reason


def blessing(model: int, blessed: int) -> SimpleNamespace:
    properties = {"current_model_id": model, "blessed": blessed}
    return SimpleNamespace(get_int_custom_property=properties.__getitem__)


def test_the_baseline_is_the_last_blessed_model_before_this_one() -> None:
    models = [SimpleNamespace(id=i) for i in (1, 4, 7, 9)]
    blessings = [blessing(1, 1), blessing(4, 1), blessing(7, 0), blessing(9, 1)]
    strategy = BlessedBefore()

    def resolve(current: int) -> list[int]:
        found = strategy.resolve_artifacts(
            None, {"model": list(models), "model_blessing": blessings, "current": [SimpleNamespace(id=current)]}
        )
        return [model.id for model in found["model"]]

    assert resolve(9) == [4]  # 7 was not blessed, 9 is this one
    assert resolve(4) == [1]
    assert resolve(1) == []


def test_results_hold_every_key_of_the_contract(tmp_path: Path) -> None:
    results = json.loads(json.dumps(evaluate(embeddings(tmp_path / "e.parquet"), system="s", dataset="d")))
    assert set(results) == {"format", "dataset", "protocol", "system", "split", "attributes", "overall"}
    keys = {"map", "map_at_100", "recall_at_100", "random_map", "queries", "candidates"}
    keys |= {"map_at_100_of_relevant", "map_interval", "random_map_at_100", "random_recall_at_100"}  # beside the contract's
    assert set(results["overall"]) == keys
    assert all(set(values) == keys for values in results["attributes"].values())
