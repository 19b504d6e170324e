"""m3net schedule, through the real kfp.Client, against an API on loopback that knows kfp-server-api's models alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from pipeline.cli import main
from tests.pipeline.kfp_api import Api

PACKAGE = {
    "pipelineInfo": {"name": "m3net"},
    "schemaVersion": "2.1.0",
    "root": {
        "inputDefinitions": {
            "parameters": {
                "version": {"parameterType": "STRING", "defaultValue": ""},
                "epochs": {"parameterType": "NUMBER_INTEGER", "defaultValue": 3},
            }
        },
        "dag": {"tasks": {}},
    },
}
PLATFORM = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {}}}}}


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def package(tmp_path: Path) -> str:
    (tmp_path / "m3net.yaml").write_text(yaml.safe_dump_all([PACKAGE, PLATFORM]))
    return str(tmp_path / "m3net.yaml")


def put(api: Api, package: str, *more: str, act: str = "create", name: str = "nightly", cron: str = "0 2 * * *") -> int:
    return main(["schedule", act, name, "--package", package, "--cron", cron, "--host", api.host, *more])


def test_a_schedule_says_all_it_should(api: Api, package: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "token").write_text("secret\n")
    assert put(api, package, "--param", "epochs=7", "--concurrency", "2", "--token-file", str(tmp_path / "token")) == 0
    (made,) = api.runs
    assert made["display_name"] == "nightly"
    assert made["trigger"] == {"cron_schedule": {"cron": "0 0 2 * * *"}}
    assert (made["mode"], made["no_catchup"], made["max_concurrency"]) == ("ENABLE", True, "2")
    assert made["runtime_config"]["parameters"] == {"version": "[[ScheduledTime]]", "epochs": 7}
    assert made["pipeline_spec"]["pipeline_spec"]["pipelineInfo"]["name"] == "m3net"
    assert [one["display_name"] for one in api.experiments] == ["m3net"]
    assert any("secret" in one for one in api.tokens)
    out = capsys.readouterr().out
    assert out.splitlines() == ["0 2 * * * in UTC is 0 0 2 * * * to Kubeflow, seconds first, in UTC", "nightly: created"]


def test_the_same_again_is_left_alone_and_another_takes_its_place(api: Api, package: str) -> None:
    for _ in range(2):
        assert put(api, package) == 0
    assert [one["recurring_run_id"] for one in api.runs] == ["r1"]
    assert put(api, package, "--catch-up", cron="30 3 * * 1-5") == 0
    (made,) = api.runs
    assert (made["recurring_run_id"], made["trigger"]["cron_schedule"]["cron"], made["no_catchup"]) == (
        "r2",
        "0 30 3 * * 1-5",
        False,
    )
    assert api.asked.index("POST /recurringruns/r1:disable") < api.asked.index("DELETE /recurringruns/r1")


def test_what_is_refused_leaves_the_old_one_running(api: Api, package: str, capsys: pytest.CaptureFixture[str]) -> None:
    put(api, package)
    api.refuse = True
    assert put(api, package, cron="0 5 * * *") == 2
    assert "refused (400): Schedule cron is not a supported format" in capsys.readouterr().err
    assert [(one["recurring_run_id"], one["mode"]) for one in api.runs] == [("r1", "ENABLE")]


def test_pause_resume_delete_and_a_paused_one_stays_paused(api: Api, package: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b", "nightly"):  # three are two pages
        put(api, package, name=name)
    act = ["--host", api.host]
    assert main(["schedule", "pause", "nightly", *act]) == 0
    assert put(api, package, act="update", cron="0 4 * * *") == 0
    capsys.readouterr()
    assert main(["schedule", "list", *act]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "cron", "state", "at", "once", "catch-up"]
    assert lines[-1].split() == ["nightly", "0", "0", "4", "*", "*", "*", "paused", "1", "no"]
    assert main(["schedule", "resume", "nightly", *act]) == 0
    assert {one["mode"] for one in api.runs} == {"ENABLE"}
    assert main(["schedule", "delete", "nightly", *act]) == 0
    assert [one["display_name"] for one in api.runs] == ["a", "b"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--cron", "0 2 * *"], "five fields"),
        (["--cron", "0 25 * * *"], 'hour "25": 0 to 23'),
        (["--cron", "0 2 * * 7"], 'day of the week "7": 0 to 6'),
        (["--cron", "0 2 L * *"], '"L" is no number'),
        (["--cron", "*/0 2 * * *"], "a step is a number above 0"),
        (["--time-zone", "Europe/Berln"], 'did you mean "Europe/Berlin"?'),
        (["--concurrency", "0"], "1 to 10"),
        (["--param", "epoch=3"], 'did you mean "epochs"?'),
        (["--param", "epochs=many"], "a whole number"),
        (["--package", "nowhere.yaml"], "cannot be read"),
        (["--package", __file__], "no package"),
        (["--ca", __file__], "holds no certificate"),
        (["--token-file", "nowhere"], "cannot be read"),
        (["--host", "kubeflow:8888"], "the address of Kubeflow Pipelines"),
        (["--host", "http://127.0.0.1:9"], "cannot be reached"),
        (["--host", "http://no-such-host.invalid"], "cannot be reached"),
    ],
)
def test_mistakes_are_one_line(more: list[str], words: str, api: Api, package: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert put(api, package, *more) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("m3net schedule: ")
    assert words in line
    assert not api.runs


@pytest.mark.parametrize(("status", "words"), [(401, "give --token-file"), (403, "not allowed (403)"), (500, "refused (500)")])
def test_a_refusal_is_one_line(status: int, words: str, api: Api, package: str, capsys: pytest.CaptureFixture[str]) -> None:
    api.status = status
    assert put(api, package) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_a_schedule_that_is_not_there(api: Api, package: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schedule", "pause", "nightly", "--host", api.host]) == 2
    assert "there is none" in capsys.readouterr().err
    put(api, package)
    assert put(api, package, act="update", name="nighly") == 2
    assert 'did you mean "nightly"?' in capsys.readouterr().err
    assert main(["schedule", "list", "--host", api.host, "--experiment", "other"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "no schedule"
