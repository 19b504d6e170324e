"""What a run says: one line a component on the terminal, everything else in a log file."""

import logging
import os
import sys
import time
from pathlib import Path

from absl import logging as absl_logging

# The runner's own messages, by their format: it offers no other hook.
_RUNNING, _FINISHED, _CACHED = "Component %s is running.", "Component %s is finished.", "A cached execution %d is used."


class Progress(logging.Handler):
    """Turns the local runner's messages into a line a component; knows afterwards what ran and what was cached."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[str] = []
        self.cached: list[str] = []
        self._from_cache = False
        self._started = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Looks at the message's format alone: formatting TFX's would cost more than the components of a cached run."""
        if record.msg == _RUNNING and isinstance(record.args, tuple):
            self._started, self._from_cache = time.perf_counter(), False
            print(f"{record.args[0]} ...", file=sys.stderr, flush=True)
        elif record.msg == _CACHED:
            self._from_cache = True
        elif record.msg == _FINISHED and isinstance(record.args, tuple):
            name = str(record.args[0])
            (self.cached if self._from_cache else self.ran).append(name)
            seconds = time.perf_counter() - self._started
            print(f"{name}: {'from cache' if self._from_cache else f'{seconds:.1f} s'}", file=sys.stderr, flush=True)


def quiet() -> None:
    """Before TensorFlow is imported: its C++ code keeps to errors."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


def log_to(path: Path) -> Progress:
    """Sends all logs and warnings to the file `path`; returns the handler that shows progress."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = logging.FileHandler(path, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    file.setLevel(logging.WARNING)
    progress = Progress()
    logging.captureWarnings(True)
    logging.getLogger().handlers = [file]
    absl = logging.getLogger("absl")
    absl.handlers, absl.propagate = [file, progress], False
    # By its flag, not by the logger's level: Keras sets and restores the flag while it exports.
    absl_logging.set_verbosity(absl_logging.INFO)
    return progress
