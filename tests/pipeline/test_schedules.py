"""The files for systemd and cron: systemd accepts its own, and the commands are m3net's."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.options import parser

DEPLOY = Path(__file__).parents[2] / "pipeline" / "deploy"
PROGRAM = "/opt/m3net/.venv/bin/m3net"


def typed(text: str) -> list[str]:
    """What follows the program on its line, up to the shell's own words."""
    line = next(line for line in text.splitlines() if PROGRAM in line and not line.startswith("#"))
    words = shlex.split(line.partition(PROGRAM)[2])
    return words[: next((i for i, word in enumerate(words) if word.startswith((">", "|"))), len(words))]


@pytest.mark.parametrize("name", ["m3net-retrain.service", "m3net.cron"])
def test_the_command_is_one(name: str) -> None:
    assert parser().parse_args(typed((DEPLOY / name).read_text())).verb == "run"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for name in ("m3net-retrain.service", "m3net-retrain.timer"):
        (tmp_path / name).write_text(
            (DEPLOY / name).read_text().replace(PROGRAM, sys.executable).replace("User=m3net", "User=root")
        )
    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, tmp_path.iterdir())], capture_output=True, text=True, check=False
    )
    assert [line for line in done.stderr.splitlines() if "m3net-retrain" in line] == []
    (tmp_path / "m3net-retrain.timer").write_text("[Timer]\nOnCalendar=never\n")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / "m3net-retrain.timer")], capture_output=True, text=True, check=False
    )
    assert "m3net-retrain" in done.stderr
