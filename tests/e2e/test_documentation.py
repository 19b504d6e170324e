"""README.md and BUILD.md are true: their commands are typed, word for word, in a copy of the project."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.lineage import Lineage

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
TRACKED = ("Makefile", "local_runner.py", "pyproject.toml", "requirements.lock", "requirements-dev.lock", ".ci", "pipeline")


def commands(name: str) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def test_the_commands_of_the_readme_work(tmp_path: Path) -> None:
    for name in TRACKED:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, tmp_path / name)
    environment = Path(sys.executable).parents[1]
    (tmp_path / ".venv").symlink_to(environment)
    # `make` would set up and test within the test: what it would do is printed instead, and that it could be made.
    lines = [f"{line} -n" if line.startswith("make ") else line for line in commands("README.md")]
    # Where a line fails, the server started before it would hold the pipes of the output, and this test, for ever.
    script = "\n".join(["trap 'kill $(jobs -p) 2> /dev/null || true' EXIT", *lines])
    assert "make run -n" in script
    assert "m3net query" in script
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-m", "-c", script],
        cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "| overall" in done.stdout
    assert (tmp_path / "runs/first/neighbours.html").exists()
    assert (tmp_path / "runs/first/m3net.yaml").exists()
    lineage = Lineage(tmp_path / "runs/first")
    assert [lineage.cached(one) for one in lineage.ended("Trainer")] == [True, False]  # the tfx command's run, and `m3net run`


def test_the_commands_of_the_build_notes_are_targets() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    found = commands("BUILD.md")
    assert found
    assert {line.removeprefix("make ") for line in found} <= targets


def test_every_file_named_in_the_documents_exists() -> None:
    for name in ("README.md", "BUILD.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for path in re.findall(r"(?:pipeline|components|models|serving|tests|docs)/[\w./]+\.(?:py|yaml|png)", text):
            assert (ROOT / path).is_file(), f"{name} names {path}"


def test_changelog_and_package_agree_on_the_version() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    newest = re.search(r"^## (.+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert version
    assert newest
    assert version[1] == newest[1]
