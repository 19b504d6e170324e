"""`m3net releases`: a table of what is there, and what was done."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tabulate import tabulate

from pipeline.config import ConfigError
from serving import retention
from serving.call import RequestError
from serving.release import versions
from serving.retention import Listed

if TYPE_CHECKING:  # only then, for it loads a model
    from serving.drift import Drift


def run(arguments: argparse.Namespace) -> int:
    """One of the acts. Returns: the exit code, 2 where `verify` found damage."""
    if not arguments.folder.is_dir():
        raise ConfigError(f"{arguments.folder} is no folder; give the one that holds the releases")
    acts: dict[str, Callable[[argparse.Namespace], int]] = {
        "list": lambda given: _show(list(retention.listed(given.folder)), given.folder),
        "verify": lambda given: _show(list(retention.listed(given.folder, check=True)), given.folder),
        "rollback": _rollback,
        "prune": _prune,
        "warm-up": _warm_up,
        "drift": _drift,
    }
    return acts[arguments.act](arguments)


def _show(found: Sequence[Listed], folder: Path) -> int:
    if not found:
        print(f"{folder} holds no release")
        return 0
    names = ("version", "created (UTC)", "system", "dataset", "MAP@all", "items", "")
    print(tabulate([_row(one) for one in found], headers=names, disable_numparse=True, tablefmt="simple"))
    for one in found:
        if one.problem:
            print(f"damaged: {one.problem}")
    return 2 if any(one.problem for one in found) else 0


def _row(one: Listed) -> list[object]:
    if one.problem:
        return [one.version, "", "", "", "", "", "damaged"]
    score = f"{100 * one.map_all:.2f}" if one.map_all == one.map_all else ""
    remark = f"version {one.copy_of} again" if one.copy_of else ""
    return [one.version, one.created.removesuffix("+00:00"), one.system, one.dataset, score, one.items or "", remark]


def _rollback(arguments: argparse.Namespace) -> int:
    version = retention.rollback(arguments.folder, arguments.version)
    copy_of = next(one.copy_of for one in retention.listed(arguments.folder) if one.version == version)
    print(f"version {copy_of} released again as version {version}; servers of {arguments.folder} move to it")
    return 0


def _warm_up(arguments: argparse.Namespace) -> int:
    from serving import logged

    try:
        done = logged.warmed(arguments.folder, arguments.logs)
    except logged.LogError as error:
        raise ConfigError(str(error)) from None
    print(f"{done.records} requests of the log are the warm-up; skipped, for the model cannot be asked them: {done.skipped}")
    print(
        f"version {done.version} is the newest again, with its warm-up from the log; servers of {arguments.folder} move to it"
    )
    return 0


def _drift(arguments: argparse.Namespace) -> int:
    from serving import drift, logged

    if not (there := versions(arguments.folder)):
        raise ConfigError(f"{arguments.folder} holds no release to compare with")
    try:
        found = drift.drifts(arguments.folder / str(there[-1]), logged.photos(arguments.logs))
    except (logged.LogError, RequestError) as error:
        raise ConfigError(str(error)) from None
    names = ("attribute", "photos", "items", "distance", "limit", "moved most", "drift")
    print(tabulate([_compared(one) for one in found], headers=names, disable_numparse=True, tablefmt="simple"))
    return 0


def _compared(one: "Drift") -> list[object]:
    if one.distance != one.distance:
        return [one.attribute, one.photos, one.items, "", "", "", "nothing to compare"]
    name, then, now = one.moved
    moved = f"{name}: {then:.1%} of the items' labels, {now:.1%} now"
    return [
        one.attribute,
        one.photos,
        one.items,
        f"{one.distance:.3f}",
        f"{one.limit:.3f}",
        moved,
        "yes" if one.found else "no",
    ]


def _prune(arguments: argparse.Namespace) -> int:
    if arguments.keep < 1:
        raise ConfigError(f"--keep {arguments.keep}: at least one version is kept")
    named = retention.named(arguments.model_config_file) if arguments.model_config_file else frozenset()
    removed = retention.prune(arguments.folder, arguments.keep, named)
    print(f"removed: {', '.join(map(str, removed)) or 'none'}")
    return 0
