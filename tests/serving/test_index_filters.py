"""Search among some items only: filters on attributes and columns, however few they leave."""

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving import allowed as allowed_module
from serving import index, release, retrieval
from serving.allowed import search_allowed
from serving.call import Code, RequestError
from serving.client import Client
from serving.exact import Found, Index, scored
from tests.serving.drawn import TAXONOMY, free_port
from tests.serving.galleries import Shown, drawn_items, pushed, ranked

ALL = drawn_items(80)
SHOWN: dict[str, Callable[[Shown], bool]] = {
    "neckline=round": lambda one: one.labels["neckline"] == [0],
    "neckline=square": lambda one: one.labels["neckline"] == [2],
    "pocket=flap": lambda one: 1 in one.labels["pocket"],
    "split=train": lambda one: one.split == "train",
    "split=no such": lambda _: False,
    "id=item-5": lambda one: one.id == "item-5",
}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> retrieval.Retrieval:
    folder = pushed(tmp_path_factory.mktemp("filters") / "releases", ALL)
    return retrieval.open_retrieval(folder, release.verify(folder), TAXONOMY)


def where(*conditions: str) -> np.ndarray:
    return np.array([one.encode() for one in conditions], object)


def by_id(asked: retrieval.Retrieval, items: list[str], k: int, *conditions: str) -> list[list[str]]:
    inputs = {"id": where(*items), "attribute": where(*["neckline"] * len(items)), "k": np.array(k, np.int32)}
    found = asked.answer(retrieval.BY_ID, {**inputs, "where": where(*conditions)}, ("id",), lambda _: np.empty(0))
    return [[one.decode() for one in row] for row in found["id"]]


def test_the_manifest_tells_of_the_indexes(tmp_path: Path) -> None:
    told = release.read_manifest(pushed(tmp_path / "releases", drawn_items(150), scann_above=100)).indexes
    assert set(told) == set(TAXONOMY.names)
    assert told["pocket"]["kind"] == "scann"
    assert told["pocket"]["recall"] == index.read_info(tmp_path / "releases/1/assets.extra/index/pocket").recall


@pytest.mark.parametrize("k", [3, 100])
@pytest.mark.parametrize(
    "conditions",
    [
        (),
        ("neckline=round",),
        ("pocket=flap",),
        ("split=train", "pocket=flap"),  # of two columns both
        ("neckline=round", "neckline=square"),  # of one column either
        ("neckline=square", "split=train", "neckline=round", "pocket=flap"),
        ("split=no such",),
        ("id=item-5",),
    ],
)
def test_only_what_shows_it(asked: retrieval.Retrieval, conditions: tuple[str, ...], k: int) -> None:
    columns = {one.split("=")[0] for one in conditions}
    fits = [
        one for one in ALL if all(any(SHOWN[c](one) for c in conditions if c.startswith(f"{column}=")) for column in columns)
    ]
    query = ALL[11]
    expected = [name for name, _ in ranked([one for one in fits if one is not query], query.vectors["neckline"], "neckline", k)]
    assert by_id(asked, [query.id], k, *conditions) == [expected]


def test_each_of_a_batch_leaves_itself_out(asked: retrieval.Retrieval) -> None:
    # Of both queries only the first is a train item: every row is as long as the shorter of the two can be.
    rows = by_id(asked, ["item-0", "item-1"], 100, "split=train")
    train = [one for one in ALL if one.split == "train"]
    expected = [
        [name for name, _ in ranked(train, ALL[i].vectors["neckline"], "neckline", 100) if name != ALL[i].id] for i in (0, 1)
    ]
    assert rows == [expected[0], expected[1][: len(expected[0])]]


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        (where("colour=red"), '"colour=red" is no condition "column=value" on one of: neckline, pocket, id, image, split'),
        (where("neckline"), "is no condition"),
        (where("neckline=flap"), 'unknown class "flap" of neckline; there are: round, v_neck, square'),
        (np.array(b"neckline=round", object), r"must be string of shape \(C\)"),
        (where(*["neckline=round"] * 65), "at most 64"),
        (np.array([1], np.int32), "must be string"),
    ],
)
def test_what_cannot_be_asked_for(asked: retrieval.Retrieval, conditions: np.ndarray, words: str) -> None:
    inputs = {"id": where("item-0"), "attribute": where("pocket"), "k": np.array(3, np.int32), "where": conditions}
    with pytest.raises(RequestError, match=words) as caught:
        asked.answer(retrieval.BY_ID, inputs, (), lambda _: np.empty(0))
    assert caught.value.code is Code.INVALID_ARGUMENT


@pytest.fixture(scope="module")
def scann(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, np.ndarray]:
    """An index of 3,000 vectors in 40 clusters."""
    random = np.random.default_rng(0)
    vectors = random.normal(size=(40, 16))[random.integers(0, 40, 3000)] + 0.5 * random.normal(size=(3000, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    folder = tmp_path_factory.mktemp("filters") / "scann"
    assert index.build(vectors, folder, scann_above=100).kind == "scann"
    return index.open_index(folder), vectors


def against_all(vectors: np.ndarray, queries: np.ndarray, k: int, allowed: np.ndarray, found: Found) -> float:
    """The share of the true k that were found; checks that only allowed rows were, once each, with their scores."""
    scores = queries @ vectors.T
    rows, given = found
    assert allowed[rows].all()
    assert all(len(set(row)) == k for row in rows.tolist())
    np.testing.assert_allclose(given, np.take_along_axis(scores, rows, 1), rtol=1e-4, atol=1e-5)
    assert (np.diff(given) <= 0).all()
    best = np.argsort(-np.where(allowed, scores, -np.inf), axis=1, kind="stable")[:, :k]
    return float(np.mean([len(set(a) & set(b)) / k for a, b in zip(rows, best, strict=True)]))


def test_most_are_allowed(scann: tuple[Any, np.ndarray]) -> None:
    opened, vectors = scann
    allowed = np.random.default_rng(1).random(3000) < 0.7
    assert against_all(vectors, vectors[:50], 10, allowed, search_allowed(opened, vectors[:50], 10, allowed)) > 0.95


def test_few_are_allowed(scann: tuple[Any, np.ndarray]) -> None:
    opened, vectors = scann
    allowed = np.random.default_rng(1).random(3000) < 0.02
    assert against_all(vectors, vectors[:50], 30, allowed, search_allowed(opened, vectors[:50], 30, allowed)) == 1.0


def test_a_filter_against_the_query(scann: tuple[Any, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    # The half that is least like the query: no widening of the search would come upon it.
    opened, vectors = scann
    asked: list[int] = []

    def counted(one: Index, queries: np.ndarray, k: int, among: np.ndarray) -> Found:
        asked.append(len(queries))
        return scored(one, queries, k, among)

    monkeypatch.setattr(allowed_module, "scored", counted)
    scores = vectors @ vectors[0]
    allowed = scores < np.median(scores)
    queries = np.stack([vectors[0], vectors[scores.argmin()]])
    # Half of these neighbours are exact; of the twenty others ScaNN, which no two builds cut alike, may miss a few.
    assert against_all(vectors, queries, 20, allowed, search_allowed(opened, queries, 20, allowed)) >= 0.9
    assert asked == [1]  # the one that came out short, and not the other


def test_over_grpc_and_rest(tmp_path: Path, compose_into: Any, start: Callable[..., Any], drawn: Any) -> None:
    release.push(tmp_path, compose_into)
    server = start(tmp_path, "--rest_api_port", str(free_port()))
    url = server.said(r"REST: (\S+)$").group(1)
    first = drawn(1)
    ranks = first.ranked(first.vectors([3], "pocket")[0], "pocket", 100, but=3)
    expected = [one for one, _, _ in ranks if first.labels["neckline"][int(one.split("-")[1])] == [1]]
    inputs: dict[str, Any] = {"id": ["v1-3"], "attribute": ["pocket"], "where": ["neckline=v_neck"], "k": 100}
    with Client(server.said(r"^serving m3net version 1 on (\S+)$").group(1)) as client:
        arrays = {name: where(*inputs[name]) for name in ("id", "attribute", "where")}
        found = client.predict("search_by_id", {**arrays, "k": np.array(100, np.int32)})
    assert [one.decode() for one in found["id"][0]] == expected
    body = json.dumps({"signature_name": "search_by_id", "inputs": inputs}).encode()
    with urllib.request.urlopen(f"{url}/m3net:predict", body, timeout=20) as got:
        assert json.load(got)["outputs"]["id"] == [expected]
