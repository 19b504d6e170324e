"""What a run says: one line a component on the terminal, everything else in a log file; and where its time went."""

import logging
import os
import sys
import time
from pathlib import Path

from absl import logging as absl_logging

# The runner's own messages, by their format: it offers no other hook.
_RUNNING, _FINISHED, _CACHED = "Component %s is running.", "Component %s is finished.", "A cached execution %d is used."
_WORKING, _WORKED = "Going to run a new execution: %s", "Execution %d succeeded."  # around the component's own work


class Progress(logging.Handler):
    """Turns the local runner's messages into a line a component; knows afterwards what ran and what was cached.

    `work`: seconds inside each component that ran, without the runner's own around it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[str] = []
        self.cached: list[str] = []
        self.work: dict[str, float] = {}
        self._from_cache = False
        self._began = self._started = time.perf_counter()
        self._working: float | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Looks at the message's format alone: formatting TFX's would cost more than the components of a cached run."""
        now = time.perf_counter()
        if record.msg == _RUNNING and isinstance(record.args, tuple):
            self._started, self._from_cache, self._working, self._worked = now, False, None, 0.0
            print(f"{record.args[0]} ...", file=sys.stderr, flush=True)
        elif record.msg == _CACHED:
            self._from_cache = True
        elif record.msg == _WORKING:
            self._working = now
        elif record.msg == _WORKED and self._working is not None:
            self._worked = now - self._working
        elif record.msg == _FINISHED and isinstance(record.args, tuple):
            self._finished(str(record.args[0]), now - self._started)

    def _finished(self, name: str, seconds: float) -> None:
        (self.cached if self._from_cache else self.ran).append(name)
        if self._working is not None:
            self.work[name] = self._worked
        print(f"{name}: {'from cache' if self._from_cache else f'{seconds:.1f} s'}", file=sys.stderr, flush=True)

    def summary(self) -> str:
        """How long it all took, in one line: inside which components, how many were cached, and around them."""
        whole, work = time.perf_counter() - self._began, sum(self.work.values())
        longest = max(self.work, key=lambda name: self.work[name], default="")
        inside = f"{spoken(work)} inside {len(self.work)} steps" if longest else "nothing had to be done again"
        inside += f" (the longest: {longest}, {spoken(self.work[longest])})" if len(self.work) > 1 else ""
        return f"took {spoken(whole)}: {inside}, {len(self.cached)} from cache, {spoken(whole - work)} around them"


def spoken(seconds: float) -> str:
    """A duration for people: 0.4 s, 12 min 05 s, 3 h 20 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def quiet() -> None:
    """Before TensorFlow is imported: its C++ code keeps to errors, and its CPU convolutions are oneDNN's.

    It chooses those itself where there is AVX-512; without, they take a quarter off a training step all the same.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


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
