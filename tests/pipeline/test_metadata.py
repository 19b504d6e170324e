"""ML Metadata on a real PostgreSQL: a run leaves there what its folder is explained from; what goes wrong is one line."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from components.errors import InputError
from pipeline.metadata import MetadataConfig, open_store, prepare

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
SECRET = "s3cret-never-shown"


def _as_user(*command: str | Path) -> list[str]:
    """PostgreSQL refuses to run as root."""
    text = list(map(str, command))
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *text] if os.getuid() == 0 else text


def _startable() -> bool:
    return bool(BINARIES) and subprocess.run(_as_user("true"), check=False, stderr=subprocess.DEVNULL).returncode == 0


needs_postgresql = pytest.mark.skipif(
    not _startable(), reason="no PostgreSQL server here (apt-get install postgresql), or no user postgres to run it"
)


@pytest.fixture(scope="module")
def server() -> Iterator[MetadataConfig]:
    """A server of our own on a free port of loopback, with a database and a password."""
    folder = Path(subprocess.check_output(["mktemp", "-d", "/tmp/m3net-pg-XXXXXX"], text=True).strip())
    (folder / "password").write_text(SECRET)
    if os.getuid() == 0:
        for path in (folder, folder / "password"):
            shutil.chown(path, "postgres", "postgres")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    made = ["-D", folder / "data", "-U", "m3net", "-A", "scram-sha-256", "--pwfile", folder / "password", "-N"]
    environment = {**os.environ, "LC_ALL": "C", "PGPASSWORD": SECRET}
    run = {"cwd": folder, "env": environment, "check": True, "stdout": subprocess.DEVNULL}
    try:
        subprocess.run(_as_user(BINARIES[-1] / "initdb", *made), **run)  # type: ignore[call-overload]
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder}"
        act = [BINARIES[-1] / "pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log"]
        subprocess.run(_as_user(*act, "-o", options, "start"), **run)  # type: ignore[call-overload]
        try:
            created = [BINARIES[-1] / "createdb", "-h", "127.0.0.1", "-p", port, "-U", "m3net", "m3net"]
            subprocess.run(list(map(str, created)), **run)  # type: ignore[call-overload]
            (mine := folder / "mine").write_text(SECRET + "\n")
            yield MetadataConfig(kind="postgresql", port=port, password_file=str(mine))
        finally:
            subprocess.run(_as_user(*act, "-m", "fast", "stop"), **run)  # type: ignore[call-overload]
    finally:
        shutil.rmtree(folder)


@needs_postgresql
def test_what_goes_wrong_with_a_server_is_one_line_without_the_password(server: MetadataConfig, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("not-this-one")
    for config, words in [
        (replace(server, password_file=str(wrong)), 'user "m3net"'),
        (replace(server, database="nowhere"), 'database "nowhere"'),
        (replace(server, port=1), "cannot be reached"),
        (replace(server, password_file=str(tmp_path / "none")), "No such file"),
    ]:
        with pytest.raises(InputError) as caught:
            prepare(config, tmp_path / "run")
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
        assert SECRET not in str(caught.value)
        assert "not-this-one" not in str(caught.value)


@needs_postgresql
def test_a_run_of_tfx_is_kept_on_the_server_and_found_from_its_folder(server: MetadataConfig, tmp_path: Path) -> None:
    from tfx import v1 as tfx

    from pipeline.config import Config
    from pipeline.lineage import Lineage
    from pipeline.recorded import RecordedRunner

    folder = tmp_path / "run"
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema" / "schema.pbtxt").write_text("")
    for _ in range(2):
        step = tfx.components.ImportSchemaGen(schema_file=str(tmp_path / "schema" / "schema.pbtxt"))
        connection = prepare(server, folder)
        pipeline = tfx.dsl.Pipeline(
            "m3net",
            str(folder / "tfx" / "artifacts"),
            components=[step],
            enable_cache=True,
            metadata_connection_config=connection,
        )
        RecordedRunner(Config(metadata=server), folder).run(pipeline)
    assert not (folder / "tfx" / "metadata.sqlite").exists()
    assert SECRET not in (folder / "tfx" / "metadata.json").read_text()
    lineage = Lineage(folder)
    first, second = sorted(c.name for c in open_store(folder).get_contexts_by_type("pipeline_run"))
    assert f'm3net_run_info{{run="{second}"}} 1' in (folder / "metrics.prom").read_text()
    found = lineage.last("ImportSchemaGen")
    assert found is not None
    assert lineage.steps(found.id)[0].cached
    assert lineage.run_of(lineage.maker(lineage.artifacts(found.id, inputs=False)["schema"].id)).name == first
    with pytest.raises(InputError, match="holds the runs of"):
        prepare(server, tmp_path / "another")
    with pytest.raises(InputError, match="on a server"):
        prepare(MetadataConfig(), folder)


def test_a_folder_does_not_change_its_database_half_way(tmp_path: Path) -> None:
    prepare(MetadataConfig(), tmp_path)
    (tmp_path / "tfx" / "metadata.sqlite").touch()
    with pytest.raises(InputError, match=r"metadata\.kind at sqlite"):
        prepare(MetadataConfig(kind="mysql"), tmp_path)
