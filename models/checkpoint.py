"""The state of a training after an epoch, in one file that is whole or not there: what an exact resume needs."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

History = list[dict[str, float]]


@dataclass(frozen=True)
class State:
    """All variables of the model (statistics, centres, queues and random states among them) and of the optimizer, the
    weights of the best epoch so far (None before one was validated), and a row an epoch that is done.

    Batches follow from the number of the epoch, so nothing of them is kept.
    """

    variables: Sequence[np.ndarray]
    optimizer: Sequence[np.ndarray]
    best: Sequence[np.ndarray] | None
    history: History


def write(path: Path, state: State) -> None:
    """Written aside, synced and renamed: a kill leaves the epoch before, and so does a full disk, which raises OSError."""
    parts = {"variables": state.variables, "optimizer": state.optimizer, "best": state.best or ()}
    arrays = {f"{part}/{i:05}": value for part, values in parts.items() for i, value in enumerate(values)}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            # NumPy's types spell float32 as a type of its own; the savez signature does not know keyword arrays by any name.
            np.savez(file, **arrays, history=np.array(json.dumps(state.history)))  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        partial.unlink(missing_ok=True)  # on a full disk, half a state takes room that others need
        raise
    partial.rename(path)


def read(path: Path | None) -> State | None:
    """What `write` left, or None where there is nothing."""
    if path is None or not path.is_file():
        return None
    with np.load(path) as found:
        parts: dict[str, list[Any]] = {"variables": [], "optimizer": [], "best": []}
        for name in sorted(set(found.files) - {"history"}):
            parts[name.split("/")[0]].append(found[name])
        history: History = json.loads(str(found["history"]))
    return State(parts["variables"], parts["optimizer"], parts["best"] or None, history)
