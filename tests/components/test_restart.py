"""Ingestion that is killed and started again: no finished work twice, no row lost, the same bytes as undisturbed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.catalogue_gen import chunks
from components.catalogue_gen.chunks import (
    StagedPhoto,
    atomic_file,
    is_finished,
    read_photos,
    read_rows,
    read_signatures,
    stage,
    write_photos,
)
from components.catalogue_gen.ingest import _balance
from components.catalogue_gen.rows import Record, Reject
from components.catalogue_gen.shards import Folders, WriteShard
from components.errors import InputError
from models.taxonomy import Attribute, Taxonomy
from tests.components.direct import ONE, TWO
from tests.components.test_photo import encoded

TAXONOMY = Taxonomy((Attribute("neck", ("u", "v")),))
RECORDS = [Record(i + 2, f"/nowhere/{i}.jpg", f"id{i}", "", "train", "", {"neck": ["v"]}, "c.csv") for i in range(5)]

# A process of its own, so that it can be killed: the executor as TFX calls it.
RUN = """
import sys
from tests.components.test_restart import execute
execute(*sys.argv[1:])
"""


def execute(catalogue: str, output: str, execution: str, processes: str = "one") -> None:
    from tfx.dsl.components.base import base_beam_executor
    from tfx.types import standard_artifacts

    from components.catalogue_gen.executor import Executor

    outputs = {}
    for key in ("examples", "labels"):
        artifact = standard_artifacts.Examples()
        artifact.uri = f"{output}/{key}/{execution}"
        outputs[key] = [artifact]
    given = {"catalogue": catalogue, "version": "1", "taxonomy": "", "format": "catalogue", "labels_only": 0, "long_side": 96}
    given |= {"shards": 2, "max_reject_share": 0.2, "near_duplicates": "report", "near_duplicate_bits": 6}
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=ONE if processes == "one" else TWO, tmp_dir=output, unique_id=execution
    )
    Executor(context).Do({}, outputs, given)


def drawn(folder: Path, rows: int) -> str:
    """A catalogue of 40 photos, each many times under other ids; some rows name a photo that is not there."""
    for number in range(40):
        noise = np.random.default_rng(number).integers(0, 256, (20, 15, 3), np.uint8)
        (folder / f"{number}.jpg").write_bytes(encoded(Image.fromarray(noise).resize((150, 200))))
    lines = [f"{i % 41}.jpg,id{i},{'uv'[i % 2]}" for i in range(rows)]
    (folder / "catalogue.csv").write_text("\n".join(["image,id,neck", *lines]))
    return str(folder / "catalogue.csv")


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def stored(output: Path) -> dict[str, tuple[int, int]]:
    """Which photos wait in the staging folder, and in which file: one that is written again is another."""
    return {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in output.glob("staging/*/*.parquet")}


@pytest.mark.slow
@pytest.mark.parametrize("processes", ["one", pytest.param("two", marks=pytest.mark.long)])
def test_killed_in_the_middle_and_run_again_it_ends_as_if_undisturbed(
    processes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue, output = drawn(tmp_path, 3000), tmp_path / "CatalogueGen"
    command = [sys.executable, "-c", RUN, catalogue, str(output), "1", processes]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    while len(list(output.glob("staging/*/*.parquet"))) < 5 and process.poll() is None:
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)  # the workers too
    assert process.wait() == -signal.SIGKILL
    done = stored(output)
    assert 5 <= len(done) < 24

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("components.catalogue_gen.executor.FileSystems.delete", lambda _: None)  # to look at it afterwards
        execute(catalogue, str(output), "2", processes)
    assert f"{len(done)} of 24 chunks were finished" in capsys.readouterr().err
    after = stored(output)
    assert len(after) == 24
    assert done == {name: file for name, file in after.items() if name in done}
    shutil.rmtree(output / "staging")

    execute(catalogue, str(output), "3")
    assert not list(output.glob("staging/*"))
    assert "3,000 rows = " in capsys.readouterr().err
    for kind in ("examples", "labels"):
        assert files(output / kind / "2") == files(output / kind / "3")
    counts = json.loads((output / "examples" / "3" / "counts.json").read_text())
    assert sum(counts.values()) == 3000
    assert counts["rejected"] == len([i for i in range(3000) if i % 41 == 40])


def test_rows_and_photos_come_back_as_they_were_stored(tmp_path: Path) -> None:
    rows = [*RECORDS, Reject("c.csv", 9, "too few fields: ü\ud800")]
    found = stage(iter(rows), str(tmp_path / "staging"), "", 4)
    assert [(chunk.number, chunk.start, chunk.rows) for chunk in found.chunks] == [(0, 0, 4), (1, 4, 2)]
    assert [row for chunk in found.chunks for row in read_rows(chunk)] == rows
    assert (found.rows, found.shown) == (6, {("neck", "v", False)})
    last = found.chunks[1]
    assert not is_finished(last)
    photos = [StagedPhoto(b"jpeg", b"hash", None), StagedPhoto(None, None, "not there")]
    write_photos(last, photos)
    assert is_finished(last)
    assert read_photos(last) == photos
    assert read_signatures(last) == [b"hash", None]


def test_half_a_file_is_not_finished(tmp_path: Path) -> None:
    (chunk,) = stage(iter(RECORDS), str(tmp_path), "").chunks
    write_photos(chunk, [StagedPhoto(b"x" * 1000, b"", None)] * 5)
    path = Path(f"{chunk.path}.parquet")
    path.write_bytes(path.read_bytes()[:2000])
    assert not is_finished(chunk)


@pytest.mark.parametrize("change", ["row", "setting"])
def test_another_row_or_setting_takes_nothing_over(tmp_path: Path, change: str) -> None:
    before = stage(iter(RECORDS), str(tmp_path), "256", 3).chunks
    records = [*RECORDS[:4], RECORDS[4]._replace(location="/other.jpg")] if change == "row" else RECORDS
    after = stage(iter(records), str(tmp_path), "256" if change == "row" else "128", 3).chunks
    assert [a.path == b.path for a, b in zip(after, before, strict=True)] == [change == "row", False]


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    def failing() -> None:
        with atomic_file(str(tmp_path / "out"), str(tmp_path / "staging")) as file:
            file.write(b"half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        failing()
    assert not (tmp_path / "out").exists()


def test_a_row_that_does_not_come_out_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="3 rows went in, 2 came out"):
        _balance({"train": 1, "rejected": 1}, 3, str(tmp_path / "counts.json"))
    assert not (tmp_path / "counts.json").exists()
    folders = Folders(*(str(tmp_path / name) for name in ("examples", "labels", "staging")), 1)
    folders.prepare()
    chunk = stage(iter(RECORDS), folders.staging, "").chunks
    nobody = np.zeros(0, [("place", "<i8"), ("row", "<i8")])
    with pytest.raises(RuntimeError, match=r"c.csv row 2 was lost"):
        list(WriteShard(TAXONOMY, folders, True).process((0, {"chunks": chunk, "assignments": []}), nobody, nobody))
    assert not list(Path(folders.examples).rglob("data_tfrecord*"))


def test_a_server_that_was_down_is_asked_again(tmp_path: Path) -> None:
    catalogue, output = drawn(tmp_path, 20), tmp_path / "CatalogueGen"
    (tmp_path / "0.jpg").rename(tmp_path / "away")
    text = (
        Path(catalogue)
        .read_text()
        .replace("image,id,neck", "image,id,neck\n0.jpg,a,u\n0.jpg,b,u\n0.jpg,c,u\n0.jpg,d,u\n0.jpg,e,u")
    )
    Path(catalogue).write_text(text)
    with pytest.raises(InputError, match=r"6 of 25 rows rejected.*not there"):
        execute(catalogue, str(output), "1")
    (tmp_path / "away").rename(tmp_path / "0.jpg")
    execute(catalogue, str(output), "2")  # of the same version, for an address says nothing of what it stands for
    assert "rejected" not in json.loads((output / "examples" / "2" / "counts.json").read_text())


def test_photos_in_s3_without_its_package_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"row 2: s3://shop/a.jpg needs boto3; pip install"):
        stage(iter([RECORDS[0]._replace(location="s3://shop/a.jpg")]), str(tmp_path), "")
