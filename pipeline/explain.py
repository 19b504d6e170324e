"""`m3net explain-release`: which data, code, configuration, numbers and artifacts made a release.

ML Metadata is asked where the run's folder is at hand. A release that was copied away tells what its manifest holds, and
that it is no more than that.
"""

import dataclasses
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.errors import InputError
from models.recipe import RECIPE_FILE
from serving.release import MANIFEST, Manifest, ReleaseError, read_manifest, versions


@dataclass(frozen=True)
class Explanation:
    """A release and its making.

    `source` is "metadata" or "manifest"; `missing` says in words what could not be found out. `steps`: everything that the
    release follows from, first what was first; `cached` ones ran in an earlier run, named in `run`.
    """

    version: int
    original: int  # the version that a rollback made this one from, else `version`
    source: str
    missing: list[str]
    release: dict[str, Any]
    run: dict[str, Any]
    data: dict[str, Any]
    code: dict[str, str]
    config: dict[str, Any]
    recipe: dict[str, Any]
    metrics: dict[str, Any]
    verdict: str
    steps: list[dict[str, Any]]


def explain(version: int, folder: Path) -> Explanation:
    """Explains `version` of `folder`: the --output of a run, a folder of releases, or the release itself.

    Raises: InputError where there is neither such a release nor a record of one.
    """
    run, releases = _places(folder)
    manifest = _manifest(releases, version)
    original = manifest
    while original and original.copy_of:
        version_before = original.copy_of
        original = _manifest(releases, version_before)
        if original is None:
            return _of(version, version_before, releases, manifest, run)
    return _of(version, original.version if original else version, releases, manifest, run)


def _of(version: int, original: int, releases: Path, manifest: Manifest | None, run: Path | None) -> Explanation:
    known = _recorded(run, original, manifest.run if manifest else "") if run else None
    if known is None and manifest is None:
        there = ", ".join(map(str, versions(releases))) if releases.is_dir() else ""
        raise InputError(f"{releases} holds no version {version}{f'; it holds: {there}' if there else ''}")
    missing = []
    if manifest is None:
        missing.append(f"{releases / str(version)} is gone; told from ML Metadata")
    if known is None:
        where = f"{run} has no record of it" if run else "no run's folder is beside it; give that of the run for the rest"
        missing.append(f"told from its manifest alone: {where}; configuration, steps and their times are not in it")
    told = manifest.provenance if manifest else {}
    if known is None and not told:
        missing.append("the manifest is of an older m3net and says nothing of data and code")
    known = known or {}
    return Explanation(
        version=version,
        original=original,
        source="metadata" if known else "manifest",
        missing=missing,
        release=_release(releases / str(version), manifest),
        run=known.get("run") or {"id": manifest.run if manifest else ""},
        data=known.get("data") or told.get("data", {}),
        code=known.get("code") or told.get("code", {}),
        config=known.get("config", {}),
        recipe=known.get("recipe") or told.get("recipe", {}),
        metrics=known.get("metrics") or ({"overall": manifest.metrics} if manifest else {}),
        verdict=known.get("verdict") or told.get("verdict", ""),
        steps=known.get("steps") or [_artifact(key, one) for key, one in told.get("artifacts", {}).items()],
    )


def _places(folder: Path) -> tuple[Path | None, Path]:
    """The run's folder, if it is one, and the folder of releases."""
    if (folder / MANIFEST).is_file():
        folder = folder.resolve().parent
    for run in (folder, folder.resolve().parent):
        if any((run / "tfx" / name).is_file() for name in ("metadata.sqlite", "metadata.json")):
            return run, folder if folder != run else run / "releases"
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give the --output of a run, or the folder that holds the releases")
    return None, folder / "releases" if (folder / "releases").is_dir() else folder


def _manifest(releases: Path, version: int) -> Manifest | None:
    try:
        return read_manifest(releases / str(version))
    except ReleaseError:
        if (releases / str(version)).is_dir():
            raise
        return None


def _release(folder: Path, manifest: Manifest | None) -> dict[str, Any]:
    if manifest is None:
        return {"folder": str(folder), "whole": False}
    named = ("created", "system", "dataset", "model", "counts", "copy_of")
    return {"folder": str(folder), "whole": True, **{name: getattr(manifest, name) for name in named}}


def _artifact(key: str, one: dict[str, Any]) -> dict[str, Any]:
    return {"component": key, "outputs": {key: [one["uri"]]}}


def _recorded(run: Path, version: int, run_id: str) -> dict[str, Any] | None:
    """What ML Metadata knows of a version; None where it knows no such push."""
    from pipeline.lineage import Lineage

    lineage = Lineage(run)
    pushed = [
        one
        for one in lineage.store.get_artifacts_by_type("PushedModel")
        if one.custom_properties["pushed_version"].string_value == str(version)
    ]
    # A folder of releases that was emptied counts from 1 again: its manifest says which push it is.
    mine = [one for one in pushed if run_id and lineage.run_of(lineage.maker(one.id)).name == run_id] or pushed
    if not mine:
        return None
    execution = lineage.maker(max(mine, key=lambda one: one.id).id)
    context = lineage.run_of(execution)
    facts = {name: value.string_value for name, value in context.custom_properties.items()}
    inputs = lineage.artifacts(execution.id, inputs=True)
    steps = [_step(lineage, one, context) for one in lineage.upstream(execution)]
    evaluation, model, examples = (_folder(lineage, inputs[key]) for key in ("evaluation", "model", "examples"))
    return {
        "run": {
            "id": context.name,
            "started": _time(context.create_time_since_epoch),
            "config_hash": facts.get("config_hash", ""),
        },
        "data": _data(lineage, inputs["examples"], examples),
        "code": {name.removeprefix("code_"): value for name, value in facts.items() if name.startswith("code_")},
        "config": json.loads(facts.get("config", "{}")),
        "recipe": _json(model, RECIPE_FILE),
        "metrics": {key: one for key, one in _json(evaluation, "results.json").items() if key in ("attributes", "overall")},
        "verdict": _json(evaluation, "verdict.json").get("reason", ""),
        "steps": steps,
    }


def _step(lineage: Any, execution: Any, of: Any) -> dict[str, Any]:
    ran = lineage.run_of(execution)
    return {
        "component": lineage.name(execution),
        "execution": execution.id,
        "run": ran.name,
        "cached": ran.id != of.id,
        "started": _time(execution.create_time_since_epoch),
        "seconds": round((execution.last_update_time_since_epoch - execution.create_time_since_epoch) / 1000, 1),
        "commit": ran.custom_properties["code_commit"].string_value if "code_commit" in ran.custom_properties else "",
        "inputs": {key: [one.uri] for key, one in lineage.artifacts(execution.id, inputs=True).items()},
        "outputs": {key: [one.uri] for key, one in lineage.artifacts(execution.id, inputs=False).items()},
    }


def _data(lineage: Any, artifact: Any, examples: Path | None) -> dict[str, Any]:
    from components.notes import noted, public

    told = noted(artifact)
    made = lineage.maker(artifact.id).custom_properties
    for name, key in (("catalogue", "catalogue"), ("format", "format"), ("fingerprint", "version")):
        if name not in told and key in made:
            told[name] = public(made[key].string_value)
    return {**told, "rows": _json(examples, "counts.json")}


def _folder(lineage: Any, artifact: Any) -> Path | None:
    """Where it lies now; None where somebody has deleted it."""
    try:
        return Path(lineage.place(artifact))
    except InputError:
        return None


def _json(folder: Path | None, name: str) -> dict[str, Any]:
    file = folder / name if folder else None
    return json.loads(file.read_text(encoding="utf-8")) if file and file.is_file() else {}


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")


def as_json(found: Explanation) -> str:
    """All of it."""
    return json.dumps({"format": 1, **dataclasses.asdict(found)}, ensure_ascii=False, indent=1)
