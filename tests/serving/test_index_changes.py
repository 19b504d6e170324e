"""Items added to and removed from a release, against every item that should be there scored in the test."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from serving import gallery, release, retrieval
from serving.call import RequestError
from serving.changes import ChangeError, Item, change, changes_file
from serving.client import Client, ClientError
from tests.serving.drawn import ITEMS, LENGTH, TAXONOMY
from tests.serving.galleries import Shown, drawn_items, pushed, ranked

QUERY = np.float32([1, -2, 0, 3, 1, -1])


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes are looked for at every request."""
    monkeypatch.setattr(gallery, "_EVERY", 0.0)


def item(one: Shown) -> Item:
    labels = {name: [TAXONOMY[name].classes[place] for place in places] for name, places in one.labels.items()}
    return Item(one.id, f"{one.id}.png", one.vectors, labels, {"split": one.split})


def opened(folder: Path) -> retrieval.Retrieval:
    return retrieval.open_retrieval(folder, release.verify(folder), TAXONOMY)


def ask(asked: retrieval.Retrieval, attribute: str, k: int) -> list[tuple[str, float]]:
    names = np.array([attribute.encode()], object)
    found = retrieval.search(asked.live(), QUERY[None], names, k, ("id", "score", "class", "image"))
    assert found["image"][0].tolist() == [one + b".png" for one in found["id"][0]]
    return list(zip([one.decode() for one in found["id"][0]], found["score"][0].tolist(), strict=True))


def by_id(asked: retrieval.Retrieval, one: str, **more: Any) -> list[str]:
    inputs = {"id": np.array([one.encode()], object), "attribute": np.array([b"pocket"], object), "k": np.array(5, np.int32)}
    found = asked.answer(retrieval.BY_ID, {**inputs, **more}, (), lambda _: np.empty(0))
    return [name.decode() for name in found["id"][0]]


@pytest.mark.parametrize("scann_above", [20_000, 100])
def test_added_replaced_and_removed(tmp_path: Path, scann_above: int) -> None:
    items = drawn_items(300)
    folder = pushed(tmp_path / "releases", items, scann_above)
    asked, new = opened(folder), drawn_items(20, seed=1, first=295)  # five of them take the place of others
    change(folder, add=[item(one) for one in new], remove=["item-0", "item-7"])
    now = [one for one in items[:295] if one.id not in ("item-0", "item-7")] + new
    for attribute in TAXONOMY.names:
        for k in (1, 40, 1000) if scann_above > 300 else (5,):
            assert sorted(ask(asked, attribute, k)) == sorted(ranked(now, QUERY, attribute, k))
    assert ask(asked, "pocket", 1000)[-1] in ranked(now, QUERY, "pocket", 1000)
    assert (
        by_id(asked, "item-310")
        == [one for one, _ in ranked(now, new[15].vectors["pocket"], "pocket", 6) if one != "item-310"][:5]
    )
    change(folder, remove=["item-310"])  # what was added can go again
    with pytest.raises(RequestError, match='unknown id "item-310"'):
        by_id(asked, "item-310")
    with pytest.raises(RequestError, match='unknown id "item-7"'):
        by_id(asked, "item-7")
    change(folder, add=[item(items[7])])  # and what was removed come back
    assert dict(ask(opened(folder), "pocket", 1000)) == dict(
        ranked([one for one in [*now, items[7]] if one.id != "item-310"], QUERY, "pocket", 1000)
    )


def test_a_release_stays_what_it_was(tmp_path: Path) -> None:
    folder = pushed(tmp_path / "releases", drawn_items(5))
    change(folder, remove=["item-1"])
    assert release.verify(folder).version == 1
    assert release.versions(tmp_path / "releases") == [1]
    assert len(ask(opened(folder), "pocket", 9)) == 4


def test_a_gallery_can_be_emptied(tmp_path: Path) -> None:
    folder = pushed(tmp_path / "releases", drawn_items(2))
    change(folder, remove=["item-0", "item-1"])
    assert ask(opened(folder), "pocket", 3) == []


def test_a_change_cut_short_is_no_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pushed(tmp_path / "releases", drawn_items(5))
    change(folder, remove=["item-1"])

    def fail(*_: Path) -> None:
        raise OSError("power cut")

    with monkeypatch.context() as broken:
        broken.setattr(Path, "rename", fail)
        with pytest.raises(OSError, match="power cut"):
            change(folder, remove=["item-2"])
    assert {one for one, _ in ask(opened(folder), "pocket", 9)} == {"item-0", "item-2", "item-3", "item-4"}
    change(folder, remove=["item-3"])
    assert {one for one, _ in ask(opened(folder), "pocket", 9)} == {"item-0", "item-2", "item-4"}
    assert {one.name for one in changes_file(folder).parent.iterdir()} == {"1.parquet", "1.lock"}


def test_writers_wait_for_each_other(tmp_path: Path) -> None:
    folder = pushed(tmp_path / "releases", drawn_items(5))
    new = drawn_items(8, first=100)
    writers = [threading.Thread(target=change, args=(folder, [item(one)])) for one in new]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert {one.id for one in new} <= {one for one, _ in ask(opened(folder), "pocket", 99)}


GOOD = {name: np.zeros(6, np.float32) for name in TAXONOMY.names}


@pytest.mark.parametrize(
    ("add", "remove", "words"),
    [
        ([], ["item-9"], 'no item "item-9" to remove'),
        ([Item("", "x", GOOD)], [], "needs an id"),
        ([Item("a", "x", {**GOOD, "pocket": np.zeros(5)})], [], '"a": attribute "pocket" needs a vector of 6 finite'),
        ([Item("a", "x", {**GOOD, "pocket": np.full(6, np.nan)})], [], "finite"),
        ([Item("a", "x", {"pocket": np.zeros(6)})], [], 'attribute "neckline" needs a vector'),
        ([Item("a", "x", GOOD, {"pocket": ["zip"]})], [], '"pocket" has no class "zip"; there are: patch, flap'),
        ([Item("a", "x", GOOD, {"colour": ["red"]})], [], 'no attribute "colour"; there are: neckline, pocket'),
    ],
)
def test_what_cannot_be_changed(tmp_path: Path, add: list[Item], remove: list[str], words: str) -> None:
    folder = pushed(tmp_path / "releases", drawn_items(3))
    with pytest.raises(ChangeError, match=words):
        change(folder, [item(drawn_items(1, first=50)[0]), *add], remove)
    assert not changes_file(folder).exists()  # nothing of it, not even what was right


def test_changes_of_another_model_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pushed(tmp_path / "releases", drawn_items(3))
    change(folder, remove=["item-0"])
    asked = opened(folder)
    mine = pq.read_table(changes_file(folder))
    pq.write_table(mine.replace_schema_metadata({"model": "another"}), changes_file(folder))
    assert len(ask(asked, "pocket", 9)) == 2  # as before
    assert "another model's" in capsys.readouterr().err


def test_a_running_server_takes_a_change_over(tmp_path: Path, compose_into: Any, start: Callable[..., Any], drawn: Any) -> None:
    release.push(tmp_path, compose_into)
    with Client(start(tmp_path).said(r"^serving m3net version 1 on (\S+)$").group(1)) as client:
        first, second = (one.id for one in client.search_by_id("v1-0", "pocket", 2))
        vector = {name: drawn(1).vectors([0], name)[0] for name in TAXONOMY.names}
        assert vector["pocket"].shape == (LENGTH,)
        change(tmp_path / "1", [Item("twin", "twin.png", vector, {"pocket": ["flap"]})], remove=[first])
        until = time.monotonic() + 20
        while (found := client.search_by_id("v1-0", "pocket", 1000))[0].id == first and time.monotonic() < until:
            time.sleep(0.1)
        assert len(found) == ITEMS - 1  # less itself and one, and one more
        assert {"twin", second} <= {one.id for one in found}
        assert first not in {one.id for one in found}
        assert next(one for one in found if one.id == "twin").classes == "flap"
        with pytest.raises(ClientError, match="unknown id"):
            client.search_by_id(first, "pocket")
