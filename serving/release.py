"""A release: SavedModel, indexes and items as one integer folder that is either whole or not there.

`compose` lays one out, `push` makes it visible in one rename, `verify` checks every byte. Neither needs TensorFlow.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from models.taxonomy import Taxonomy
from serving.disk import make_partial, rename, sweep, sync, sync_one
from serving.index import read_info
from serving.operations import operations, stock
from serving.warm_up import warm_up_records

FORMAT = 1
EXTRA = "assets.extra"
MANIFEST = f"{EXTRA}/release.json"
ITEMS = f"{EXTRA}/items.parquet"
INDEX = f"{EXTRA}/index"
WARM_UP = f"{EXTRA}/tf_serving_warmup_requests"
MODEL_CARD = f"{EXTRA}/model_card.html"
_MODEL = "model.json"  # in each index: the fingerprint of the model that its vectors came from
_HINT = "remove this version and push again"


class ReleaseError(ValueError):
    """A folder is no release that can be served; the message says what is wrong, where, and what to do."""


@dataclass(frozen=True)
class Manifest:
    """release.json: what a release is, and a checksum of all it holds.

    `model` is the model's fingerprint, repeated in each index; `vector_length` the numbers in a retrieval vector;
    `taxonomy` as in taxonomy.json; `files` maps each path to its sha256; `created` is UTC, ISO 8601; `copy_of` the
    version that a rollback made this one from, else 0; `indexes` by attribute what `IndexInfo` says: kind, size and the
    recall measured against exact search. `operations` are the names of what the SavedModel's graph calls, none in releases
    from before they were written down. `run` is the id of the pipeline run that pushed it, `provenance` what it was made
    of and by which code; both empty where whoever composed it did not say.
    """

    version: int
    system: str
    dataset: str
    model: str
    vector_length: int
    taxonomy: dict[str, Any]
    metrics: dict[str, Any]
    counts: dict[str, int]
    files: dict[str, str]
    created: str
    format: int = FORMAT
    copy_of: int = 0
    indexes: dict[str, dict[str, Any]] = field(default_factory=dict)
    operations: list[str] = field(default_factory=list)
    run: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)


def compose(
    folder: Path,
    version: int,
    *,
    saved_model: Path,
    index: Path,
    items: Path,
    taxonomy: Taxonomy,
    system: str,
    dataset: str,
    metrics: Mapping[str, Any],
    counts: Mapping[str, int],
    warmup_image: bytes,
    run: str = "",
    provenance: Mapping[str, Any] | None = None,
    model_card: str = "",
) -> Manifest:
    """Lays a whole release out in the empty `folder`, the manifest last.

    Args:
        saved_model: the exported model. index: a folder with one of `serving.index` for every attribute.
        items: the Parquet file whose row i is row i of every index. metrics: overall results, fractions.
        warmup_image: a JPEG; the server asks it of itself, once an attribute, before it answers anybody.
        run, provenance: see `Manifest`. model_card: HTML; "" leaves none.
    Raises: ReleaseError where the indexes do not fit the taxonomy or each other, or the model is none for stock TensorFlow.
    """
    shutil.copytree(saved_model, folder, dirs_exist_ok=True)
    shutil.copytree(index, folder / INDEX)
    shutil.copyfile(items, folder / ITEMS)
    (folder / WARM_UP).write_bytes(warm_up_records(warmup_image, taxonomy.names))
    if model_card:
        (folder / MODEL_CARD).write_text(model_card, encoding="utf-8")
    files = {name: _sha256(folder / name) for name in _files(folder)}
    model = _fingerprint(files)
    for one in (folder / INDEX).iterdir():
        (one / _MODEL).write_text(json.dumps({"model": model}), encoding="utf-8")
        files[f"{INDEX}/{one.name}/{_MODEL}"] = _sha256(one / _MODEL)
    manifest = Manifest(
        version=version,
        system=system,
        dataset=dataset,
        model=model,
        vector_length=read_info(folder / INDEX / taxonomy.names[0]).length,
        taxonomy=json.loads(taxonomy.to_json()),
        metrics=dict(metrics),
        counts=dict(counts),
        files=files,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        indexes={one.name: asdict(read_info(one)) for one in sorted((folder / INDEX).iterdir())},
        operations=_operations(folder),
        run=run,
        provenance=dict(provenance or {}),
    )
    _check_indexes(folder, manifest)
    text = json.dumps(asdict(manifest), ensure_ascii=False, indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """What a release says of itself; only format and types are checked. Raises: ReleaseError where it cannot be read."""
    try:
        manifest = Manifest(**json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
        known = manifest.format == FORMAT
        if known:  # of other formats it is not known what their fields hold
            _check_types(manifest)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ReleaseError(f"{folder}: {MANIFEST} cannot be read ({error}); {_HINT}") from None
    if not known:
        raise ReleaseError(f"{folder}: release format {manifest.format} is not {FORMAT}, the one known; update m3net")
    return manifest


def _check_types(manifest: Manifest) -> None:
    """Every field is of the type that `Manifest` says. Raises: TypeError; ValueError for the taxonomy."""
    for name, kind in get_type_hints(Manifest).items():
        _check_type(name, getattr(manifest, name), kind)
    _check_type("metrics.map", manifest.metrics.get("map", 0.0), float)
    Taxonomy.from_json(json.dumps(manifest.taxonomy))


def _check_type(name: str, value: object, kind: Any) -> None:
    if kind is Any:
        return
    outer = get_origin(kind) or kind
    if type(value) is not outer:  # not isinstance: JSON's true is no number
        raise TypeError(f"{name} holds {json.dumps(value)[:40]}, which is no {outer.__name__}")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        _check_type(name, one, get_args(kind)[-1])


def verify(folder: Path) -> Manifest:
    """Checks that `folder` is exactly what was composed. Raises: ReleaseError."""
    manifest = read_manifest(folder)
    if folder.name.isdecimal() and folder.name != str(manifest.version):
        raise ReleaseError(f"{folder}: its manifest says version {manifest.version}; {_HINT}")
    there = set(_files(folder)) - {MANIFEST}
    if odd := sorted(there ^ set(manifest.files)):
        what = "not in the manifest" if odd[0] in there else "missing"
        raise ReleaseError(f"{folder}: {odd[0]} is {what}; {_HINT}")
    for name, digest in manifest.files.items():
        if _sha256(folder / name) != digest:
            raise ReleaseError(f"{folder}: {name} has changed since it was pushed; {_HINT}")
    if _fingerprint(manifest.files) != manifest.model:
        raise ReleaseError(f"{folder}: the SavedModel is not the one that the manifest names; {_HINT}")
    found = _operations(folder)
    if manifest.operations and (odd := sorted({*found} ^ {*manifest.operations})):
        raise ReleaseError(f"{folder}: the SavedModel's operations are not those of the manifest ({odd[0]}); {_HINT}")
    _check_indexes(folder, manifest)
    return manifest


def _operations(folder: Path) -> list[str]:
    """Those of the SavedModel, all of them stock TensorFlow's: others would stop an unmodified TensorFlow Serving."""
    try:
        found = operations(folder)
    except (OSError, ValueError) as error:
        raise ReleaseError(f"{folder}: saved_model.pb cannot be read ({error}); export the model again and push it") from None
    if odd := sorted({*found} - stock()):
        raise ReleaseError(
            f"{folder}: the model calls {odd[0]}, no operation of stock TensorFlow; export it without and push again"
        )
    return found


def _check_indexes(folder: Path, manifest: Manifest) -> None:
    """One index an attribute, all of one model, one size and one length."""
    names = [attribute["name"] for attribute in manifest.taxonomy["attributes"]]
    found = sorted(one.name for one in (folder / INDEX).iterdir())
    if found != sorted(names):
        raise ReleaseError(f"{folder}: indexes {found} are not the taxonomy's attributes {sorted(names)}; {_HINT}")
    size = read_info(folder / INDEX / names[0]).size
    for name in names:
        one = folder / INDEX / name
        if json.loads((one / _MODEL).read_text(encoding="utf-8"))["model"] != manifest.model:
            raise ReleaseError(f"{folder}: the index {name} belongs to another model; {_HINT}")
        info = read_info(one)
        if (info.size, info.length) != (size, manifest.vector_length):
            raise ReleaseError(
                f"{folder}: the index {name} holds {info.size} vectors of {info.length} numbers, "
                f"not {size} of {manifest.vector_length} as the others; build all from one Embeddings and push again"
            )


def versions(releases: Path) -> list[int]:
    """The versions in `releases`, ascending. Raises: OSError where there is no such folder."""
    numbers = [one.name for one in releases.iterdir() if re.fullmatch("0|[1-9][0-9]*", one.name) and one.is_dir()]
    return sorted(map(int, numbers))


def push(releases: Path, compose_into: Callable[[Path, int], Any]) -> int:
    """Makes a new release visible, whole or not at all, whenever it is cut short.

    Args:
        compose_into: called with an empty folder and the version; fills the folder. Called again, with the next
            version, where another pusher took this one meanwhile.
    Returns: the version, one above the highest there.
    Raises: ReleaseError where what was composed is no release; what `compose_into` raises. Nothing is left then.
    """
    releases.mkdir(parents=True, exist_ok=True)
    sweep(releases)
    while True:
        version = max(versions(releases), default=0) + 1
        partial = make_partial(releases)
        try:
            compose_into(partial, version)
            if verify(partial).version != version:
                raise ReleaseError(f"{releases}: version {version} was composed as another; pass on the version given")
            sync(partial)
            if rename(partial, releases / str(version)):
                sync_one(releases)
                return version
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def _fingerprint(files: Mapping[str, str]) -> str:
    """One sha256 over the names and checksums of the SavedModel's files among a release's."""
    model = {name: digest for name, digest in files.items() if not name.startswith(f"{EXTRA}/")}
    return hashlib.sha256(json.dumps(model, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
