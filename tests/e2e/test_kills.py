"""kill -9 at random moments, and the same command again: the release of an undisturbed run, and nothing finished is redone.

Two kills in `make test-long`; M3NET_KILLS=10, as `make test-kills` sets it, takes some minutes. The moments are drawn over the
time that an undisturbed run takes, so that each component is hit as often as it is long; M3NET_KILLS_SEED repeats them, and
they are printed.
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

from pipeline.lineage import Lineage
from serving.release import read_manifest, verify, versions
from tests.e2e.conftest import QUICK

pytestmark = [pytest.mark.slow, pytest.mark.long]
KILLS = int(os.environ.get("M3NET_KILLS", "2"))
SEED = int(os.environ.get("M3NET_KILLS_SEED") or random.SystemRandom().randrange(1_000_000))
RESOLVERS = {"last_statistics", "last_blessed_model"}  # they look something up, anew in every run
UNDER_WAY = ("staging", "training", "search")  # what a component keeps for its next try
# TensorFlow numbers functions, and Keras' export orders variables, anew in every process; and what follows from that.
UNSTABLE = {"saved_model.pb", "fingerprint.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"}
DATED = {"assets.extra/model_card.html"}  # says when, and by which run


def started(catalogue: Path, output: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pipeline.cli", "run", "--catalogue", str(catalogue), "--output", str(output), *QUICK]
    with log.open("wb") as file:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file)


def moments(undisturbed: Path) -> list[tuple[str, float]]:
    """Components and seconds after each began, in the order of the run whose folder is given: `KILLS` moments of it."""
    lineage = Lineage(undisturbed)
    ran = lineage.executions(read_manifest(undisturbed / "releases" / "1").run)
    times = [(one.last_update_time_since_epoch - one.create_time_since_epoch) / 1000 for one in ran]
    drawn, found = random.Random(SEED), []
    for moment in sorted(drawn.uniform(0, sum(times)) for _ in range(KILLS)):
        passed = 0.0
        for execution, seconds in zip(ran, times, strict=True):
            if moment <= passed + seconds:
                found.append((lineage.name(execution), moment - passed))
                break
            passed += seconds
    return found


def killed_in(run: subprocess.Popen[bytes], log: Path, component: str, seconds: float) -> None:
    """Kills `run` so many seconds after it began `component`, or as soon as that says it is finished."""
    began = 0.0
    while run.poll() is None:
        lines = log.read_text().splitlines()
        if not began and f"{component} ..." in lines:
            began = time.monotonic()
        finished = any(line.startswith(f"{component}: ") for line in lines)
        if began and (finished or time.monotonic() - began >= seconds):
            run.send_signal(signal.SIGKILL)
            run.wait()
        time.sleep(0.02)


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
def disturbed(catalogue: Path, output: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The output folder, and what each run said."""
    folder = tmp_path_factory.mktemp("kills")
    said = []
    print(f"M3NET_KILLS_SEED={SEED}")
    for number, moment in enumerate([*moments(output), None]):
        log = folder / f"{number}.log"
        run = started(catalogue, folder / "output", log)
        if moment:
            killed_in(run, log, *moment)
            left = [line for line in log.read_text().splitlines() if not line[:1].isdigit()][-1:]  # TensorFlow's begin so
            print(f"kill {number + 1}: drawn {moment[1]:.2f} s into {moment[0]}, exit code {run.returncode}, at {left}")
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
    assert {path for path in there if path.parent.name not in UNDER_WAY} == known
    assert [path for path in there if path.parent.name in UNDER_WAY] == []


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
