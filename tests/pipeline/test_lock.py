"""One run at a time in a folder, whatever became of the one before."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from components.errors import InputError
from pipeline.lock import exclusive

HOLD = "import sys, time, pathlib; from pipeline.lock import exclusive\nwith exclusive(pathlib.Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"


def test_a_second_run_is_refused_and_a_killed_one_leaves_no_lock(tmp_path: Path) -> None:
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "out")], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    try:
        assert first.stdout
        assert first.stdout.readline() == b"held\n"
        with (
            pytest.raises(InputError, match=f"in use by another run .process {first.pid}.*another --output"),
            exclusive(tmp_path / "out"),
        ):
            pass
    finally:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    with exclusive(tmp_path / "out"):
        assert (tmp_path / "out" / ".lock").read_text() == f"{os.getpid()}\n"


def test_a_run_may_follow_a_run(tmp_path: Path) -> None:
    for _ in range(2):
        with exclusive(tmp_path), exclusive(tmp_path / "another"):
            assert (tmp_path / "another" / ".lock").read_text() == f"{os.getpid()}\n"
