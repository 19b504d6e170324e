"""Listed, gone back to, removed: and whatever a server may be reading meanwhile stays whole."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cli import main
from serving import disk, release, retention
from serving.changes import change, changes_file
from serving.release import EXTRA, MANIFEST, ReleaseError, push, verify, versions

Compose = Callable[[Path, int], release.Manifest]


@pytest.fixture
def releases(tmp_path: Path, compose_into: Callable[..., release.Manifest]) -> Path:
    """Versions 1 to 4, all of the first one's parts."""
    for _ in range(4):
        push(tmp_path, lambda folder, version: compose_into(folder, version, like=1))
    return tmp_path


def damage(releases: Path, version: int) -> None:
    (releases / str(version) / EXTRA / "items.parquet").write_bytes(b"")


def test_list_and_verify(releases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(releases, 3)
    assert main(["releases", "list", str(releases)]) == 0  # manifests alone
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in out[2:]] == ["4", "3", "2", "1"]
    assert out[2].split()[2:] == ["drawn", "drawn", "50.00", "30"]
    assert main(["releases", "verify", str(releases)]) == 2
    out = capsys.readouterr().out.splitlines()
    assert out[3].split() == ["3", "damaged"]
    assert f"damaged: {releases}/3: {EXTRA}/items.parquet has changed since it was pushed" in out[-1]
    (releases / "2" / MANIFEST).unlink()
    assert main(["releases", "list", str(releases)]) == 2


def test_an_edited_manifest_is_one_damaged_version(releases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for version, told in ((1, {"taxonomy": None}), (3, {"metrics": 3}), (4, {"format": 2, "metrics": 3})):
        file = releases / str(version) / MANIFEST
        file.write_text(json.dumps({**json.loads(file.read_text()), **told}))
    assert main(["releases", "list", str(releases)]) == 2
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in out[2:6]] == ["damaged", "damaged", "30", "damaged"]
    assert f"damaged: {releases}/3: {MANIFEST} cannot be read (metrics holds 3, which is no dict)" in out[-2]
    assert main(["releases", "prune", str(releases), "--keep", "1"]) == 0
    assert versions(releases) == [2, 3, 4]


def test_a_rollback_is_a_new_version_of_the_old_content(releases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in (releases / "2").rglob("*") if path.is_file()}
    assert main(["releases", "rollback", str(releases), "2"]) == 0
    assert "version 2 released again as version 5" in capsys.readouterr().out
    manifest = verify(releases / "5")
    old = verify(releases / "2")
    assert (manifest.version, manifest.copy_of, manifest.files) == (5, 2, old.files)
    assert {path: path.read_bytes() for path in before} == before  # also its manifest, which a link could have changed
    shared = releases / "5" / "saved_model.pb"
    assert shared.stat().st_ino == (releases / "2" / "saved_model.pb").stat().st_ino
    assert retention.rollback(releases) == 6  # the one below the newest
    assert json.loads((releases / "6" / MANIFEST).read_text())["copy_of"] == 4
    main(["releases", "list", str(releases)])
    assert capsys.readouterr().out.splitlines()[3].endswith("version 2 again")


def test_changes_come_along_only_where_they_are_asked_for(releases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(releases / "4", remove=["v1-0"])
    assert not changes_file(releases / str(retention.again(releases, 4))).exists()
    seen: list[bool] = []

    def rename(partial: Path, final: Path) -> bool:
        seen.append(changes_file(final).exists())  # before anybody sees the version
        if final.name == "6":
            shutil.copytree(releases / "5", final)  # another was faster
            return False
        return disk.rename(partial, final)

    monkeypatch.setattr(release, "rename", rename)
    assert retention.again(releases, 4, changes=True) == 7
    assert seen == [True, True]
    assert changes_file(releases / "7").read_bytes() == changes_file(releases / "4").read_bytes()
    assert not changes_file(releases / "6").exists()
    (releases / "6").rename(releases / "gone")

    def fail(*_: Path) -> bool:
        raise OSError("disk full")

    monkeypatch.setattr(release, "rename", fail)
    with pytest.raises(OSError, match="disk full"):
        retention.again(releases, 4, changes=True)
    assert not changes_file(releases / "8").exists()


def test_a_rollback_to_nothing_or_to_damage_is_refused(releases: Path, tmp_path: Path) -> None:
    damage(releases, 3)
    with pytest.raises(ReleaseError, match=r"/3: .* has changed"):
        retention.rollback(releases)
    with pytest.raises(ReleaseError, match="holds no version 9; it holds: 1, 2, 3, 4"):
        retention.rollback(releases, 9)
    (empty := tmp_path / "empty").mkdir()
    with pytest.raises(ReleaseError, match="no older version"):
        retention.rollback(empty)
    assert versions(releases) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("keep", "damaged", "left"),
    [
        (2, (), [3, 4]),
        (9, (), [1, 2, 3, 4]),
        (2, (4,), [2, 3, 4]),  # a damaged one is not one of the two
        (1, (3, 4), [2, 3, 4]),
        (3, (3, 4), [1, 2, 3, 4]),  # only two are whole
        (1, (1,), [4]),
    ],
)
def test_prune_keeps_whole_ones(releases: Path, keep: int, damaged: tuple[int, ...], left: list[int]) -> None:
    for version in damaged:
        damage(releases, version)
    assert main(["releases", "prune", str(releases), "--keep", str(keep)]) == 0
    assert versions(releases) == left
    assert sorted(path.name for path in releases.iterdir()) == list(map(str, left))  # nothing else is left behind


def test_prune_spares_what_the_servers_file_names(releases: Path, tmp_path: Path) -> None:
    config = tmp_path / "models.config"
    policy = "model_version_policy { specific { versions: 2 } }"
    label = 'version_labels { key: "stable" value: 2 }'
    config.write_text(f'model_config_list {{ config {{ name: "m" base_path: "/r" {policy} {label} }} }}')
    for version in (1, 2):
        (releases / ".changes").mkdir(exist_ok=True)
        for kind in ("parquet", "lock"):
            (releases / ".changes" / f"{version}.{kind}").touch()
    assert main(["releases", "prune", str(releases), "--keep", "1", "--model-config-file", str(config)]) == 0
    assert versions(releases) == [2, 4]
    assert sorted(one.name for one in (releases / ".changes").iterdir()) == ["2.lock", "2.parquet"]  # they go with it


def test_a_prune_cut_short_is_finished_by_the_next(releases: Path) -> None:
    (releases / "1").rename(releases / ".removed-1-ab")
    retention.prune(releases, 9)
    assert not (releases / ".removed-1-ab").exists()


def test_mistakes_are_one_line(releases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (["prune", str(releases), "--keep", "0"], "--keep 0: at least one version is kept"),
        (
            ["prune", str(releases), "--keep", "1", "--model-config-file", "none.config"],
            "No such file or directory: 'none.config'",
        ),
        (["list", str(releases / "none")], "is no folder"),
        (["rollback", str(releases), "7"], "holds no version 7"),
    ):
        assert main(["releases", *arguments]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert words in error
