"""Where ML Metadata lives: a SQLite file in the output folder, or a database on a PostgreSQL or MySQL server.

A database server holds the runs of one output folder: whoever opens the folder later finds the server in
tfx/metadata.json, which holds no password.
"""

import dataclasses
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import InputError

SQLITE = "tfx/metadata.sqlite"
_SERVER = "tfx/metadata.json"
_PORTS = {"postgresql": 5432, "mysql": 3306}
KINDS = ("sqlite", *_PORTS)
_OWNER = "m3net.output"  # the context that names the folder whose runs a database holds
_CONNECT_SEC = 10


@dataclass(frozen=True)
class MetadataConfig:
    """Which database. All but `kind` is for a server, whose database must exist; the password is never written here."""

    kind: str = "sqlite"  # or "postgresql" or "mysql"
    host: str = "127.0.0.1"
    port: int = 0  # 0 = the kind's own, 5432 or 3306
    database: str = "m3net"
    user: str = "m3net"
    password_env: str = "M3NET_METADATA_PASSWORD"  # the environment variable that holds the password; not set = none
    password_file: str = ""  # or a file that holds it and nothing else, such as a mounted secret


def prepare(config: MetadataConfig, folder: Path) -> Any:
    """The connection config of ML Metadata for the runs of `folder`, tried. Writes: tfx/ in it, and where the server is.

    Raises: InputError where the server cannot be reached, refuses, or holds the runs of another folder.
    """
    (folder / "tfx").mkdir(parents=True, exist_ok=True)
    note = folder / _SERVER
    _same_as_before(config, folder)
    found = _connection(config, folder)
    if config.kind != "sqlite":
        _claim(_open(config, found), config, folder)
        note.write_text(json.dumps(dataclasses.asdict(config), indent=1) + "\n", encoding="utf-8")
    return found


def open_store(folder: Path) -> Any:
    """The MetadataStore of the runs in `folder`, for reading. Raises: InputError where there is none, or as `prepare`."""
    if (folder / _SERVER).is_file():
        config = _noted(folder / _SERVER)
    elif (folder / SQLITE).is_file():
        config = MetadataConfig()
    else:
        raise InputError(f"{folder} holds no {SQLITE}; give the --output of a run")
    return _open(config, _connection(config, folder, read_only=True))


def _noted(file: Path) -> MetadataConfig:
    try:
        return MetadataConfig(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{file} does not say where ML Metadata is: {error}; run again with the metadata: part") from None


def _same_as_before(config: MetadataConfig, folder: Path) -> None:
    """Raises: InputError where earlier runs of `folder` are in another place: half a history explains nothing."""
    if config.kind == "sqlite" and (folder / _SERVER).is_file():
        raise InputError(f"{folder} has its metadata on a server, see {_SERVER} there; name it in the metadata: part")
    if config.kind != "sqlite" and (folder / SQLITE).is_file():
        raise InputError(f"{folder} has its metadata in {SQLITE}; give a new --output, or leave metadata.kind at sqlite")


def _connection(config: MetadataConfig, folder: Path, read_only: bool = False) -> Any:
    from ml_metadata.proto import metadata_store_pb2 as proto

    found = proto.ConnectionConfig()
    if config.kind == "sqlite":
        modes = proto.SqliteMetadataSourceConfig
        found.sqlite.filename_uri = str(folder / SQLITE)
        found.sqlite.connection_mode = modes.READONLY if read_only else modes.READWRITE_OPENCREATE
        return found
    port = config.port or _PORTS[config.kind]
    if config.kind == "postgresql":
        server = found.postgresql
        server.port, server.dbname, server.skip_db_creation = str(port), config.database, True
    else:
        server = found.mysql
        server.port, server.database, server.skip_db_creation = port, config.database, True
    server.host, server.user = config.host, config.user
    if password := _password(config):
        server.password = password
    return found


def _password(config: MetadataConfig) -> str:
    if not config.password_file:
        return os.environ.get(config.password_env, "")
    try:
        return Path(config.password_file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is no text"
        raise InputError(f"metadata.password_file: {config.password_file} cannot be read: {reason}") from None


def _open(config: MetadataConfig, connection: Any) -> Any:
    """Raises: InputError with one line that never holds the password."""
    import ml_metadata
    from ml_metadata import errors

    where = f"metadata: {config.kind} at {config.host}:{config.port or _PORTS.get(config.kind)}"
    if config.kind != "sqlite":
        try:  # first, for the libraries below wait minutes for a host that is not there
            socket.create_connection((config.host, config.port or _PORTS[config.kind]), _CONNECT_SEC).close()
        except OSError as error:
            raise InputError(
                f"{where} cannot be reached ({error.strerror or error}); is it up, and metadata.host right?"
            ) from None
    try:
        return ml_metadata.MetadataStore(connection)
    except (errors.StatusError, RuntimeError) as error:
        said = " ".join(str(error).split())
        if secret := _password(config):
            said = said.replace(secret, "***")
        raise InputError(
            f'{where}, database "{config.database}", user "{config.user}": {said[:300]}; the password is read from '
            f"{config.password_file or f'${config.password_env}'}, and the database must exist"
            if config.kind != "sqlite"
            else f"{connection.sqlite.filename_uri}: {said[:300]}"
        ) from None


def _claim(store: Any, config: MetadataConfig, folder: Path) -> None:
    """One database, one folder: the last blessed model of another shop is nothing to compare with."""
    from ml_metadata.proto import metadata_store_pb2 as proto

    names = {context.name for context in store.get_contexts_by_type(_OWNER)} if _known(store) else set()
    if not names:
        kind = store.put_context_type(proto.ContextType(name=_OWNER))
        store.put_contexts([proto.Context(type_id=kind, name=str(folder))])
    elif str(folder) not in names:
        raise InputError(
            f'metadata: the database "{config.database}" holds the runs of {min(names)}; '
            f"give {folder} a database of its own, such as metadata.database={config.database}_{folder.name}"
        )


def _known(store: Any) -> bool:
    return any(kind.name == _OWNER for kind in store.get_context_types())
