"""The command line as a user meets it: quick help, exit code 2 and one line for a mistake, never a traceback."""

import os
import signal
import subprocess
import sys
from argparse import Namespace
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from pipeline import doctor
from pipeline.cli import _explain
from pipeline.lock import exclusive


def m3net(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


@pytest.mark.parametrize(
    "verb",
    [
        "",
        "sample",
        "run",
        "demo",
        "study",
        "evaluate",
        "results",
        "report",
        "releases",
        "items",
        "explain-release",
        "plan",
        "serve",
        "query",
        "compile",
        "schedule",
        "doctor",
    ],
)
def test_help_of_every_verb_loads_nothing_heavy(verb: str) -> None:
    code = (
        "import sys; from pipeline.cli import main\n"
        f"try: main({[verb, '--help'] if verb else ['--help']!r})\n"
        "except SystemExit as e: assert e.code == 0\n"
        "heavy = {'tensorflow', 'tfx', 'keras', 'apache_beam', 'numpy', 'grpc'} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage: m3net" in done.stdout


@pytest.mark.parametrize(("arguments", "words"), [
    (["run"], "no catalogue; give --catalogue"),
    (["run", "--catalogue", "nowhere.csv"], "cannot be opened"),
    (["run", "--catalogue", "empty.csv"], "is empty"),
    (["run", "--catalogue", "empty.csv", "--set", "training.epoch=1"], 'did you mean "epochs"?'),
    (["run", "--catalogue", ".", "--set", "data.format=asen"], "holds no filenames_train.txt"),
    (["run", "--catalogue", ".", "--set", "data.format=deepfashion"], "holds no list_attr_img.txt"),
    (["run", "--config", "nowhere.yaml"], "no such file"),
    (["run", "--catalogue", "empty.csv", "--system", "m3nett"], 'did you mean "m3net"?'),
    (["run", "--catalogue", "empty.csv", "--set", "evaluation.min_map=50.0"], "not a percentage"),
    (["study", "--catalogue", "empty.csv", "--systems", "m3nett"], 'did you mean "m3net"?'),
    (["study", "--catalogue", "empty.csv", "--systems", "m3net,m3net"], "none twice"),
    (["study", "--catalogue", "empty.csv", "--seeds", "0,x"], "--seeds 0,x: whole numbers"),
    (["study", "--catalogue", "empty.csv"], "is empty"),
    (["study", "--catalogue", "empty.csv", "--system", "m3net"], "a study takes --systems"),
    (["sample", "drawn", "--photos", "3"], "photos must lie in"),
    (["query", "photo.png", "--attribute", "neckline", "--release", "nowhere"], "holds no release"),
    (["results", "."], "holds no results.json"),
    (["results", "old"], "is no results.json"),
    (["report", "."], "holds no tfx/metadata.sqlite"),
    (["explain-release", "1", "."], "holds no version 1"),
    (["explain-release", "1", "nowhere"], "is no folder"),
    (["plan", "."], "holds no tfx/metadata.sqlite"),
    (["evaluate", "empty.csv"], "no Embeddings Parquet"),
    (["serve", "nowhere"], "is no folder"),
    (["items", "remove", "nowhere", "sku-1"], "nowhere: holds no release"),
    (["query", "nowhere.jpg", "--attribute", "neckline"], "nowhere.jpg"),
    (["query", "empty.csv", "--attribute", "neckline"], "not an image"),
    (["compile", "--catalogue", "x.csv", "-o", "package.json"], "ends in .yaml"),
    (["run", "--catalogue", "empty.csv", "--output", "/sys/kernel"], "/sys/kernel cannot be written"),  # by root neither
    (["run", "--catalogue", "empty.csv", "--output", "empty.csv/out"], "empty.csv/out cannot be written"),
    (["study", "--catalogue", "empty.csv", "--output", "/sys/kernel"], "/sys/kernel cannot be written"),
    (["compile", "--catalogue", "x.csv", "-o", "/sys/kernel/package.yaml"], "/sys/kernel/package.yaml: cannot be written"),
    (["sample", "/sys/kernel/drawn"], "/sys/kernel/drawn"),
])  # fmt: skip
def test_a_mistake_is_one_line(tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "old" / "run").mkdir(parents=True)
    (tmp_path / "old" / "run" / "results.json").write_text('{"format": 1, "attrib')
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    done = m3net(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("verb", ["run", "study"])
def test_a_folder_in_use_is_one_line(verb: str, tmp_path: Path) -> None:
    (tmp_path / "catalogue.csv").write_text("image,neck\na.jpg,v\n")
    with exclusive(tmp_path / "out"):
        done = m3net(verb, "--catalogue", "catalogue.csv", "--output", "out", cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"m3net {verb}: {tmp_path / 'out'} is in use by another run (process {os.getpid()})" in line
    assert [one.name for one in (tmp_path / "out").iterdir()] == [".lock"]  # it stopped before anything was begun


def test_stopped_from_the_keyboard(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "catalogue.csv")
    command = [sys.executable, "-m", "pipeline.cli", "run", "--catalogue", "catalogue.csv", "--output", "out"]
    with (
        # A shell lets what it starts in the background ignore the keyboard, and Python keeps to that.
        subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        ) as process,
        (tmp_path / "catalogue.csv").open("w"),  # waits until the run reads
    ):
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "m3net: stopped\n")


def test_where_nothing_can_be_written_the_story_is_among_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir("/sys/kernel")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert _explain(RuntimeError("broken"), Namespace(verb="run", output=Path("/sys/kernel"))) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"m3net run: unexpected RuntimeError: broken; see {tmp_path}/m3net-error.log"
    assert "RuntimeError: broken" in (tmp_path / "m3net-error.log").read_text()


def test_doctor_finds_the_locked_packages() -> None:
    done = m3net("doctor")
    falls_short = [line for line in done.stdout.splitlines() if line.startswith("BAD ")]
    assert [line for line in falls_short if not line.startswith("BAD  free disk")] == []
    assert done.returncode == (2 if falls_short else 0)
    assert "ok   tfx 1.21.0" in done.stdout


def test_doctor_says_what_to_do_about_what_falls_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_FREE_GB", 1 << 20)
    lines, good = doctor.report()
    assert not good
    assert [line for line in lines if line.startswith("to mend: ")] == [f"to mend: {doctor._MEND['free disk']}"]
