"""What the report says of neighbours, held against a slow recomputation from the Parquet; confusions by hand."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.report import ranking
from pipeline.report.comparison import compare
from pipeline.report.confusions import confusions
from pipeline.report.galleries import SHOWN, drawn, gallery, hardest, queries_of_a_kind
from pipeline.report.ranking import NEAREST, Ranked, rank
from tests.pipeline.slow_answers import CLASSES, embeddings, slow_answer
from tests.slow_metrics import rows_of

NAMES = [f"class {i}" for i in range(5)]


@pytest.mark.parametrize("protocol", ["attribute", "pair"])
def test_neighbours_marks_and_precision_equal_a_slow_recomputation(tmp_path: Path, protocol: str) -> None:
    rows = rows_of(sorted(embeddings(tmp_path / "e").iterdir()))
    by_key = {(r["attribute"], r["id"]): r for r in rows}
    found = rank(tmp_path / "e", "test", protocol)
    assert set(found) == set(CLASSES)
    for attribute, ranked in found.items():
        own = [r for r in rows if r["attribute"] == attribute and r["split"] == "test" and r["role"] == "query" and r["labels"]]
        each = [(r["id"], tuple(r["labels"])) for r in own]
        expected = each if protocol == "attribute" else [(photo, (label,)) for photo, labels in each for label in labels]
        assert sorted(ranked.queries) == sorted(expected)
        for place, (photo, labels) in enumerate(ranked.queries):
            ids, right, precision = slow_answer(rows, by_key[attribute, photo], set(labels))
            assert [ranked.candidates[i][0] for i in ranked.nearest[place]] == ids[:NEAREST]
            assert ranked.right(place) == right[:NEAREST]
            assert ranked.average_precision[place] == pytest.approx(precision)
            assert ranked.relevant[place] == sum(right)


def test_a_gallery_shows_the_ranking_of_each_system(tmp_path: Path) -> None:
    systems = {name: rank(embeddings(tmp_path / name, seed))["details"] for seed, name in enumerate(("ours", "theirs"))}
    ours = systems["ours"]
    common = next(i for i in drawn(ours, 9) if ours.queries[i] in systems["theirs"].queries)
    shown = gallery(common, systems, NAMES)
    rows = rows_of(sorted((tmp_path / "theirs").iterdir()))
    query = next(r for r in rows if (r["attribute"], r["id"]) == ("details", shown.query.photo))
    ids, right, precision = slow_answer(rows, query, set(query["labels"]))
    assert [row.system for row in shown.rows] == ["ours", "theirs"]
    assert [card.photo for card in shown.rows[1].neighbours] == ids[:SHOWN]
    assert [card.right for card in shown.rows[1].neighbours] == right[:SHOWN]
    assert shown.rows[1].average_precision == pytest.approx(precision)
    assert shown.query.classes == ", ".join(f"class {label}" for label in query["labels"])


def test_where_scores_would_fill_the_memory_some_queries_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every = rank(embeddings(tmp_path / "e"))["neckline"]
    monkeypatch.setattr(ranking, "_SCORES", 3 * 2 * max(len(r.candidates) for r in rank(tmp_path / "e").values()))
    some = rank(tmp_path / "e")["neckline"]
    assert some.queries == every.queries[:3]
    assert some.of_queries == len(every.queries)
    assert some.average_precision.tolist() == every.average_precision[:3].tolist()


# Four candidates of class 0, two of 1, one of both; the photo is named by its classes.
CANDIDATES = (("a0", (0,)), ("b0", (0,)), ("c1", (1,)), ("d1", (1,)), ("e01", (0, 1)), ("f2", (2,)))


def ranked(queries: list[tuple[str, tuple[int, ...]]], nearest: list[list[int]], relevant: list[int]) -> Ranked:
    precision = np.linspace(0.9, 0.1, len(queries))
    return Ranked(
        tuple(queries), CANDIDATES, np.array(nearest), np.ones((len(queries), 4)), precision, np.array(relevant), len(queries)
    )


def test_confusions_by_hand() -> None:
    one = ranked(
        [("q", (0,)), ("r", (0,)), ("s", (2,)), ("t", (3,))],
        [
            [0, 2, 4, 5],  # three relevant, so three are judged: right, 1 intrudes, right
            [5, 4, 1, 3],  # three judged: 2 intrudes, right, right
            [4, 5, 0, 0],  # one relevant: 0 and 1 intrude in equal parts
            [0, 1, 2, 3],  # none relevant: nothing to judge
        ],
        [3, 3, 1, 0],
    )
    found = confusions(one, NAMES[:4])
    assert found.share.tolist() == pytest.approx(
        np.array([[4 / 6, 1 / 6, 1 / 6, 0], [0, 0, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 0, 0]])
    )
    assert found.queries.tolist() == [2, 0, 1, 0]
    assert [(i.asked, i.shown, pytest.approx(i.share)) for i in found.strongest] == [
        ("class 2", "class 0", 0.5), ("class 2", "class 1", 0.5),
        ("class 0", "class 1", 1 / 6), ("class 0", "class 2", 1 / 6),
    ]  # fmt: skip


def test_a_perfect_ranking_has_no_intruder() -> None:
    found = confusions(ranked([("q", (0,)), ("r", (0, 1))], [[0, 1, 4, 5], [4, 0, 2, 3]], [3, 5]), NAMES[:3])
    assert found.share.diagonal().tolist() == [1, 1, 0]
    assert not found.strongest


def test_the_drawn_are_of_different_classes_and_the_hardest_have_something_to_find() -> None:
    queries = [("q", (0,)), ("r", (0,)), ("s", (1,)), ("t", (2,)), ("u", (2,))]
    one = ranked(queries, [[0, 1, 2, 3]] * 5, [3, 3, 3, 0, 2])  # precision falls from q to u
    assert drawn(one, 3) == [0, 2, 4]
    assert drawn(one, 9) == [0, 2, 4, 1]
    assert hardest(one, 2) == [4, 2]


@pytest.mark.parametrize(("attributes", "systems"), [(1, 1), (6, 1), (6, 2), (9, 2), (40, 1)])
def test_the_page_shows_about_as_many_photos_whatever_the_attributes(attributes: int, systems: int) -> None:
    count = queries_of_a_kind(attributes, systems)
    photos = count * 2 * attributes * (1 + systems * SHOWN)
    assert 1 <= count <= 4
    assert photos <= 720


def test_systems_are_compared_on_the_queries_that_both_ranked() -> None:
    first = ranked([("q", (0,)), ("r", (0,)), ("s", (1,))], [[0, 1, 2, 3]] * 3, [3] * 3)  # AP 0.9, 0.5, 0.1
    second = ranked([("s", (1,)), ("q", (0,))], [[0, 1, 2, 3]] * 2, [3] * 2)  # AP 0.9, 0.1
    row, overall = compare({"x": first, "alone": first}, {"x": second})
    assert (row.attribute, row.queries, row.galleries_equal) == ("x", 2, True)
    assert (row.first, row.second) == pytest.approx((0.5, 0.5))
    assert (overall.attribute, overall.queries) == ("overall", 2)
    assert row.test.difference == pytest.approx(0)  # 0.8 better on q, 0.8 worse on s
    assert (row.test.low, row.test.high) == pytest.approx((-0.8, 0.8))
    assert not compare({"x": first}, {"y": second})
