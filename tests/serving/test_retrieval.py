"""`search_by_id` and `search_by_class` of a running server, against every item scored and sorted in the test."""

import asyncio
import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from serving import release
from serving.aio import AsyncClient
from serving.class_vectors import class_vectors, read_class_vectors, write_class_vectors
from serving.client import Client, ClientError
from tests.serving.drawn import ITEMS, TAXONOMY, free_port

BY_ID, BY_CLASS = "search_by_id", "search_by_class"


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Client]:
    with Client(address) as client:
        yield client


def strings(*values: str) -> np.ndarray:
    return np.array([value.encode() for value in values], object)


def triples(found: Any) -> list[tuple[str, str, float]]:
    return [(one.id, one.classes, pytest.approx(one.score, rel=1e-5)) for one in found]


@pytest.mark.parametrize("attribute", TAXONOMY.names)
def test_an_item_finds_the_others_nearest_to_it(client: Client, drawn: Any, attribute: str) -> None:
    first = drawn(1)
    for item in (0, 7, ITEMS - 1):
        vector = first.vectors([item], attribute)[0]
        expected = first.ranked(vector, attribute, 5, but=item)
        assert expected == triples(client.search_by_id(first.id(item), attribute, 5))


def test_all_others_and_no_more(client: Client, drawn: Any) -> None:
    found = client.search_by_id(drawn(1).id(3), "pocket", 1000)
    assert {one.id for one in found} == {drawn(1).id(i) for i in range(ITEMS)} - {drawn(1).id(3)}


@pytest.mark.parametrize("attribute", TAXONOMY.names)
def test_a_class_asks_what_its_items_ask_together(client: Client, drawn: Any, attribute: str) -> None:
    first = drawn(1)
    for place, name in enumerate(TAXONOMY[attribute].classes):
        members = [i for i in range(ITEMS) if place in first.labels[attribute][i]]
        together = np.sum([first.vectors([i], attribute)[0] for i in members], axis=0) / len(members)
        assert first.ranked(together, attribute, 6) == triples(client.search_by_class(name, attribute, 6))


def test_a_batch_with_attributes_mixed(client: Client, drawn: Any) -> None:
    first = drawn(1)
    items, attributes = [4, 5, 6], ["pocket", "neckline", "pocket"]
    inputs = {"id": strings(*map(first.id, items)), "attribute": strings(*attributes), "k": np.array(4, np.int64)}
    got = client.predict(BY_ID, inputs)
    assert set(got) == {"id", "score"}
    for row, (item, attribute) in enumerate(zip(items, attributes, strict=True)):
        expected = first.ranked(first.vectors([item], attribute)[0], attribute, 4, but=item)
        assert [one.decode() for one in got["id"][row]] == [one for one, _, _ in expected]
    empty = {"id": strings(), "attribute": strings(), "k": np.array(4, np.int32)}
    assert client.predict(BY_ID, empty, ["image"])["image"].shape == (0, 4)


@pytest.mark.parametrize(
    ("signature", "changed", "words"),
    [
        (BY_ID, {"id": strings("v2-0")}, 'unknown id "v2-0"'),
        (BY_ID, {"attribute": strings("colour")}, 'unknown attribute "colour"; there are: neckline, pocket'),
        (BY_ID, {"k": np.array(0, np.int32)}, '"k" must be one integer from 1 to 1000'),
        (BY_ID, {"id": np.array([1], np.int64)}, '"id" must be string'),
        (BY_ID, {"id": strings("v1-0", "v1-1")}, "attribute 1, id 2"),
        (BY_ID, {"image": strings("x")}, "Sent extra: {image}"),
        (BY_CLASS, {"class": strings("flap")}, 'unknown class "flap" of neckline; there are: round, v_neck, square'),
        (BY_CLASS, {"class": np.array(b"round", object)}, '"class" must be string of shape'),
        (BY_CLASS, {name: strings(*["round"] * 1025) for name in ("class", "attribute")}, "1,025 rows is too large"),
    ],
)
def test_what_cannot_be_asked(client: Client, signature: str, changed: dict[str, np.ndarray], words: str) -> None:
    good = {"id": strings("v1-0")} if signature == BY_ID else {"class": strings("round")}
    inputs = {**good, "attribute": strings("neckline"), "k": np.array(3, np.int32), **changed}
    with pytest.raises(ClientError) as caught:
        client.predict(signature, inputs)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_async_client_asks_the_same(address: str, client: Client) -> None:
    async def ask() -> tuple[Any, Any]:
        async with AsyncClient(address) as other:
            return await other.search_by_id("v1-2", "pocket", 3), await other.search_by_class("flap", "pocket", 3)

    assert asyncio.run(ask()) == (client.search_by_id("v1-2", "pocket", 3), client.search_by_class("flap", "pocket", 3))


def test_over_rest(tmp_path: Path, compose_into: Any, start: Callable[..., Any], drawn: Any) -> None:
    release.push(tmp_path, compose_into)
    server = start(tmp_path, "--rest_api_port", str(free_port()))
    where = server.said(r"REST: (\S+)$").group(1)
    server.said("^serving m3net version 1 ")
    body = {"signature_name": BY_CLASS, "inputs": {"class": ["flap"], "attribute": ["pocket"], "k": 3}}
    with urllib.request.urlopen(f"{where}/m3net:predict", json.dumps(body).encode(), timeout=20) as got:
        outputs = json.load(got)["outputs"]
    mean = np.mean(drawn(1).vectors(list(range(ITEMS)), "pocket"), axis=0)  # every item shows a flap
    assert outputs["id"] == [[one for one, _, _ in drawn(1).ranked(mean, "pocket", 3)]]


def test_class_vectors_by_hand(tmp_path: Path) -> None:
    vectors = np.float32([[1, 0], [3, 4], [0, 2], [9, 9]])
    means = class_vectors(vectors, [[0], [1, 0], [], None], 3)
    np.testing.assert_array_equal(means, np.float32([[2, 2], [3, 4], [np.nan, np.nan]]))
    write_class_vectors(means, tmp_path)
    np.testing.assert_array_equal(read_class_vectors(tmp_path, 3, 2), means)
    with pytest.raises(ValueError, match="not float32"):
        read_class_vectors(tmp_path, 4, 2)


def test_without_labels_there_is_no_class_to_ask_for(tmp_path: Path) -> None:
    assert np.isnan(class_vectors(np.ones((2, 3), np.float32), [[], None], 2)).all()
    assert np.isnan(read_class_vectors(tmp_path, 2, 3)).all()
