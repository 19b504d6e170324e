"""A study: systems x seeds through the same pipeline on the same Examples, each finished run kept, and what they come to."""

import dataclasses
import hashlib
import json
import statistics
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from components.errors import InputError
from pipeline.config import Config, ConfigError
from pipeline.lock import exclusive
from pipeline.progress import quiet

Runs = Mapping[tuple[str, int], Config]  # by the system's or recipe's name, and seed
_MEASURES = (
    "map", "map_at_100", "map_at_100_of_relevant", "recall_at_100",
    "random_map", "random_map_at_100", "random_recall_at_100",
)  # fmt: skip


def run(planned: Runs, output: Path) -> dict[tuple[str, int], str]:
    """Runs what has no result yet; ingestion is the same for all, and so is answered from cache but once.

    A run that cannot go on (its loss breaks, memory runs out) costs its own row alone.

    Writes: runs/<system>-<seed>/results.json, with `seed`, `valid_map` and the `key` of all that it follows from, and
    beside it what `study_queries` keeps; where that alone is missing, it is made of what the run left.
    Returns: why a run has no result, for each that has none. Raises: InputError where another study or run writes there;
    ConfigError where systems ask for several backends: Keras has one a process.
    """
    if len(backends := {config.training.backend for config in planned.values()}) > 1:
        raise ConfigError(
            f"training.backend: a study has one for all its systems, and the recipes name {', '.join(sorted(backends))}"
        )
    with exclusive(output):
        return _run(planned, output)


def _run(planned: Runs, output: Path) -> dict[tuple[str, int], str]:
    """`run`, while the folder is held."""
    from pipeline.fingerprint import fingerprint

    data = next(iter(planned.values())).data
    version = fingerprint(data.catalogue, data.format)  # a catalogue that cannot be read costs no minute of imports
    quiet()  # before TensorFlow is imported with what follows
    from models.errors import TrainingError
    from pipeline import local, study_queries

    failed = {}
    for place, ((name, seed), config) in enumerate(planned.items(), start=1):
        key = _key(config, version)
        if (found := _read(output, name, seed)) and found["key"] == key:
            lacking = study_queries.read(_file(output, name, seed).parent, key) is None
            print(f"{name}, seed {seed}: finished before{', its queries are read again' if lacking else ''}", file=sys.stderr)
            if lacking:
                _keep_queries(output, name, seed, found)
            continue
        print(f"{name}, seed {seed}: {place} of {len(planned)}", file=sys.stderr, flush=True)
        try:
            results, valid = local.run_evaluation(config, output)
        except TrainingError as error:
            failed[name, seed] = str(error)
            continue
        found = {**results, "seed": seed, "valid_map": valid, "key": key}
        _write(_file(output, name, seed), found)
        _keep_queries(output, name, seed, found)
    return failed


def _keep_queries(output: Path, name: str, seed: int, found: dict[str, Any]) -> None:
    """A run whose artifacts were cleared away still has its row, without what follows from them."""
    from pipeline import study_queries

    try:
        study_queries.keep(output, _file(output, name, seed).parent, found)
    except InputError as error:
        print(f"{name}, seed {seed}: without interval and difference: {error}", file=sys.stderr)


def write(finished: Iterable[tuple[str, int]], output: Path, style: str) -> str:
    """The study's two tables in `style`.

    Writes: <system>/results.json, the mean over seeds; study.json and .md, with both tables; study.csv and differences.csv.
    """
    from pipeline import study_differences, study_queries, study_table

    means, answers = {}, {}
    runs = list(finished)
    for name in dict.fromkeys(name for name, _ in runs):
        found = [one for (other, seed) in runs if other == name and (one := _read(output, name, seed))]
        if found:
            means[name] = mean(found)
            kept = {one["seed"]: study_queries.read(_file(output, name, one["seed"]).parent, one["key"]) for one in found}
            answers[name] = {seed: table for seed, table in kept.items() if table is not None}
    study_differences.add(means, answers)
    for name, one in means.items():
        _write(output / name / "results.json", one)
    tables = {kind: study_table.render(means, kind) for kind in ("text", "markdown", "csv", "json")}
    differences = {kind: study_differences.render(means, kind) for kind in ("text", "markdown", "csv")}
    texts = {kind: "\n\n".join(filter(None, (table, differences.get(kind)))) for kind, table in tables.items()}
    written = {"study.md": texts["markdown"], "study.json": texts["json"], "study.csv": tables["csv"]}
    for file, text in {**written, "differences.csv": differences["csv"]}.items():
        if text:
            (output / file).write_text(text + "\n", encoding="utf-8")
        else:  # of one system alone, and an older study's table would not be its
            (output / file).unlink(missing_ok=True)
    return texts[style]


def mean(found: list[dict[str, Any]]) -> dict[str, Any]:
    """results.json of several seeds as one: each measure's mean, and as `map_spread` the standard deviation over seeds.

    `map_spread` divides by n - 1; None for one seed. `valid_map`: mean, None where a seed has none.
    """
    valid = [one["valid_map"] for one in found]
    names = {key: found[0][key] for key in ("format", "dataset", "protocol", "system", "split")}
    return {
        **names,
        "attributes": {name: _mean([one["attributes"][name] for one in found]) for name in found[0]["attributes"]},
        "overall": _mean([one["overall"] for one in found]),
        "valid_map": None if None in valid else statistics.fmean(valid),
        "seeds": [one["seed"] for one in found],
    }


def _mean(values: list[dict[str, Any]]) -> dict[str, Any]:
    maps = [one["map"] for one in values]
    return {
        **{key: statistics.fmean(one[key] for one in values) for key in _MEASURES},
        "map_spread": statistics.stdev(maps) if len(maps) > 1 else None,
        "queries": values[0]["queries"],
        "candidates": values[0]["candidates"],
    }


def _key(config: Config, version: str) -> str:
    told = json.dumps([dataclasses.asdict(config), version], sort_keys=True)
    return hashlib.blake2b(told.encode(), digest_size=8).hexdigest()


def _file(output: Path, name: str, seed: int) -> Path:
    return output / "runs" / f"{name}-{seed}" / "results.json"


def _read(output: Path, name: str, seed: int) -> dict[str, Any] | None:
    file = _file(output, name, seed)
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def _write(file: Path, found: dict[str, Any]) -> None:
    """A killed study has whole results or none."""
    from pipeline import results

    file.parent.mkdir(parents=True, exist_ok=True)
    results.write(file, found)
