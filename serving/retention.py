"""What becomes of releases after they were pushed: listed, checked, gone back to, and in the end removed."""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from serving.call import RequestError
from serving.changes import carry, changes_file
from serving.policy import configs_of
from serving.release import MANIFEST, ReleaseError, push, read_manifest, verify, versions
from serving.settings import SettingsError, read_models

_REMOVED = ".removed-"  # no integer, so that no server takes it for a version


@dataclass(frozen=True)
class Listed:
    """One version as its manifest tells it, newest first in a list; `problem` is empty where that can be read.

    `copy_of` is the version that a rollback made this one from, else 0. `map_all` is a fraction, NaN where unknown.
    """

    version: int
    created: str = ""
    system: str = ""
    dataset: str = ""
    map_all: float = float("nan")
    items: int = 0
    copy_of: int = 0
    problem: str = ""


def listed(releases: Path, *, check: bool = False) -> Iterator[Listed]:
    """All versions, the newest first; with `check` every byte of them is held against the manifest.

    Raises: OSError where there is no such folder.
    """
    for version in reversed(versions(releases)):
        folder = releases / str(version)
        try:
            manifest = verify(folder) if check else read_manifest(folder)
        except ReleaseError as error:
            yield Listed(version, problem=str(error))
            continue
        found = (manifest.metrics.get("map", float("nan")), manifest.counts.get("items", 0), manifest.copy_of)
        yield Listed(version, manifest.created, manifest.system, manifest.dataset, *found)


def rollback(releases: Path, to: int | None = None) -> int:
    """Releases an older version anew, as the newest: every server that watches the folder moves to it, none restarts.

    Not by removing the newer one, which would take away what is to be looked into, and leave a server that has just
    loaded it without its files. Files are shared by hard links where the filesystem has them: it costs no space.

    Args:
        to: the version; none = the one below the newest.
    Returns: the new version. Raises: ReleaseError where there is none to go back to, or it is damaged.
    """
    there = versions(releases)
    if to is None:
        if len(there) < 2:
            raise ReleaseError(f"{releases}: there is no older version to go back to; it holds: {there}")
        to = there[-2]
    if to not in there:
        raise ReleaseError(f"{releases}: holds no version {to}; it holds: {', '.join(map(str, there))}")
    return again(releases, to)


def again(releases: Path, version: int, written: Mapping[str, bytes] | None = None, *, changes: bool = False) -> int:
    """Releases `version` anew, as the newest; `written` holds files that shall be others in it, by their paths.

    With `changes` the items added to and removed from it since are so in the new one, too, from the first moment on.
    Returns: the new version. Raises: ReleaseError where it is damaged.
    """
    source, written = releases / str(version), written or {}
    verify(source)
    given: set[int] = set()
    new = 0

    def copy(folder: Path, number: int) -> None:
        shutil.copytree(source, folder, dirs_exist_ok=True, copy_function=_link)
        manifest = json.loads((source / MANIFEST).read_text(encoding="utf-8"))
        files = {**manifest["files"], **{name: hashlib.sha256(content).hexdigest() for name, content in written.items()}}
        text = json.dumps({**manifest, "version": number, "copy_of": version, "files": files}, ensure_ascii=False, indent=1)
        for name, content in {**written, MANIFEST: f"{text}\n".encode()}.items():
            (folder / name).unlink()  # a link until here: written through, it would change the older version
            (folder / name).write_bytes(content)
        if changes:
            given.add(number)
            carry(source, releases / str(number))

    try:
        new = push(releases, copy)
    finally:
        for number in given - {new}:  # the push failed, or another took that version first
            changes_file(releases / str(number)).unlink(missing_ok=True)
    return new


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a filesystem without, or a limit of links
        shutil.copy2(source, target)


def named(models_config: Path) -> frozenset[int]:
    """The versions that labels or specific policies of a models.config name, of whichever of its models.

    Of whichever: its base paths may be those of another machine. Raises: SettingsError, OSError.
    """
    try:
        configs = configs_of(read_models(models_config)).values()
    except RequestError as error:
        raise SettingsError(f"{models_config}: {error}") from None
    return frozenset(version for one in configs for version in (*one.labels.values(), *one.policy.specific))


def prune(releases: Path, keep: int, spared: Collection[int] = ()) -> list[int]:
    """Removes all versions older than the newest `keep` that are whole, but for those `spared`.

    A damaged version never counts as kept, and is removed only with those around it. Returns: those removed, ascending.
    Raises: ValueError unless `keep` is at least 1; OSError where there is no such folder.
    """
    if keep < 1:
        raise ValueError(f"at least one version is kept; got {keep}")
    for left in releases.glob(f"{_REMOVED}*"):  # of a prune that was cut short
        shutil.rmtree(left, ignore_errors=True)
    whole = (one.version for one in listed(releases, check=True) if not one.problem)
    oldest = next((version for place, version in enumerate(whole, 1) if place == keep), 0)
    old = [version for version in versions(releases) if version < oldest and version not in spared]
    for version in old:
        # Renamed first: a server that polls sees a version whole or not at all. What it has open stays readable.
        gone = releases / f"{_REMOVED}{version}-{secrets.token_hex(4)}"
        (releases / str(version)).rename(gone)
        shutil.rmtree(gone)
        for left in (changes := changes_file(releases / str(version))), changes.with_suffix(".lock"):
            left.unlink(missing_ok=True)
    return old
