"""kill -9 at random moments, and the same command again: the release of an undisturbed run, and nothing finished is redone.

Two kills in the usual suite; M3NET_KILLS=10, as `make test-kills` sets it, takes some minutes. M3NET_KILLS_SEED repeats
moments; they are printed.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import ml_metadata as mlmd
import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from ml_metadata.proto import metadata_store_pb2 as proto
from tfx.orchestration import metadata

from serving.release import verify, versions
from tests.e2e.conftest import QUICK

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("M3NET_KILLS", "2"))
SEED = int(os.environ.get("M3NET_KILLS_SEED") or random.SystemRandom().randrange(1_000_000))
RESOLVERS = {"last_statistics", "last_blessed_model"}  # they look something up, anew in every run
# TensorFlow numbers functions, and Keras' export orders variables, anew in every process; and what follows from that.
UNSTABLE = {"saved_model.pb", "fingerprint.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"}
DATED = {"assets.extra/model_card.html"}  # says when, and by which run


def started(catalogue: Path, output: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pipeline.cli", "run", "--catalogue", str(catalogue), "--output", str(output), *QUICK]
    with log.open("wb") as file:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file)


def killed_after(run: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    """Kills `run` so many seconds after its first step began: before that it only loads packages."""
    while run.poll() is None and b"..." not in log.read_bytes():
        time.sleep(0.05)
    try:
        run.wait(seconds)
    except subprocess.TimeoutExpired:
        run.send_signal(signal.SIGKILL)
        run.wait()


def working_in(folder: Path) -> list[str]:
    """Command lines of living processes that name `folder`."""
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = line.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(folder) in text and "pytest" not in text:
            found.append(text)
    return found


def weights(release: Path) -> list[tuple[tuple[int, ...], bytes]]:
    """Shape and bytes of every variable, whatever its place."""
    found = tf.train.load_checkpoint(str(release / "variables" / "variables"))
    names = [name for name in found.get_variable_to_shape_map() if not name.startswith("_")]
    return sorted((value.shape, value.tobytes()) for value in map(found.get_tensor, names) if isinstance(value, np.ndarray))


@pytest.fixture(scope="module")
def disturbed(catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The output folder, and what each run said."""
    folder = tmp_path_factory.mktemp("kills")
    drawn, said = random.Random(SEED), []
    print(f"M3NET_KILLS_SEED={SEED}")
    for number in range(KILLS + 1):
        log = folder / f"{number}.log"
        run = started(catalogue, folder / "output", log)
        if number < KILLS:
            killed_after(run, log, moment := drawn.uniform(0, 60 / KILLS))
            left = log.read_text().splitlines()[-1:]
            print(f"kill {number + 1}: {moment:.2f} s after the first step began, exit code {run.returncode}, at {left}")
        else:
            assert run.wait() == 0, log.read_text()
        said.append(log.read_text())
    return folder / "output", said


def test_it_was_killed(disturbed: tuple[Path, list[str]]) -> None:
    unfinished = [one for one in disturbed[1][:-1] if not re.search(r"^Releaser: ", one, re.MULTILINE)]
    assert unfinished


def test_no_finished_component_runs_again(disturbed: tuple[Path, list[str]]) -> None:
    ran = Counter(name for one in disturbed[1] for name in re.findall(r"^(\w+): [\d.]+ s$", one, re.MULTILINE))
    assert {name: count for name, count in ran.items() if count > 1 and name not in RESOLVERS} == {}


def test_nobody_is_left_behind(disturbed: tuple[Path, list[str]]) -> None:
    assert working_in(disturbed[0]) == []


def test_the_metadata_is_consistent(disturbed: tuple[Path, list[str]]) -> None:
    output = disturbed[0]
    store = mlmd.MetadataStore(metadata.sqlite_metadata_connection_config(str(output / "tfx" / "metadata.sqlite")))
    state = proto.Execution
    executions = store.get_executions()
    assert {one.last_known_state for one in executions} <= {state.COMPLETE, state.CACHED, state.FAILED}
    ends = Counter(one.type for one in executions if one.last_known_state == state.COMPLETE)
    assert {name: count for name, count in ends.items() if count > 1 and not name.endswith("Resolver")} == {}
    known = {Path(one.uri) for one in store.get_artifacts()}
    assert all(one.state == proto.Artifact.LIVE for one in store.get_artifacts())
    there = {path for path in (output / "tfx" / "artifacts").glob("*/*/*") if path.parent.name.isidentifier()}
    assert {path for path in there if path.parent.name not in ("staging", "training")} == known
    assert [path for path in there if path.parent.name in ("staging", "training")] == []


def test_the_release_is_that_of_an_undisturbed_run(disturbed: tuple[Path, list[str]], output: Path) -> None:
    one, other = output / "releases", disturbed[0] / "releases"
    assert versions(other) == [1]
    assert [path.name for path in other.iterdir()] == ["1"]
    first, second = vars(verify(one / "1")), vars(verify(other / "1"))
    assert first["files"].keys() == second["files"].keys()
    differ = {name for name in first["files"] if first["files"][name] != second["files"][name]}
    assert {name for name in differ if name not in UNSTABLE | DATED and not name.endswith("model.json")} == set()
    assert weights(one / "1") == weights(other / "1")
    assert first["provenance"]["data"] == second["provenance"]["data"]
    left_out = {"files", "model", "created", "run", "provenance"}  # the last tells of executions, and when
    assert {k: v for k, v in first.items() if k not in left_out} == {k: v for k, v in second.items() if k not in left_out}


def test_the_embeddings_and_metrics_are_those_of_an_undisturbed_run(disturbed: tuple[Path, list[str]], output: Path) -> None:
    one, other = (
        next((folder / "tfx" / "artifacts" / "Embedder" / "embeddings").iterdir()) for folder in (output, disturbed[0])
    )
    assert [path.name for path in sorted(one.iterdir())] == [path.name for path in sorted(other.iterdir())]
    for path in one.iterdir():
        assert pq.read_table(path).equals(pq.read_table(other / path.name))
    read = [json.loads((folder / "results.json").read_text()) for folder in (output, disturbed[0])]
    assert read[0] == read[1]
