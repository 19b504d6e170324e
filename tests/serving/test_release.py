"""A release is exactly what was composed: every kind of damage is named, and nothing half made is ever seen."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from serving import release
from serving.disk import sweep
from serving.operations import stock
from serving.protos import saved_model_pb2
from serving.release import EXTRA, INDEX, MANIFEST, ReleaseError, push, verify, versions
from serving.warm_up import read_records

ROOT = Path(__file__).parents[2]
Compose = Callable[[Path, int], release.Manifest]


@pytest.fixture
def releases(tmp_path: Path, compose_into: Compose) -> Path:
    """A folder with version 1."""
    assert push(tmp_path / "releases", compose_into) == 1
    return tmp_path / "releases"


def test_layout_and_manifest(releases: Path) -> None:
    folder = releases / "1"
    assert sorted(p.name for p in folder.iterdir()) == [
        *("assets", EXTRA, "fingerprint.pb", "saved_model.pb", "variables"),
    ]
    assert sorted(p.name for p in (folder / EXTRA).iterdir()) == [
        *("index", "items.parquet", "release.json", "tf_serving_warmup_requests"),
    ]
    manifest = verify(folder)
    assert (manifest.version, manifest.system, manifest.metrics) == (1, "drawn", {"map": 0.5})
    assert (manifest.vector_length, manifest.counts) == (8, {"items": 30})
    assert [a["name"] for a in manifest.taxonomy["attributes"]] == ["neckline", "pocket"]
    assert manifest.created.endswith("+00:00")
    assert len(manifest.files) == sum(p.is_file() for p in folder.rglob("*")) - 1  # all but the manifest itself
    for name in ("neckline", "pocket"):
        assert json.loads((folder / INDEX / name / "model.json").read_text()) == {"model": manifest.model}
    assert oct(folder.stat().st_mode & 0o755) == "0o755"  # a server that runs as somebody else reads it too


def test_warm_up_is_what_tensorflow_serving_reads(releases: Path) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    # TensorFlow's own reader checks length and both checksums of every record.
    records = list(tf.data.TFRecordDataset(str(releases / "1" / EXTRA / "tf_serving_warmup_requests")))
    requests = [prediction_log_pb2.PredictionLog.FromString(r.numpy()).predict_log.request for r in records]
    assert [r.model_spec.signature_name for r in requests] == ["embed", "embed"]
    assert [tf.make_ndarray(r.inputs["attribute"]).tolist() for r in requests] == [[b"neckline"], [b"pocket"]]
    assert all(tf.make_ndarray(r.inputs["image"])[0].startswith(b"\x89PNG") for r in requests)
    content = (releases / "1" / EXTRA / "tf_serving_warmup_requests").read_bytes()
    assert list(read_records(content)) == [record.numpy() for record in records]  # and what our own server reads
    with pytest.raises(ValueError, match="ends within a record"):
        list(read_records(content[:-1]))


def _rehash(folder: Path) -> None:
    """What somebody does who knows about the checksums and not about the rest."""
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"] = {name: release._sha256(folder / name) for name in release._files(folder) if name != MANIFEST}
    (folder / MANIFEST).write_text(json.dumps(manifest))


def _calls(folder: Path, operation: str, **told: object) -> None:
    """The model calls one operation more, of which the checksums say nothing."""
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    saved.meta_graphs[0].graph_def.library.function[0].node_def.add(name="more", op=operation)
    (folder / "saved_model.pb").write_bytes(saved.SerializeToString())
    _refit(folder)
    _edit(folder / MANIFEST, **told)


def _refit(folder: Path) -> None:
    """All checksums, and the model's fingerprint in the manifest and in each index."""
    _rehash(folder)
    model = release._fingerprint(release.read_manifest(folder).files)
    for one in (folder / INDEX).iterdir():
        _edit(one / "model.json", model=model)
    _rehash(folder)
    _edit(folder / MANIFEST, model=model)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _edit(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "changed": (lambda f: _flip(f / "variables/variables.data-00000-of-00001"), "variables.data.* has changed"),
    "index changed": (lambda f: _flip(f / INDEX / "pocket/vectors.npy"), "pocket/vectors.npy has changed"),
    "missing": (lambda f: (f / EXTRA / "items.parquet").unlink(), "items.parquet is missing"),
    "extra": (lambda f: (f / "assets/notes.txt").touch(), "notes.txt is not in the manifest"),
    "no manifest": (lambda f: (f / MANIFEST).unlink(), "release.json cannot be read"),
    "half a manifest": (lambda f: (f / MANIFEST).write_text((f / MANIFEST).read_text()[:-9]), "cannot be read"),
    "manifest without model": (lambda f: (f / MANIFEST).write_text('{"version": 1}'), "cannot be read"),
    "metrics": (lambda f: _edit(f / MANIFEST, metrics=3), r"cannot be read \(metrics holds 3, which is no dict\)"),
    "map": (lambda f: _edit(f / MANIFEST, metrics={"map": "0.5"}), r"metrics.map holds \"0.5\", which is no float"),
    "files": (lambda f: _edit(f / MANIFEST, files={"x": 5}), "files holds 5, which is no str"),
    "taxonomy": (lambda f: _edit(f / MANIFEST, taxonomy=None), "taxonomy holds null, which is no dict"),
    "no taxonomy": (lambda f: _edit(f / MANIFEST, taxonomy={"format": 1}), "not a taxonomy"),
    "counts": (lambda f: _edit(f / MANIFEST, counts={"items": True}), "counts holds true, which is no int"),
    "indexes": (lambda f: _edit(f / MANIFEST, indexes={"pocket": 1}), "indexes holds 1, which is no dict"),
    "later format": (lambda f: _edit(f / MANIFEST, format=2), "release format 2 is not 1"),
    "other version": (lambda f: _edit(f / MANIFEST, version=7), "says version 7"),
    "another model": (lambda f: (_flip(f / "fingerprint.pb"), _rehash(f)), "not the one that the manifest names"),
    "custom operation": (
        lambda f: _calls(f, "Scann>ScannSearchBatched"),
        r"calls Scann>ScannSearchBatched, no operation of stock",
    ),
    "custom operation, listed": (lambda f: _calls(f, "Own", operations=["Own"]), "calls Own, no operation of stock"),
    "Python": (lambda f: _calls(f, "EagerPyFunc", operations=[]), "calls EagerPyFunc, no operation of stock"),
    "another operation": (lambda f: _calls(f, "WriteFile"), r"operations are not those of the manifest \(WriteFile\)"),
    "no model": (lambda f: ((f / "saved_model.pb").write_bytes(b"\0"), _refit(f)), "saved_model.pb cannot be read"),
    "no index": (lambda f: (shutil.rmtree(f / INDEX / "pocket"), _rehash(f)), "not the taxonomy's attributes"),
}


@pytest.mark.parametrize(("damage", "words"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_named(releases: Path, damage: Callable[[Path], object], words: str) -> None:
    damage(releases / "1")
    with pytest.raises(ReleaseError, match=words) as caught:
        verify(releases / "1")
    assert "\n" not in str(caught.value)


def test_a_manifest_from_before_operations_were_listed(releases: Path) -> None:
    listed = verify(releases / "1").operations
    assert "DecodeImage" in listed
    manifest = json.loads((releases / "1" / MANIFEST).read_text())
    del manifest["operations"]
    (releases / "1" / MANIFEST).write_text(json.dumps(manifest))
    assert verify(releases / "1").operations == []


def test_stock_operations_are_tensorflows() -> None:
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session

    known = op_def_pb2.OpList.FromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    names = {one.name for one in known.op}
    # ScaNN's, if some other test has loaded it, have a namespace; those with a line before them are no model's.
    assert {n for n in names if not re.search(r">|^_|Mkl|PyFunc|Xla|TPU", n)} == stock()


def test_an_index_of_another_release_is_refused(releases: Path, compose_into: Compose) -> None:
    push(releases, compose_into)
    shutil.rmtree(releases / "2" / INDEX / "pocket")
    shutil.copytree(releases / "1" / INDEX / "pocket", releases / "2" / INDEX / "pocket")
    with pytest.raises(ReleaseError, match=r"pocket/\w+.\w+ has changed"):
        verify(releases / "2")
    _rehash(releases / "2")
    with pytest.raises(ReleaseError, match="index pocket belongs to another model"):
        verify(releases / "2")


def test_push_counts_on_from_the_highest_and_overlooks_the_rest(releases: Path, compose_into: Compose) -> None:
    for name in ("007", "-3", "x", ".partial-odd"):
        (releases / name).mkdir()
    (releases / "9").touch()
    (releases / "1").rename(releases / "41")
    with pytest.raises(ReleaseError, match="says version 1"):
        verify(releases / "41")
    assert versions(releases) == [41]
    assert push(releases, lambda folder, _: compose_into(folder, 42)) == 42


def test_nothing_is_pushed_that_verify_would_refuse(releases: Path, compose_into: Compose) -> None:
    with pytest.raises(ReleaseError, match="version 2 was composed as another"):
        push(releases, lambda folder, _: compose_into(folder, 1))
    with pytest.raises(ReleaseError, match="cannot be read"):
        push(releases, lambda folder, _: (folder / "saved_model.pb").touch())
    with pytest.raises(FileExistsError):  # compose's own, not to be taken for a version that another pusher took
        push(releases, lambda folder, _: folder.mkdir())
    assert [p.name for p in releases.iterdir()] == ["1"]


def test_pushers_at_once_take_a_number_each(releases: Path, compose_into: Compose) -> None:
    together, pushed = threading.Barrier(3), []

    def compose(folder: Path, version: int) -> None:
        compose_into(folder, version)
        if version == 2:
            together.wait(20)  # all three have composed version 2 before any renames

    threads = [threading.Thread(target=lambda: pushed.append(push(releases, compose))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(pushed) == versions(releases)[1:] == [2, 3, 4]
    assert [verify(releases / str(v)).version for v in versions(releases)] == [1, 2, 3, 4]


# Pushes for ever: 12 MB in 24 files of a model that no TensorFlow need load, so that a kill falls on any step.
PUSHER = """
import sys
from pathlib import Path
import numpy as np
from models.taxonomy import Attribute, Taxonomy
from serving import index, release

parts, releases = Path(sys.argv[1]), Path(sys.argv[2])
taxonomy = Taxonomy((Attribute("neckline", ("round",)),))
def compose(folder, version):
    release.compose(folder, version, saved_model=parts / "model", index=parts / "index", items=parts / "items.parquet",
                    taxonomy=taxonomy, system="drawn", dataset="drawn", metrics={}, counts={}, warmup_image=b"photo")
{before}
print("pushing", flush=True)
while True:
    release.push(releases, compose)
"""


@pytest.fixture(scope="module")
def heavy_parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import numpy as np

    from serving import index

    parts = tmp_path_factory.mktemp("heavy")
    (parts / "model").mkdir()
    for i in range(24):
        (parts / "model" / f"part{i}").write_bytes(os.urandom(1 << 19))
    (parts / "model" / "saved_model.pb").write_bytes(b"\x12\0")  # an empty graph
    index.build(np.eye(4, dtype=np.float32), parts / "index" / "neckline")
    (parts / "items.parquet").write_bytes(b"not read here")
    return parts


def _pusher(parts: Path, releases: Path, before: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PUSHER.replace("{before}", before), str(parts), str(releases)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "pushing\n"
    return process


def _assert_whole(releases: Path) -> None:
    for one in releases.iterdir():
        if one.name.startswith(".partial-"):
            continue
        assert verify(one).version == int(one.name)


def _seconds_of_a_push(parts: Path, releases: Path) -> float:
    process, started = _pusher(parts, releases), time.monotonic()
    while not versions(releases):
        time.sleep(0.005)
    process.kill()
    process.wait()
    return time.monotonic() - started


def test_a_killed_push_leaves_nothing_half_there(heavy_parts: Path, tmp_path: Path) -> None:
    left, whole = 0, _seconds_of_a_push(heavy_parts, tmp_path)
    for kill in range(12):
        process = _pusher(heavy_parts, tmp_path)
        time.sleep(whole * kill / 6)  # from the first moment to some pushes later, on a slow machine too
        process.kill()
        process.wait()
        _assert_whole(tmp_path)
        # The next pusher sweeps what this one left: never more than one.
        partial = [one for one in tmp_path.iterdir() if one.name.startswith(".partial-")]
        assert len(partial) <= 1
        left += len(partial)
        for version in versions(tmp_path)[:-1]:
            shutil.rmtree(tmp_path / str(version))  # the disk's sake; the highest keeps the count
    assert left >= 6, "the kills missed the pushes"
    assert versions(tmp_path)[-1] >= 2, "no push ever ended"


# Each replaces one step of a push by the pusher's own death, before or after it.
DIE = "import os, signal\ndie = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
STEPS = {
    "before anything": ("compose = die", 0),
    "files copied": ("release.warm_up_records = die", 0),
    "no manifest yet": ("release._check_indexes = die", 0),
    "composed": ("release.verify = die", 0),
    "verified": ("release.sync = die", 0),
    "synced": ("release.rename = die", 0),
    "renamed": ("rename = release.rename\nrelease.rename = lambda a, b: (rename(a, b), die())", 1),
    "before the folder is synced": (
        "one = release.sync_one\nrelease.sync_one = lambda p: die() if p == releases else one(p)",
        1,
    ),
}


@pytest.mark.parametrize(("step", "whole"), STEPS.values(), ids=STEPS)
def test_death_at_each_step(heavy_parts: Path, tmp_path: Path, step: str, whole: int) -> None:
    process = _pusher(heavy_parts, tmp_path, DIE + step)
    assert process.wait(60) == -signal.SIGKILL
    _assert_whole(tmp_path)
    assert len(versions(tmp_path)) == whole
    sweep(tmp_path)
    assert len(list(tmp_path.iterdir())) == whole


def test_a_living_pusher_is_not_swept(releases: Path, compose_into: Compose) -> None:
    def compose(folder: Path, version: int) -> None:
        if version == 2:
            push(releases, compose_into_next)
        compose_into(folder, version)

    def compose_into_next(folder: Path, version: int) -> None:
        assert len(list(releases.glob(".partial-*"))) == 2  # the outer push's folder is still there
        compose_into(folder, version)

    assert push(releases, compose) == 3
