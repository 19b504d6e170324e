"""A release: SavedModel, indexes and items as one integer folder that is either whole or not there.

Standard library only. `compose` lays one out, `push` makes it visible in one rename, `verify` checks every byte.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FORMAT = 1
EXTRA = "assets.extra"
MANIFEST = f"{EXTRA}/release.json"
ITEMS = f"{EXTRA}/items.parquet"
INDEX = f"{EXTRA}/index"
WARM_UP = f"{EXTRA}/tf_serving_warmup_requests"
_PARTIAL = ".partial-"


class ReleaseError(ValueError):
    """A folder is no release that can be served; the message says what is wrong, where, and what to do."""


@dataclass(frozen=True)
class Manifest:
    """release.json. `model` is the model's fingerprint, repeated in each index; `files` maps each path to its sha256."""

    version: int
    system: str
    dataset: str
    model: str
    taxonomy: dict[str, Any]
    metrics: dict[str, Any]
    counts: dict[str, int]
    files: dict[str, str] = field(default_factory=dict)
    created: str = ""
    format: int = FORMAT


def compose(
    folder: Path,
    version: int,
    *,
    saved_model: Path,
    index: Path,
    items: Path,
    taxonomy: dict[str, Any],
    system: str,
    dataset: str,
    metrics: dict[str, Any],
    counts: dict[str, int],
    warm_up: bytes = b"",
) -> Manifest:
    """Lays a whole release out in the empty `folder`, the manifest last.

    Args:
        saved_model: the exported model. index: a folder with one of `serving.index` for every attribute.
        items: the Parquet file whose row i is row i of every index. metrics: overall results.
        warm_up: a TFRecord of PredictionLog; empty leaves the file out.
    """
    shutil.copytree(saved_model, folder, dirs_exist_ok=True)
    shutil.copytree(index, folder / INDEX)
    shutil.copyfile(items, folder / ITEMS)
    if warm_up:
        (folder / WARM_UP).write_bytes(warm_up)
    model = fingerprint(saved_model)
    for one in sorted((folder / INDEX).iterdir()):
        (one / "model.json").write_text(json.dumps({"model": model}))
    files = {name: _sha256(folder / name) for name in _files(folder)}
    created = datetime.now(UTC).isoformat(timespec="seconds")
    manifest = Manifest(version, system, dataset, model, taxonomy, metrics, counts, files, created)
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), ensure_ascii=False, indent=1), encoding="utf-8")
    return manifest


def fingerprint(saved_model: Path) -> str:
    """One sha256 over the names and contents of a SavedModel's files."""
    digest = hashlib.sha256()
    for name in _files(saved_model):
        digest.update(f"{name}\0{_sha256(saved_model / name)}\n".encode())
    return digest.hexdigest()


def verify(folder: Path) -> Manifest:
    """Checks that `folder` is exactly what was composed. Raises: ReleaseError."""
    hint = "remove this version and push again"
    try:
        manifest = Manifest(**json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ReleaseError(f"{folder}: {MANIFEST} cannot be read ({error}); {hint}") from None
    if manifest.format != FORMAT:
        raise ReleaseError(f"{folder}: release format {manifest.format} is not {FORMAT}; update m3net")
    if str(manifest.version) != folder.name and folder.name.isdecimal():
        raise ReleaseError(f"{folder}: its manifest says version {manifest.version}; {hint}")
    there = set(_files(folder)) - {MANIFEST}
    if there != set(manifest.files):
        odd = sorted(there ^ set(manifest.files))[0]
        raise ReleaseError(f"{folder}: {odd} is {'not in the manifest' if odd in there else 'missing'}; {hint}")
    for name, digest in manifest.files.items():
        if _sha256(folder / name) != digest:
            raise ReleaseError(f"{folder}: {name} has changed since it was pushed; {hint}")
    for one in sorted((folder / INDEX).iterdir()):
        if json.loads((one / "model.json").read_text())["model"] != manifest.model:
            raise ReleaseError(f"{folder}: the index {one.name} belongs to another model; {hint}")
    return manifest


def versions(releases: Path) -> list[int]:
    """The versions in `releases`, ascending."""
    return sorted(int(one.name) for one in releases.iterdir() if one.name.isdecimal() and one.is_dir())


def push(releases: Path, compose_into: Callable[[Path, int], Any]) -> int:
    """Makes a new release visible, whole or not at all, whenever it is cut short.

    Args:
        compose_into: called with an empty folder and the version; fills the folder.
    Returns: the version, one above the highest there.
    """
    releases.mkdir(parents=True, exist_ok=True)
    _sweep(releases)
    while True:
        version = max(versions(releases), default=0) + 1
        partial = releases / f"{_PARTIAL}{os.getpid()}-{version}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            compose_into(partial, version)
            _sync(partial)
            # Written beside and renamed: within one filesystem a rename is seen whole or not at all by a server that polls.
            # Not a copy in place, as the stock Pusher does: cut short, it leaves a numbered folder without its graph.
            partial.rename(releases / str(version))
        except FileExistsError:
            continue  # another pusher took this number meanwhile
        except OSError:
            if (releases / str(version)).exists():
                continue
            raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        _sync_folder(releases)
        return version


def _sweep(releases: Path) -> None:
    """Removes what pushers left that are no longer alive."""
    for one in releases.glob(f"{_PARTIAL}*"):
        pid = one.name.removeprefix(_PARTIAL).split("-")[0]
        if pid.isdecimal() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(one, ignore_errors=True)


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    for one in _tree(folder):
        _sync_folder(one)


def _tree(folder: Path) -> Iterator[Path]:
    yield from folder.rglob("*")
    yield folder


def _sync_folder(path: Path) -> None:
    """fsync of a file or a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
