"""ML Metadata on a real PostgreSQL and a real MariaDB: a run leaves there what its folder is explained from, what was cut off
is closed for its own folder alone; what goes wrong is one line."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import ml_metadata as mlmd
import pytest
from ml_metadata.proto import metadata_store_pb2 as proto

from components.errors import InputError
from pipeline.metadata import MetadataConfig, open_store, prepare
from pipeline.recovery import recover

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
MARIADB = shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin")
SECRET = "s3cret-never-shown"
DATABASES = ("m3net", "m3net_recovery")


def _as_user(*command: str | Path) -> list[str]:
    """PostgreSQL refuses to run as root."""
    text = list(map(str, command))
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *text] if os.getuid() == 0 else text


def _startable() -> bool:
    return bool(BINARIES) and subprocess.run(_as_user("true"), check=False, stderr=subprocess.DEVNULL).returncode == 0


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextlib.contextmanager
def _postgresql(folder: Path) -> Iterator[int]:
    """A server with its files in `folder`; yields its port."""
    (folder / "password").write_text(SECRET)
    if os.getuid() == 0:
        for path in (folder, folder / "password"):
            shutil.chown(path, "postgres", "postgres")
    port = _free_port()
    made = ["-D", folder / "data", "-U", "m3net", "-A", "scram-sha-256", "--pwfile", folder / "password", "-N"]
    environment = {**os.environ, "LC_ALL": "C", "PGPASSWORD": SECRET}
    run = {"cwd": folder, "env": environment, "check": True, "stdout": subprocess.DEVNULL}
    subprocess.run(_as_user(BINARIES[-1] / "initdb", *made), **run)  # type: ignore[call-overload]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder}"
    act = [BINARIES[-1] / "pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log"]
    subprocess.run(_as_user(*act, "-o", options, "start"), **run)  # type: ignore[call-overload]
    try:
        for name in DATABASES:
            created = [BINARIES[-1] / "createdb", "-h", "127.0.0.1", "-p", port, "-U", "m3net", name]
            subprocess.run(list(map(str, created)), **run)  # type: ignore[call-overload]
        yield port
    finally:
        subprocess.run(_as_user(*act, "-m", "fast", "stop"), **run)  # type: ignore[call-overload]


@contextlib.contextmanager
def _mariadb(folder: Path) -> Iterator[int]:
    """As `_postgresql`."""
    port, user = _free_port(), f"--user={pwd.getpwuid(os.getuid()).pw_name}"
    install = ["mariadb-install-db", "--no-defaults", f"--datadir={folder}/data", user, "--skip-test-db"]
    subprocess.run(install, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lines = [f"CREATE USER m3net@'%' IDENTIFIED BY '{SECRET}';"]
    lines += [f"{line};" for name in DATABASES for line in (f"CREATE DATABASE {name}", f"GRANT ALL ON {name}.* TO m3net@'%'")]
    (folder / "first.sql").write_text("\n".join(lines) + "\n")
    options = [
        f"--datadir={folder}/data",
        f"--socket={folder}/socket",
        f"--pid-file={folder}/pid",
        f"--init-file={folder}/first.sql",
    ]
    command = [
        str(MARIADB),
        "--no-defaults",
        user,
        f"--port={port}",
        "--bind-address=127.0.0.1",
        "--skip-name-resolve",
        *options,
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            while True:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                assert server.poll() is None, (folder / "log").read_text()
                time.sleep(0.1)
            yield port
        finally:
            server.terminate()


@pytest.fixture(scope="module", params=["postgresql", "mysql"])
def server(request: pytest.FixtureRequest) -> Iterator[MetadataConfig]:
    """A server of our own on a free port of loopback, with databases, a user and a password."""
    if request.param == "postgresql" and not _startable():
        pytest.skip("no PostgreSQL server here (apt-get install postgresql), or no user postgres to run it")
    if request.param == "mysql" and not (MARIADB and shutil.which("mariadb-install-db")):
        pytest.skip("no MariaDB server here (apt-get install mariadb-server)")
    start = {"postgresql": _postgresql, "mysql": _mariadb}[request.param]
    folder = Path(tempfile.mkdtemp(prefix="m3net-db-", dir="/tmp"))  # a socket's path is short
    try:
        with start(folder) as port:
            (mine := folder / "mine").write_text(SECRET + "\n")
            yield MetadataConfig(kind=request.param, port=port, password_file=str(mine))
    finally:
        shutil.rmtree(folder)


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_what_was_cut_off_is_closed_but_not_what_another_folder_may_be_running(server: MetadataConfig, tmp_path: Path) -> None:
    connection = prepare(replace(server, database=DATABASES[1]), tmp_path)
    store = mlmd.MetadataStore(connection)
    kind = store.put_execution_type(proto.ExecutionType(name="Trainer"))
    node = proto.Context(type_id=store.put_context_type(proto.ContextType(name="node")), name="m3net.Trainer")
    running = proto.Execution(type_id=kind, last_known_state=proto.Execution.RUNNING)
    mine, others = (store.put_execution(running, [], [node], reuse_context_if_already_exist=True)[0] for _ in range(2))
    half = tmp_path / "tfx" / "artifacts" / "Trainer" / "model" / str(mine)
    half.mkdir(parents=True)
    assert recover(connection, tmp_path / "tfx" / "artifacts") == ["Trainer"]
    states = {one.id: one.last_known_state for one in store.get_executions()}
    assert states == {mine: proto.Execution.FAILED, others: proto.Execution.RUNNING}
    assert not half.exists()


def test_a_folder_does_not_change_its_database_half_way(tmp_path: Path) -> None:
    prepare(MetadataConfig(), tmp_path)
    (tmp_path / "tfx" / "metadata.sqlite").touch()
    with pytest.raises(InputError, match=r"metadata\.kind at sqlite"):
        prepare(MetadataConfig(kind="mysql"), tmp_path)
