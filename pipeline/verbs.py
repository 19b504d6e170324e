"""What each verb of the command line does, one function each, named by the verb."""

import argparse
import errno
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from pipeline.config import QUICK, Config, ConfigError, load
from pipeline.options import parser

HELD_BACK = 3  # exit code of a run whose model the gate, or the release validator, held back


def mendable(error: Exception) -> bool:
    """Whether the error's message tells the user what to mend; those of rooms not loaded cannot have been raised."""
    places = [
        ("components.errors", "InputError"),
        ("components.catalogue_gen.photo", "PhotoError"),
        ("models.errors", "TrainingError"),
        ("serving.changes", "ChangeError"),
        ("serving.client", "ClientError"),
        ("serving.release", "ReleaseError"),
        ("serving.settings", "SettingsError"),
    ]
    loaded = [getattr(sys.modules[module], name) for module, name in places if module in sys.modules]
    files = (FileExistsError, FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)
    read_only = isinstance(error, OSError) and error.errno == errno.EROFS
    return read_only or isinstance(error, (ConfigError, *files, *loaded))


def configured(arguments: argparse.Namespace) -> Config:
    """The configuration that the options ask for."""
    overrides = list(arguments.set)
    if arguments.system:
        overrides.append(f"model.system={arguments.system}")
    if arguments.catalogue:
        overrides.append(f"data.catalogue={json.dumps(located(arguments.catalogue))}")
    config = load(arguments.config or QUICK, overrides)
    if not config.data.catalogue:
        raise ConfigError("no catalogue; give --catalogue path/catalogue.csv, or data.catalogue in the configuration")
    return config


def located(path: str) -> str:
    """A catalogue's path from the root, so that the same one has the same name wherever the command is typed; a URL as it is."""
    return path if "://" in path else str(Path(path).resolve())


def sample(arguments: argparse.Namespace) -> None:
    """Draws the sample."""
    from pipeline.sample.catalogue import draw_sample

    try:
        print(draw_sample(arguments.folder, arguments.photos, arguments.seed))
    except ValueError as error:
        raise ConfigError(str(error)) from None


def run(arguments: argparse.Namespace) -> int:
    """The pipeline, its table, and what to type next. Returns: 0; 3 where the model was held back."""
    from pipeline import local

    config, chosen = configured(arguments), (arguments.first, arguments.last)
    if config.data.labels_only:
        print(_ingested(local.run_labels(config, arguments.output.resolve(), *chosen)))
        return 0
    outcome = local.run(config, arguments.output.resolve(), *chosen)
    _say(outcome, arguments.output)
    if arguments.last not in ("", "Releaser"):
        print(f"stopped after {arguments.last}, as asked; the same command without --until goes on")
        return 0
    releases = Path(config.release.folder or arguments.output / "releases")
    if outcome.release is None:
        print(f"not released: {outcome.reason}\n{_served(releases)}")
        return HELD_BACK
    print(f"released as version {outcome.release}: {outcome.reason}")
    print(f"next: m3net serve {releases}")
    return 0


def _say(outcome: Any, output: Path) -> None:
    """A `local.Outcome` in words, up to its release."""
    from pipeline import results

    if outcome.results:
        print(f"\n{results.title(outcome.results)}\n\n{results.table(outcome.results)}\n")
    if outcome.rejected:
        print(f"{outcome.rejected} rows of the catalogue were rejected, each with its reason in {outcome.rejects}")
    if outcome.results:
        print(f"report: {_report(output)}")
    print(outcome.time)


def _served(releases: Path) -> str:
    """What stays where a model was held back."""
    from serving.release import versions

    there = versions(releases) if releases.is_dir() else []
    return f"version {there[-1]} stays the newest in {releases}" if there else f"{releases} holds no release yet"


def _ingested(found: Any) -> str:
    """A `local.Ingested` in words."""
    counts = [f"{split} {count:,}{f' ({role})' if role else ''}" for (split, role), count in sorted(found.counts.items())]
    rejected = f"; {found.rejected:,} rejected, each with its reason in {found.examples / 'rejects'}" if found.rejected else ""
    return f"labels only, no photo opened and nothing trained: {', '.join(counts)}{rejected}\nthey lie in {found.examples}"


def demo(arguments: argparse.Namespace) -> int:
    """Draws the sample unless a catalogue is given, runs, serves the release and asks it one question over gRPC."""
    if not (arguments.catalogue or arguments.config):
        arguments.catalogue = str(arguments.output / "sample" / "catalogue.csv")
        if not Path(arguments.catalogue).exists():
            print("drawing 600 photos ...", file=sys.stderr)
            sample(argparse.Namespace(folder=arguments.output / "sample", photos=600, seed=0))
    config = configured(arguments)
    code = run(arguments)
    released = not config.data.labels_only and arguments.last in ("", "Releaser")
    return code or (_ask_once(arguments, config) if released else 0)


def _ask_once(arguments: argparse.Namespace, config: Config) -> int:
    """A query photo of the test split, under the attribute that the model learned best."""
    from components.catalogue_gen.readers.reader import reader_of
    from components.catalogue_gen.rows import Record
    from components.release_validator.check import running
    from pipeline import results as tables

    read = reader_of(config.data.format, config.data.catalogue).rows(config.data.catalogue)
    rows = [row for row in read if isinstance(row, Record)]
    asked = next((row for row in rows if row.role == "query" and row.split == "test"), rows[0])
    measured = tables.read(arguments.output)[0]["attributes"]
    attribute = max(measured, key=lambda name: measured[name]["map"] - measured[name]["random_map"])
    page = arguments.output / "neighbours.html"
    with running(Path(config.release.folder or arguments.output / "releases")) as address:
        ask = [f"--attribute={attribute}", "--", asked.location]
        print(f"\nserved on {address} for one question; m3net query {shlex.join(ask)} answers:\n")
        return query(parser().parse_args(["query", f"--server={address}", f"--html={page}", *ask]))


def study(arguments: argparse.Namespace) -> int:
    """Systems x seeds on the same Examples, and their table; what is finished is not run again."""
    from pipeline import study as studies

    names = [name.strip() for name in arguments.systems.split(",") if name.strip()]
    try:
        seeds = [int(seed) for seed in arguments.seeds.split(",") if seed.strip()]
    except ValueError:
        raise ConfigError(f"--seeds {arguments.seeds}: whole numbers with commas between, such as 0,1,2") from None
    if not names or not seeds or len({*names}) < len(names) or len({*seeds}) < len(seeds):
        raise ConfigError("--systems and --seeds name each at least one, and none twice")
    if arguments.system:
        raise ConfigError("--system is for one run; a study takes --systems a,b,...")
    planned = {(name, seed): configured(_of_study(arguments, name, seed)) for name in names for seed in seeds}
    failed = studies.run(planned, arguments.output.resolve())
    print(f"\n{studies.write([one for one in planned if one not in failed], arguments.output, arguments.format)}")
    for (name, seed), line in failed.items():
        print(f"m3net study: {name}, seed {seed}, has no result: {line}", file=sys.stderr)
    return 1 if failed else 0


def _of_study(arguments: argparse.Namespace, name: str, seed: int) -> argparse.Namespace:
    changed = [*arguments.set, f"training.seed={seed}"]
    return argparse.Namespace(**{**vars(arguments), "system": name, "set": changed})


def evaluate(arguments: argparse.Namespace) -> None:
    """Exact metrics of any Embeddings Parquet."""
    from pipeline import evaluation

    evaluation.run(arguments)


def results(arguments: argparse.Namespace) -> None:
    """Tables of what was run."""
    from pipeline import results as tables

    print(tables.render(tables.read(arguments.folder), arguments.format))


def report(arguments: argparse.Namespace) -> None:
    """The page of a run, a second one beside it if asked for."""
    print(_report(arguments.folder, arguments.compare))


def _report(folder: Path, other: Path | None = None) -> Path:
    from pipeline.progress import quiet

    quiet()
    from pipeline.report.page import write

    return write(folder, other)


def serve(arguments: argparse.Namespace) -> int:
    """The server, until it is told to stop."""
    from serving import serve as command

    return command.serve(arguments)


def releases(arguments: argparse.Namespace) -> int:
    """Looks after the releases of a folder."""
    from pipeline import releases as acts

    return acts.run(arguments)


def items(arguments: argparse.Namespace) -> int:
    """Changes what can be found in a release."""
    from pipeline import items as acts

    return acts.run(arguments)


def explain_release(arguments: argparse.Namespace) -> None:
    """What a release was made of."""
    from pipeline import explain, explain_text

    found = explain.explain(arguments.version, arguments.folder)
    print(explain.as_json(found) if arguments.format == "json" else explain_text.as_text(found))


def plan(arguments: argparse.Namespace) -> None:
    """Time and cost for larger catalogues."""
    from pipeline.plan import text

    a = arguments
    print(text(a.folder, a.photos, a.epochs, a.images_per_second, a.price_per_hour))


def query(arguments: argparse.Namespace) -> int:
    """Asks a server, or a release directly."""
    from pipeline import query as question

    return question.run(arguments)


def compile(arguments: argparse.Namespace) -> None:
    """The Kubeflow package."""
    from pipeline.kubeflow import as_package, compile_package

    compile_package(configured(arguments), as_package(arguments.output))
    print(arguments.output)


def schedule(arguments: argparse.Namespace) -> int:
    """Recurring runs on Kubeflow."""
    from pipeline import schedule as schedules

    return schedules.run(arguments)


def doctor(_: argparse.Namespace) -> int:
    """What is installed and whether it is what the lock says."""
    from pipeline.doctor import report

    lines, good = report()
    print("\n".join(lines))
    return 0 if good else 2
