"""An `Explanation` for people: what a release was made of, in a page of text."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from tabulate import tabulate

from pipeline.config import Config
from pipeline.explain import Explanation


def as_text(found: Explanation) -> str:
    """A line or a table each for release, data, code, configuration, metrics and steps; what is missing comes last."""
    again = f", version {found.original} released again" if found.original != found.version else ""
    title = f"version {found.version}{again}: {found.release.get('system', '')} on {found.release.get('dataset', '')}"
    lines = [title if found.release["whole"] else f"version {found.version}{again}", ""]
    rows = [
        ("release", f"{found.release['folder']}, created {found.release.get('created', 'unknown')}"),
        ("run", " ".join(filter(None, [found.run["id"], found.run.get("started", "") and f"started {found.run['started']}"]))),
        ("why", found.verdict),
        ("data", _data(found.data)),
        ("rows", ", ".join(f"{split} {count:,}" for split, count in found.data.get("rows", {}).items())),
        ("code", _code(found.code)),
        ("config", f"{found.run.get('config_hash', '')}, all of it with --format json" if found.config else ""),
        ("recipe", _recipe(found.recipe)),
    ]
    lines += [f"{name:<9}{text or 'not recorded'}" for name, text in rows]
    lines += [f"{'':<9}{line}" for line in _changed(found.config)]
    lines += ["", *_metrics(found.metrics), "", *_steps(found.steps)]
    return "\n".join([*lines, *(f"\nnote: {one}" for one in found.missing)])


def _data(data: dict[str, Any]) -> str:
    parts = [str(data.get("catalogue", "")), data.get("format", "") and f"format {data['format']}"]
    parts += [f"{name} {data[name]}" for name in ("fingerprint", "span") if data.get(name)]
    return ", ".join(filter(None, parts))


def _code(code: dict[str, str]) -> str:
    if not code:
        return ""
    commit = f"commit {code['commit']}" if code.get("commit") else "no git work tree"
    rest = [f"{name} {version}" for name, version in code.items() if name not in ("commit", "m3net") and version]
    return ", ".join([f"m3net {code.get('m3net', '')}", commit, *rest])


def _recipe(recipe: dict[str, Any]) -> str:
    if not recipe:
        return ""
    model = recipe["model"]
    valid = f", valid MAP {100 * recipe['valid_map']:.2f}" if recipe.get("valid_map") is not None else ""
    return f"{model['backbone']} at {model['image_size']} pixels, {recipe['parameters']:,} parameters, {recipe['epochs']} epochs{valid}"


def _changed(config: dict[str, Any]) -> Iterator[str]:
    """What differs from the defaults of this m3net."""
    usual = dataclasses.asdict(Config())
    for part, values in config.items():
        for name, value in values.items():
            standard = usual.get(part, {}).get(name)
            if value != (list(standard) if isinstance(standard, tuple) else standard):
                yield f"{part}.{name}={value}"


def _metrics(metrics: dict[str, Any]) -> Iterator[str]:
    rows = [
        [name, *(f"{100 * one[key]:.2f}" for key in ("map", "map_at_100", "recall_at_100", "random_map")), _interval(one)]
        for name, one in [*metrics.get("attributes", {}).items(), ("overall", metrics.get("overall", {}))]
        if one
    ]
    if rows:
        yield tabulate(
            rows,
            ("percent", "MAP@all", "MAP@100", "Recall@100", "random MAP", "95 %"),
            tablefmt="simple",
            disable_numparse=True,
            colalign=("left", *["right"] * 5),
        )


def _interval(values: dict[str, Any]) -> str:
    between = values.get("map_interval")
    return f"{100 * between[0]:.2f} to {100 * between[1]:.2f}" if between else ""


def _steps(steps: list[dict[str, Any]]) -> Iterator[str]:
    if not steps:
        return
    if "execution" not in steps[0]:
        yield "artifacts, as they were called where it was made"
        yield from (f"  {one['component']}: {uri}" for one in steps for uris in one["outputs"].values() for uri in uris)
        return
    rows = [
        [one["component"], one["execution"], one["started"].removesuffix("+00:00"), f"{one['seconds']:.1f}", _when(one)]
        for one in steps
    ]
    heads = ("component", "execution", "started (UTC)", "seconds", "")
    yield tabulate(rows, heads, tablefmt="simple", disable_numparse=True, colalign=("left", "right", "left", "right", "left"))
    yield ""
    yield from (f"{one['component']}.{key}: {uri}" for one in steps for key, uris in one["outputs"].items() for uri in uris)


def _when(step: dict[str, Any]) -> str:
    return f"from cache: run {step['run']}" if step["cached"] else ""
