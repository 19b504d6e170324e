"""`m3net items` on a real release: what was added is found by its own vector, and a mistake changes nothing."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.cli import main
from serving import release
from serving.changes import changes_file
from serving.gallery import Live
from tests.serving.drawn import ITEMS, TAXONOMY, Drawn, compose, parts_of


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of drawn releases 1 and 2, both of model 1."""
    folder = tmp_path_factory.mktemp("items")
    parts = parts_of(1, folder / "parts")
    for _ in range(2):
        release.push(folder / "releases", lambda into, version: compose(into, version, parts))
    return folder / "releases"


@pytest.fixture
def catalogue(pushed: Path, tmp_path: Path) -> Path:
    """Two photos of one colour each, which no JPEG blurs; the release is as it was pushed."""
    for version in (1, 2):
        changes_file(pushed / str(version)).unlink(missing_ok=True)
    for name, colour in (("red", (250, 10, 20)), ("grey", (90, 90, 90))):
        Image.new("RGB", (16, 16), colour).save(tmp_path / f"{name}.png")
    file = tmp_path / "new.csv"
    file.write_text("image,id,split,neckline,pocket\nred.png,sku-1,test,round,flap|patch\ngrey.png,v1-3,,,\n")
    return file


def live(folder: Path) -> Live:
    return Live(folder, release.verify(folder), TAXONOMY)


def test_added_and_removed(pushed: Path, catalogue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["items", "add", str(pushed), str(catalogue)]) == 0
    assert "version 2 is changed" in capsys.readouterr().out
    now = live(pushed / "2").now()
    assert np.count_nonzero(now.alive) == ITEMS + 1  # v1-3 has taken the place of another
    row = now.row(b"sku-1")
    assert row is not None
    assert now.items.images[row].decode() == str(catalogue.parent / "red.png")
    assert (now.items.classes("neckline")[row], now.items.classes("pocket")[row]) == (b"round", b"flap|patch")
    assert row in now.items.showing("pocket")[b"patch"]
    for item, colour in ((b"sku-1", (250, 10, 20)), (b"v1-3", (90, 90, 90))):
        flat = np.tile(np.float32(colour) / 255, 16)  # what the drawn model makes of a photo of one colour
        for name in TAXONOMY.names:
            found = now.indexes[name].take(np.array([now.row(item)]))[0]
            np.testing.assert_allclose(found, flat @ Drawn(1).weights[name], atol=0.1)  # a JPEG is off by 1 of 255
    assert main(["items", "remove", str(pushed), "sku-1", "v1-0"]) == 0
    assert np.count_nonzero(live(pushed / "2").now().alive) == ITEMS - 1
    assert not changes_file(pushed / "1").exists()
    assert main(["items", "remove", str(pushed), "v1-0", "--version", "1"]) == 0
    assert live(pushed / "1").now().row(b"v1-0") is None


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("red.png,a,boat,", 'new.csv row 3: column "neckline": class "boat" is not in taxonomy.json'),
        ("red.png,a,round|square,", 'row 3: column "neckline" has 2 classes'),
        ("none.png,a,,", "row 3: {folder}/none.png: the file is not there"),
        ("new.csv,a,,", "row 3: {folder}/new.csv: not an image"),
        ("red.png,sku-1,,", 'new.csv rows 2 and 3 both have the id "sku-1"'),
        (",a,,", 'row 3: column "image" is empty'),
        ("red.png,a,", "row 3: too few fields"),
    ],
)
def test_a_bad_row_changes_nothing(
    pushed: Path, catalogue: Path, rows: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue.write_text(f"image,id,neckline,pocket\nred.png,sku-1,,\n{rows}\n")
    assert main(["items", "add", str(pushed), str(catalogue)]) == 2
    error = capsys.readouterr().err
    assert words.format(folder=catalogue.parent) in error
    assert error.endswith("; nothing was added\n")
    assert error.count("\n") == 1
    assert not changes_file(pushed / "2").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["remove", "{releases}", "v1-0", "v1-99"], 'there is no item "v1-99" to remove'),
        (["remove", "{releases}", "v1-0", "--version", "7"], "holds no version 7; it holds: 1, 2"),
        (["add", "{releases}", "{folder}/none.csv"], "none.csv cannot be opened"),
    ],
)
def test_mistakes_are_one_line(
    pushed: Path, catalogue: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [one.format(releases=pushed, folder=catalogue.parent) for one in arguments]
    assert main(["items", *given]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not changes_file(pushed / "2").exists()
