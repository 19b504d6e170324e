"""Intervals and the paired test: by hand, by coverage, and refused where the queries differ."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.embedder.embed import schema
from components.errors import InputError
from components.retrieval_evaluator.measure import evaluate, measure_all
from components.retrieval_evaluator.paired import compare_measured
from models.intervals import Comparison, compare, interval
from tests.components.test_beam_measure import drawn


def names(count: int) -> list[str]:
    return [f"{i}" for i in range(count)]


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(0).random(2000)
    half = 1.96 * values.std() / np.sqrt(2000)
    assert interval(values, names(2000)) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


def test_queries_of_one_image_are_no_independent_evidence() -> None:
    values = np.random.default_rng(0).random(100)
    once, thrice = interval(values, names(100)), interval(np.tile(values, 3), names(100) * 3)
    assert thrice == pytest.approx(once)  # the same images drawn: three times the same query tells nothing new
    alone = interval(np.tile(values, 3), names(300))
    assert alone[1] - alone[0] < 0.7 * (once[1] - once[0])


def test_a_difference_in_every_query_is_found_and_chance_is_not() -> None:
    random = np.random.default_rng(1)
    first = random.random(300)
    better = compare(first, first + 0.05 + 0.02 * random.normal(size=300), names(300))
    assert better.low > 0.04
    assert better.p == pytest.approx(1 / 1001)
    chance = compare(first, first + 0.02 * random.permutation(np.repeat([-1.0, 1.0], 150)), names(300))
    assert chance.low < 0 < chance.high
    assert chance.p == 1


def test_p_counts_sign_flips_by_hand() -> None:
    # Three images, each +1: of the 8 sign-flips 2 have a sum as far from 0.
    assert compare(np.zeros(3), np.ones(3), names(3)).p == 0.25


def written(path: Path, keep: int = 80, sign: float = 1.0) -> Path:
    found = [{**row, "vector": sign * np.asarray(row["vector"])} for row in drawn()[: 2 * keep]]
    pq.write_table(pa.Table.from_pylist(found, schema=schema(3)), path)
    return path


def compare_embeddings(first: Path, second: Path) -> dict[str, Comparison]:
    return compare_measured(measure_all(first), measure_all(second), f"{first} and {second}")


def test_two_embeddings(tmp_path: Path) -> None:
    one, other = written(tmp_path / "one.parquet"), written(tmp_path / "other.parquet", sign=-1.0)
    assert all((same.difference, same.low, same.high, same.p) == (0, 0, 0, 1) for same in compare_embeddings(one, one).values())
    third = tmp_path / "third.parquet"
    table = pq.read_table(one).to_pylist()
    labels = {row["id"]: row["labels"] for row in table if row["attribute"] == "neckline"}
    for row in table:  # a system that knows the class: one-hot vectors
        row["vector"] = np.eye(3, dtype=np.float32)[min((labels[row["id"]] or [0])[0], 2)]
    pq.write_table(pa.Table.from_pylist(table, schema=schema(3)), third)
    found = compare_embeddings(other, third)
    before, after = (evaluate(path, system="s", dataset="d")["overall"]["map"] for path in (other, third))
    assert found["overall"].difference == pytest.approx(after - before)
    assert found["neckline"].low > 0
    assert list(found) == ["details", "neckline", "overall"]


def test_other_queries_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="other queries in one"):
        compare_embeddings(written(tmp_path / "one.parquet"), written(tmp_path / "two.parquet", keep=60))


def test_other_candidates_or_labels_are_refused(tmp_path: Path) -> None:
    one = written(tmp_path / "one.parquet")
    for name, change in (("ids", {"id": "elsewhere"}), ("labels", {"labels": [2, 3]})):
        rows = pq.read_table(one).to_pylist()
        place = next(
            i
            for i, r in enumerate(rows)
            if r["role"] == "candidate" and r["split"] == "test" and r["attribute"] == "details" and r["labels"]
        )
        rows[place] |= change
        pq.write_table(pa.Table.from_pylist(rows, schema=schema(3)), tmp_path / name)
        with pytest.raises(InputError, match="details ranks other candidates, or with other labels"):
            compare_embeddings(one, tmp_path / name)
