"""What a killed run left in the metadata is closed, and what it had begun to write is gone; all else stays."""

from pathlib import Path

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2 as proto
from tfx.orchestration import metadata

from pipeline.recovery import recover


def test_the_dead_are_closed_and_their_halves_removed(tmp_path: Path) -> None:
    connection = metadata.sqlite_metadata_connection_config(str(tmp_path / "metadata.sqlite"))
    store = mlmd.MetadataStore(connection)
    kind = store.put_execution_type(proto.ExecutionType(name="Trainer"))
    node = store.put_context_type(proto.ContextType(name="node"))
    states = (proto.Execution.RUNNING, proto.Execution.COMPLETE, proto.Execution.NEW, proto.Execution.CACHED)
    context = proto.Context(type_id=node, name="m3net.Trainer")
    ids = [
        store.put_execution(proto.Execution(type_id=kind, last_known_state=state), [], [context], reuse_context_if_already_exist=True)[0]
        for state in states
    ]  # fmt: skip
    root = tmp_path / "artifacts"
    for place in (f"Trainer/model/{ids[0]}", f"Trainer/model/{ids[1]}", f"Trainer/.system/executor_execution/{ids[0]}"):
        (root / place).mkdir(parents=True)
    for kept in ("Trainer/training/0a1b", "Tuner/search/2c3d"):
        (root / kept).mkdir(parents=True)
    assert recover(connection, root) == ["Trainer", "Trainer"]
    found = {one.id: one.last_known_state for one in store.get_executions()}
    failed = proto.Execution.FAILED
    assert [found[one] for one in ids] == [failed, proto.Execution.COMPLETE, failed, proto.Execution.CACHED]
    left = {path.relative_to(root).as_posix() for path in root.glob("*/*/*")}
    assert left == {
        f"Trainer/model/{ids[1]}",
        "Trainer/training/0a1b",
        "Tuner/search/2c3d",
        "Trainer/.system/executor_execution",
    }
    assert not list((root / "Trainer" / ".system" / "executor_execution").iterdir())
    assert recover(connection, root) == []


def test_a_first_run_has_nothing_to_recover(tmp_path: Path) -> None:
    connection = metadata.sqlite_metadata_connection_config(str(tmp_path / "metadata.sqlite"))
    assert recover(connection, tmp_path / "artifacts") == []
