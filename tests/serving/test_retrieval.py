"""search_by_id and search_by_class against NumPy, over the real server; and what they refuse."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving import index
from serving.client import Client, ClientError
from tests.serving.drawn import ITEMS, TAXONOMY, Drawn


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Client]:
    with Client(address) as client:
        yield client


def best(query: np.ndarray, attribute: str, k: int) -> list[tuple[str, float]]:
    """By the definition."""
    scores = Drawn(1).vectors(list(range(ITEMS)), attribute) @ query
    order = sorted(range(ITEMS), key=lambda row: (-scores[row], row))[:k]
    return [(f"v1-{row}", pytest.approx(float(scores[row]), rel=1e-5)) for row in order]


@pytest.mark.parametrize("attribute", ["neckline", "pocket"])
def test_by_id_is_the_search_for_the_items_own_photo(client: Client, photo: Any, attribute: str) -> None:
    for item in (0, 17, 29):
        expected = best(Drawn(1).vectors([item], attribute)[0], attribute, 7)
        assert [(one.id, one.score) for one in client.search_by_id(f"v1-{item}", attribute, 7)] == expected
        assert client.search(photo(item), attribute, 7)[0].id == expected[0][0]


@pytest.mark.parametrize(("attribute", "name"), [("neckline", "v_neck"), ("pocket", "flap"), ("pocket", "patch")])
def test_by_class_is_the_search_for_the_mean_of_its_items(client: Client, attribute: str, name: str) -> None:
    number = TAXONOMY[attribute].classes.index(name)
    rows = [row for row, cell in enumerate(Drawn(1).labels[attribute]) if number in cell]
    assert len(rows) > 0
    mean = Drawn(1).vectors(list(range(ITEMS)), attribute)[rows].astype(np.float64).mean(axis=0).astype(np.float32)
    found = client.search_by_class(name, attribute, 9)
    assert [(one.id, one.score) for one in found] == best(mean, attribute, 9)


def test_what_is_not_there(client: Client) -> None:
    with pytest.raises(ClientError, match='INVALID_ARGUMENT: unknown id "v9-1"'):
        client.search_by_id("v9-1", "pocket")
    with pytest.raises(ClientError, match='unknown class "v_neck" of pocket; there are: patch, flap'):
        client.search_by_class("v_neck", "pocket")
    with pytest.raises(ClientError, match='unknown attribute "colour"'):
        client.search_by_class("red", "colour")
    inputs = {"id": np.zeros(1, np.int32), "attribute": np.array([b"pocket"], object), "k": np.array(1, np.int32)}
    with pytest.raises(ClientError, match=r'"id" must be string of shape \(B\); got int32 of shape \(1\)'):
        client.predict("search_by_id", inputs)
    inputs["id"] = np.array([b"v1-1", b"v1-2"], object)
    with pytest.raises(ClientError, match="one batch; got attribute 1, id 2"):
        client.predict("search_by_id", inputs)
    with pytest.raises(ClientError, match="input size does not match signature"):
        client.predict("search_by_class", inputs)


def test_vectors_come_back_from_both_kinds_of_index(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    for name, above in (("exact", 1000), ("scann", 100)):
        index.build(vectors, tmp_path / name, scann_above=above)
        opened = index.open_index(tmp_path / name)
        assert opened.info.kind == name
        assert np.array_equal(opened.vectors_of(np.array([7, 0, 299])), vectors[[7, 0, 299]])
    (tmp_path / "scann" / index.VECTORS).unlink()  # as indexes built before were
    opened = index.open_index(tmp_path / "scann")
    assert opened.search(vectors[:1], 3)[0].shape == (1, 3)
    with pytest.raises(LookupError):
        opened.vectors_of(np.array([0]))
