"""What a killed run left in the metadata and beside it, set right before the next one begins.

TFX's local runner gives every try an execution of its own, so that a killed one stops nobody; but it would stand there as
RUNNING for ever, with half an artifact in a folder that nobody reads.
"""

import shutil
from pathlib import Path
from typing import Any

_OPEN = "last_known_state = RUNNING OR last_known_state = NEW"


def recover(connection: Any, artifacts: Path) -> list[str]:
    """Marks executions that no process works on any more as failed, and removes what they had begun to write.

    The caller holds the output folder's lock, so whatever says RUNNING is dead. What components keep for their next try
    lies in folders of their own (`staging/`, `training/`, `search/`) and stays.

    Args: connection: of ML Metadata. artifacts: the pipeline's root.
    Returns: the components that were cut off, by name.
    """
    import ml_metadata as mlmd
    from ml_metadata.proto import metadata_store_pb2 as proto

    store = mlmd.MetadataStore(connection)
    dead = store.get_executions(list_options=mlmd.ListOptions(filter_query=_OPEN))
    if not connection.HasField("sqlite"):  # a server's database holds other folders' runs too, and they may be alive
        dead = [execution for execution in dead if _begun(artifacts, execution.id)]
    for execution in dead:
        for folder in _begun(artifacts, execution.id):
            shutil.rmtree(folder, ignore_errors=True)
        execution.last_known_state = proto.Execution.FAILED
    if dead:
        store.put_executions(dead)
    contexts = [context for execution in dead for context in store.get_contexts_by_execution(execution.id)]
    return [context.name.rpartition(".")[2] for context in contexts if context.type == "node"]


def _begun(artifacts: Path, execution: int) -> list[Path]:
    """An execution's folders: <node>/<output>/<execution>, and TFX's own below <node>/.system."""
    return [*artifacts.glob(f"*/*/{execution}"), *artifacts.glob(f"*/.system/*/{execution}")]
