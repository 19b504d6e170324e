"""Splits and roles: drawn from stable hashes, kept where given, never two for one group."""

import numpy as np
import pytest

from components.catalogue_gen.rows import SPLITS, Record
from components.catalogue_gen.splits import MEMBER, NEAR_CLASH, assign, group_key, role, split_code


def members(*rows: tuple[str, str]) -> np.ndarray:
    """Rows of (group, given split), none of them near-duplicates."""
    records = [Record(i + 2, "", f"id{i}", group, split, "", {}) for i, (group, split) in enumerate(rows)]
    found = [
        (group_key(record), group_key(record), i, record.row, split_code(record.split)) for i, record in enumerate(records)
    ]
    return np.array(found, MEMBER)


def splits(rows: np.ndarray, reject_near: bool = False) -> list[str]:
    """Per row, where it goes, or "rejected"."""
    return ["rejected" if clash else SPLITS[split - 1] for _, split, clash, _ in sorted(assign(rows, reject_near))]


def test_splits_are_drawn_by_group_and_do_not_change() -> None:
    rows = members(*((f"g{i % 2000}", "") for i in range(4000)))
    drawn = splits(rows)
    assert drawn[:2000] == drawn[2000:]
    shares = {split: drawn.count(split) / 4000 for split in SPLITS}
    assert shares == pytest.approx({"train": 0.65, "valid": 0.10, "test": 0.25}, abs=0.03)
    assert splits(rows[::-1]) == drawn
    assert splits(members(("g3", ""))) == [drawn[3]]  # whoever else is there


def test_roles_are_drawn_by_id_and_a_given_one_stays() -> None:
    drawn = [role(Record(0, "", f"id{i}", "", "", "", {}), "test") for i in range(4000)]
    assert drawn.count("query") / 4000 == pytest.approx(0.2, abs=0.03)
    assert set(drawn) == {"query", "candidate"}
    assert role(Record(0, "", "a", "", "", "query", {}), "valid") == "query"
    assert role(Record(0, "", "a", "", "", "query", {}), "train") == ""


def test_a_group_follows_its_first_row_with_a_split() -> None:
    assert splits(members(("g", ""), ("g", "test"), ("g", "train"), ("g", ""))) == ["test", "test", "rejected", "test"]


def test_near_duplicates_follow_what_is_given_or_their_first() -> None:
    rows = members(("a", ""), ("b", ""), ("c", "valid"), ("d", ""))
    rows["component"][[0, 1, 2]] = rows["component"][0]
    assert splits(rows)[:3] == ["valid"] * 3
    apart = [i for i in range(50) if splits(members((f"n{i}", ""))) != splits(members(("a", "")))]
    far = members(("a", ""), (f"n{apart[0]}", ""))
    far["component"] = far["component"][0]
    assert splits(far) == splits(members(("a", ""))) * 2


def test_given_splits_of_near_duplicates_stay_unless_asked_for() -> None:
    rows = members(("a", "train"), ("b", "test"), ("c", "train"), ("b", ""))
    rows["component"] = rows["component"][0]
    assert splits(rows) == ["train", "test", "train", "test"]
    assert splits(rows, reject_near=True) == ["train", "rejected", "train", "rejected"]
    assert sorted(assign(rows, True))[1][2:] == (NEAR_CLASH, 2)  # because of row 2
