"""One small real run for all end-to-end tests: 80 drawn photos, one epoch, through the command a user types."""

import subprocess
import sys
from pathlib import Path

import pytest

QUICK = ["--set", "training.epochs=1", "--set", "training.min_steps=0", "--set", "model.image_size=32"]


def m3net(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own. Raises: CalledProcessError, its output in the report."""
    done = subprocess.run([sys.executable, "-m", "pipeline.cli", *arguments], capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)
    done.check_returncode()
    return done


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("e2e") / "photos"
    m3net("sample", str(folder), "--photos", "80")
    return folder / "catalogue.csv"


@pytest.fixture(scope="session")
def watched(catalogue: Path) -> tuple[Path, str, str]:
    """The run's folder, its metrics.prom before anything else went on in it, and what it said on stderr, as JSON."""
    folder = catalogue.parent.parent / "output"
    done = m3net("run", "--catalogue", str(catalogue), "--output", str(folder), *QUICK, "--log-format", "json")
    return folder, (folder / "metrics.prom").read_text(), done.stderr


@pytest.fixture(scope="session")
def output(watched: tuple[Path, str, str]) -> Path:
    return watched[0]
