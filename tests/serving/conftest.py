"""Fixtures of a drawn release and of servers that answer from it."""

import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serving import release
from tests.serving import drawn as drawing
from tests.serving.drawn import Drawn, Running


@pytest.fixture(scope="session", autouse=True)
def _many_files() -> Iterator[None]:
    """As many open files as 10,000 connections need, here and in the servers that are started, if the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 16_000 if hard == resource.RLIM_INFINITY else min(hard, 16_000)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="session")
def photo() -> Callable[[int], bytes]:
    """Photo number n as a PNG, which no decoder rounds."""
    return drawing.photo


@pytest.fixture(scope="session")
def drawn() -> type[Drawn]:
    """`drawn(version)`."""
    return Drawn


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """The parts of version v's release: `model`, `index`, `items.parquet`; made once."""
    made: dict[int, Path] = {}

    def make(version: int) -> Path:
        if version not in made:
            made[version] = drawing.parts_of(version, tmp_path_factory.mktemp(f"parts{version}"))
        return made[version]

    return make


@pytest.fixture(scope="session")
def compose_into(parts: Callable[[int], Path]) -> Callable[..., release.Manifest]:
    """What `push` is given; `like` takes another version's parts, `saved_model` another model."""

    def compose(folder: Path, version: int, like: int = 0, saved_model: Path | None = None) -> release.Manifest:
        return drawing.compose(folder, version, parts(like or version), saved_model)

    return compose


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """Starts servers, and leaves none behind."""
    running: list[Running] = []

    def begin(*arguments: str | Path, port: int = 0) -> Running:
        running.append(Running(*arguments, port=port))
        return running[-1]

    yield begin
    for one in running:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory, compose_into: Callable[[Path, int], release.Manifest]) -> Iterator[str]:
    """host:port of a server of drawn version 1."""
    releases = tmp_path_factory.mktemp("releases")
    release.push(releases, compose_into)
    running = Running(releases)
    try:
        yield running.said(r"^serving m3net version 1 on (\S+)$").group(1)
    finally:
        running.end()
