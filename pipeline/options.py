"""The options of every verb of the command `m3net`."""

import argparse
import os
from importlib import metadata
from pathlib import Path
from typing import Any

from serving.flags import add_flags


def parser() -> argparse.ArgumentParser:
    """All verbs."""
    top = argparse.ArgumentParser(prog="m3net", description="Search fashion by its details.")
    top.add_argument("--version", action="version", version=f"m3net {metadata.version('m3net')}")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for group in (_runs, _measures, _releases, _tells, _query, _cluster):
        group(verbs)
    verbs.add_parser("doctor", help="what is installed, what falls short, what to do")
    return top


def _runs(verbs: Any) -> None:
    """What makes photos and runs."""
    sample = verbs.add_parser("sample", help="draw a labelled sample catalogue")
    sample.add_argument("folder", type=Path)
    sample.add_argument("--photos", type=int, default=600)
    sample.add_argument("--seed", type=int, default=0)

    for name, text in (("run", "the whole pipeline here"), ("demo", "run, then serve and ask the release once")):
        run = verbs.add_parser(name, help=text)
        _configured(run)
        run.add_argument("--output", type=Path, default=Path("runs/m3net"), help="folder (default %(default)s)")
        run.add_argument("--from", dest="first", default="", metavar="STEP", help="run STEP and what follows from it anew")
        run.add_argument("--until", dest="last", default="", metavar="STEP", help="stop after STEP, such as Trainer")

    study = verbs.add_parser("study", help="several systems on the same photos, one table")
    _configured(study)
    study.add_argument("--systems", default="classifier,asen_v2,m3net,m3net+", metavar="A,B,...", help="default %(default)s")
    study.add_argument("--seeds", default="0", metavar="0,1,...", help="each trains every system once (default %(default)s)")
    study.add_argument("--output", type=Path, default=Path("runs/study"), help="folder (default %(default)s)")
    study.add_argument("--format", choices=("text", "markdown", "csv", "json"), default="text")


def _measures(verbs: Any) -> None:
    """What says how good a run is."""
    evaluate = verbs.add_parser("evaluate", help="exact metrics of an Embeddings Parquet")
    evaluate.add_argument("embeddings", type=Path)
    evaluate.add_argument("--protocol", choices=("attribute", "pair"), default="attribute")
    evaluate.add_argument("--split", default="test")
    evaluate.add_argument("--system", default="", help="name in the results (default: the file's)")
    evaluate.add_argument(
        "--slices", nargs="+", default=[], metavar="BY", help="cut the queries by class, or an attribute, or a column"
    )
    evaluate.add_argument("--taxonomy", type=Path, help="taxonomy.json with the classes' names")
    evaluate.add_argument("--compare", type=Path, metavar="OTHER", help="is OTHER better, on the same queries?")
    evaluate.add_argument("-o", "--output", type=Path, help="write results.json here")

    results = verbs.add_parser("results", help="tables of a run's results")
    results.add_argument("folder", type=Path)
    results.add_argument("--format", choices=("text", "markdown", "csv", "json"), default="text")

    report = verbs.add_parser("report", help="the HTML report of a run, one file: report.html in its folder")
    report.add_argument("folder", type=Path)
    report.add_argument("--compare", type=Path, metavar="DIR", help="set a second run beside it")


def _releases(verbs: Any) -> None:
    """What serves and keeps releases."""
    add_flags(verbs.add_parser("serve", help="serve the releases of a folder over gRPC and REST"), rest_api_port=8501)

    releases = verbs.add_parser("releases", help="list, verify, roll back or prune the releases of a folder")
    act = releases.add_subparsers(dest="act", required=True, metavar="ACT")
    for name, text in (("list", "what there is, newest first"), ("verify", "hold every byte against its manifest")):
        act.add_parser(name, help=text).add_argument("folder", type=Path)
    back = act.add_parser("rollback", help="release an older version anew, as the newest; servers move to it")
    back.add_argument("folder", type=Path)
    back.add_argument("version", type=int, nargs="?", help="(default: the one below the newest)")
    prune = act.add_parser("prune", help="remove all but the newest whole versions")
    prune.add_argument("folder", type=Path)
    prune.add_argument("--keep", type=int, required=True, metavar="N")
    text = "the servers' models.config: a version that a label of it names is not removed"
    prune.add_argument("--model-config-file", type=Path, metavar="FILE", help=text)
    for name, text in (
        ("warm-up", "release the newest anew, warmed up with logged requests"),
        ("drift", "do logged photos show other classes than the newest release's items?"),
    ):
        logged = act.add_parser(name, help=text)
        logged.add_argument("folder", type=Path)
        logged.add_argument("logs", type=Path, nargs="+", metavar="LOG", help="files of the request log, the oldest first")

    items = verbs.add_parser("items", help="add, replace or remove items of a release, without a new model")
    act = items.add_subparsers(dest="act", required=True, metavar="ACT")
    add = act.add_parser("add", help="those of a catalogue.csv; one whose id is there takes its place")
    remove = act.add_parser("remove", help="those of these ids")
    for one in (add, remove):
        one.add_argument("folder", type=Path, help="the folder that holds the versions")
        one.add_argument("--version", type=int, default=0, metavar="N", help="(default: the newest)")
    add.add_argument("catalogue", type=Path)
    remove.add_argument("ids", nargs="+", metavar="ID")


def _tells(verbs: Any) -> None:
    """What explains a release, or says what more would cost."""
    explain = verbs.add_parser("explain-release", help="which data, code, configuration and artifacts made a release")
    explain.add_argument("version", type=int)
    text = "--output of its run, or the folder of releases (default %(default)s)"
    explain.add_argument("folder", type=Path, nargs="?", default=Path("runs/m3net"), help=text)
    explain.add_argument("--format", choices=("text", "json"), default="text")

    plan = verbs.add_parser("plan", help="time and cost for larger catalogues, by the rates that a run measured")
    plan.add_argument(
        "folder", type=Path, nargs="?", default=Path("runs/m3net"), help="--output of a run (default %(default)s)"
    )
    plan.add_argument("--photos", type=int, default=10_000_000, help="of a catalogue of your own (default %(default)s)")
    plan.add_argument("--epochs", type=int, default=0, help="(default: those of the run)")
    text = "your assumption of a training on another device (default: as the run measured)"
    plan.add_argument("--images-per-second", type=float, default=0.0, help=text)
    plan.add_argument("--price-per-hour", type=float, default=0.0, help="of the machine, in any currency")


def _query(verbs: Any) -> None:
    """What asks a server."""
    query = verbs.add_parser("query", help="find items with the same attribute as a photo")
    query.add_argument("image", help="path or URL of a photo")
    query.add_argument("--attribute", required=True)
    query.add_argument("-k", type=int, default=10)
    where = query.add_mutually_exclusive_group()
    where.add_argument("--server", default="127.0.0.1:8500", metavar="HOST:PORT")
    where.add_argument("--release", type=Path, metavar="DIR", help="ask this release directly, without a server")
    query.add_argument(
        "--wait", type=float, default=0.0, metavar="SECONDS", help="so long at most for a server that is still loading"
    )
    query.add_argument("--model-name", default="m3net")
    query.add_argument("--ca", type=Path, metavar="FILE", help="the server has TLS; PEM of who signed its certificate")
    query.add_argument("--cert", type=Path, metavar="FILE", help="PEM of your own certificate, where the server asks for one")
    query.add_argument("--key", type=Path, metavar="FILE", help="PEM of the key that belongs to --cert")
    query.add_argument("--token-file", type=Path, metavar="FILE", help="the bearer token that the server asks for")
    query.add_argument("--html", type=Path, metavar="FILE", help="also write a page with the photos")


def _cluster(verbs: Any) -> None:
    """What runs on Kubeflow."""
    compile_ = verbs.add_parser("compile", help="write the Kubeflow package")
    _configured(compile_)
    compile_.add_argument("-o", "--output", type=Path, default=Path("m3net.yaml"))

    _schedule(verbs.add_parser("schedule", help="run the package again and again on Kubeflow Pipelines"))


def _schedule(verb: argparse.ArgumentParser) -> None:
    act = verb.add_subparsers(dest="act", required=True, metavar="ACT")
    for name, text in (
        ("create", "a schedule; one of that name is updated"), ("update", "give it a new package, cron or parameters"),
        ("list", "what there is"), ("pause", "start no more runs"), ("resume", "start runs again"), ("delete", "remove it"),
    ):  # fmt: skip
        one = act.add_parser(name, help=text)
        if name != "list":
            one.add_argument("name")
        if name in ("create", "update"):
            one.add_argument("--package", type=Path, default=Path("m3net.yaml"), help="of m3net compile (default %(default)s)")
            one.add_argument(
                "--cron", required=True, help='"0 2 * * *" is 2 o\'clock each night; six fields begin with seconds'
            )
            one.add_argument("--time-zone", default="UTC", metavar="ZONE", help="that --cron is meant in (default %(default)s)")
            one.add_argument(
                "--cluster-time-zone", default="UTC", metavar="ZONE", help="its CRON_SCHEDULE_TIMEZONE (default UTC)"
            )
            one.add_argument("--catch-up", action="store_true", help="also run for times missed, one after another")
            one.add_argument(
                "--concurrency", type=int, default=1, metavar="N", help="runs at once at most (default %(default)s)"
            )
            one.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="of the package; repeatable")
        one.add_argument("--host", default=os.environ.get("KF_PIPELINES_ENDPOINT"), help="(default: $KF_PIPELINES_ENDPOINT)")
        one.add_argument("--namespace", help="where Kubeflow has several users")
        one.add_argument("--token-file", type=Path, metavar="FILE", help="bearer token")
        one.add_argument("--ca", type=Path, metavar="FILE", help="PEM of who signed the host's certificate")
        one.add_argument("--experiment", default="m3net", help="that holds the schedules (default %(default)s)")


def _configured(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--config", type=Path, help="YAML file (default: the quick configuration)")
    verb.add_argument("--catalogue", help="path of catalogue.csv")
    verb.add_argument("--system", help="m3net+, m3net, m3net_a, m3net_c, asen, asen_v2, asen++, modc or classifier")
    verb.add_argument("--log-format", choices=("text", "json"), help="of stderr and m3net.log (default: text)")
    verb.add_argument("--set", action="append", default=[], metavar="PART.KEY=VALUE", help="override one value; repeatable")
