"""`m3net schedule`: recurring runs of a package, through Kubeflow Pipelines' own client. A name is a schedule's identity."""

import argparse
import contextlib
import hashlib
import io
import json
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from models.registry import unknown
from pipeline import cron
from pipeline.config import ConfigError

_EACH_TIME = "[[ScheduledTime]]"  # Kubeflow's word; a catalogue version of its own for each run, so that none is from cache
_PAGE = 100
_MOST_AT_ONCE = 10  # the API server takes no more
_WAIT_SEC = 10


def run(arguments: argparse.Namespace) -> int:
    """One act of the verb. Raises: ConfigError for all that a user can mend."""
    act = {"create": _put, "update": _put, "list": _list}.get(arguments.act, _turn)
    if act is _put:
        _planned(arguments)  # what is wrong with the words is said before anybody is asked
    with _errors(arguments.host):
        client = _client(arguments)
        act(client, _experiment(client, arguments), arguments)
    return 0


def _client(arguments: argparse.Namespace) -> Any:
    """kfp's client, after one question that says quickly whether there is anybody."""
    host = (arguments.host or "").rstrip("/")
    if not host.startswith(("http://", "https://")):
        raise ConfigError(f"--host {host or 'is missing'}: the address of Kubeflow Pipelines, such as http://127.0.0.1:8888")
    token = _read(arguments.token_file).strip() if arguments.token_file else None
    headers = {"authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"{host}/apis/v2beta1/healthz", headers=headers)
    context = None
    if arguments.ca:
        import ssl

        try:
            context = ssl.create_default_context(cadata=_read(arguments.ca))
        except ssl.SSLError:
            raise ConfigError(f"--ca {arguments.ca}: holds no certificate in PEM") from None
    urllib.request.urlopen(request, timeout=_WAIT_SEC, context=context).close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import kfp

        ca = str(arguments.ca) if arguments.ca else None
        return kfp.Client(host, namespace=arguments.namespace or "kubeflow", existing_token=token, ssl_ca_cert=ca)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from None


@contextlib.contextmanager
def _errors(host: str | None) -> Iterator[None]:
    """What can go wrong between us and the API server, in one line each. kfp's own words on stdout are left out."""
    import urllib3

    try:
        yield
    except urllib.error.HTTPError as error:
        raise ConfigError(_refusal(host, error.code, "")) from None
    except (urllib.error.URLError, urllib3.exceptions.HTTPError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise ConfigError(f"--host {host}: cannot be reached: {' '.join(str(reason).split())[:200]}") from None
    except Exception as error:
        if type(error).__name__ != "ApiException":
            raise
        raise ConfigError(_refusal(host, getattr(error, "status", 0), getattr(error, "body", ""))) from None


def _refusal(host: str | None, status: int, body: Any) -> str:
    if status == 401:
        return f"--host {host}: it does not know us (401); give --token-file with a valid token"
    if status == 403:
        return f"--host {host}: not allowed (403); the token's account may not do this in the namespace (--namespace)"
    try:
        said = json.loads(body or "{}").get("message", "")
    except (ValueError, AttributeError):
        said = ""
    return f"--host {host}: refused ({status}){': ' + ' '.join(said.split())[:300] if said else ''}"


def _experiment(client: Any, arguments: argparse.Namespace) -> str:
    """Its id; "" where there is none yet."""
    try:
        found = client.get_experiment(experiment_name=arguments.experiment, namespace=arguments.namespace)
    except ValueError:
        return ""
    return str(found.experiment_id)


def _schedules(client: Any, experiment: str) -> list[Any]:
    found: list[Any] = []
    token = ""
    while experiment:
        page = client.list_recurring_runs(page_token=token, page_size=_PAGE, experiment_id=experiment)
        found += page.recurring_runs or []
        token = page.next_page_token
        if not token:
            break
    return found


def _planned(arguments: argparse.Namespace) -> tuple[str, dict[str, Any], str]:
    """The cron of the cluster, the parameters, and a word to the user. Raises: ConfigError."""
    if not 1 <= arguments.concurrency <= _MOST_AT_ONCE:
        raise ConfigError(f"--concurrency: 1 to {_MOST_AT_ONCE}; got {arguments.concurrency}")
    six = cron.six_fields(arguments.cron)
    here, cluster = cron.zone(arguments.time_zone), cron.zone(arguments.cluster_time_zone, "--cluster-time-zone")
    theirs, ends = cron.moved(six, here, cluster, cron.today())
    word = f"{arguments.cron} in {arguments.time_zone} is {theirs} to Kubeflow, seconds first, in {arguments.cluster_time_zone}"
    if ends:
        word += f"; until {ends:%Y-%m-%d}, when clocks change: run m3net schedule update then"
    return theirs, _parameters(arguments), word


def _parameters(arguments: argparse.Namespace) -> dict[str, Any]:
    try:
        spec = next(yaml.safe_load_all(_read(arguments.package)))
        asked = spec["root"]["inputDefinitions"]["parameters"]
    except (yaml.YAMLError, StopIteration, KeyError, TypeError):
        raise ConfigError(f"--package {arguments.package}: no package; m3net compile -o FILE.yaml writes one") from None
    values: dict[str, Any] = {"version": _EACH_TIME}
    for name, value in map(cron.parameter, arguments.param):
        if name not in asked:
            raise ConfigError(f"--param: {unknown('parameter', name, tuple(asked))}")
        if asked[name]["parameterType"] == "NUMBER_INTEGER" and not value.isdecimal():
            raise ConfigError(f"--param {name}={value}: a whole number")
        values[name] = int(value) if asked[name]["parameterType"] == "NUMBER_INTEGER" else value
    return {name: value for name, value in values.items() if name in asked}


def _put(client: Any, experiment: str, arguments: argparse.Namespace) -> None:
    """Kubeflow changes no recurring run: the new one is made while the old one rests, and takes its place."""
    theirs, parameters, word = _planned(arguments)
    before = _named(_schedules(client, experiment), arguments.name)
    if arguments.act == "update" and not before:
        raise ConfigError(_none(arguments.name, _schedules(client, experiment)))
    paused = bool(before) and all(one.mode == "DISABLE" for one in before)
    plan = json.dumps([theirs, parameters, arguments.concurrency, arguments.catch_up, _read(arguments.package)])
    description = f"m3net {hashlib.blake2b(plan.encode(), digest_size=8).hexdigest()}"
    print(word)
    if len(before) == 1 and before[0].description == description:
        print(f"{arguments.name}: unchanged")
        return
    with contextlib.redirect_stdout(io.StringIO()):
        place = experiment or client.create_experiment(arguments.experiment, namespace=arguments.namespace).experiment_id
    running = [one for one in before if one.mode != "DISABLE"]
    for one in running:
        client.disable_recurring_run(one.recurring_run_id)
    try:
        client.create_recurring_run(
            place,
            arguments.name,
            description=description,
            cron_expression=theirs,
            max_concurrency=str(arguments.concurrency),  # a 64-bit number, which JSON for protocol buffers writes as text
            no_catchup=not arguments.catch_up,
            params=parameters,
            pipeline_package_path=str(arguments.package),
            enabled=not paused,
        )
    except BaseException:
        for one in running:
            client.enable_recurring_run(one.recurring_run_id)
        raise
    for one in before:
        client.delete_recurring_run(one.recurring_run_id)
    print(f"{arguments.name}: {'updated' if before else 'created'}{', paused' if paused else ''}")


def _list(client: Any, experiment: str, _: argparse.Namespace) -> None:
    found = _schedules(client, experiment)
    rows = [("name", "cron", "state", "at once", "catch-up"), *map(_row, found)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows if found else [("no schedule",)]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip())


def _row(one: Any) -> tuple[str, ...]:
    schedule = one.trigger.cron_schedule if one.trigger else None
    state = "paused" if one.mode == "DISABLE" else "on"
    return (
        one.display_name,
        schedule.cron if schedule else "-",
        state,
        str(one.max_concurrency),
        "no" if one.no_catchup else "yes",
    )


def _turn(client: Any, experiment: str, arguments: argparse.Namespace) -> None:
    """Pause, resume or delete."""
    found = _schedules(client, experiment)
    before = _named(found, arguments.name)
    if not before:
        raise ConfigError(_none(arguments.name, found))
    acts = {"pause": ("disable", "paused"), "resume": ("enable", "on"), "delete": ("delete", "deleted")}
    verb, word = acts[arguments.act]
    for one in before:
        getattr(client, f"{verb}_recurring_run")(one.recurring_run_id)
    print(f"{arguments.name}: {word}")


def _named(found: list[Any], name: str) -> list[Any]:
    return [one for one in found if one.display_name == name]


def _none(name: str, found: list[Any]) -> str:
    names = tuple(dict.fromkeys(one.display_name for one in found))
    return (
        unknown("schedule", name, names) if names else f'no schedule "{name}"; there is none: m3net schedule create makes one'
    )
