"""Structured logs: every line that is said as one JSON object, with the run, component or release that it belongs to.

Text is for people and stays the default; `--log-format json`, or M3NET_LOG_FORMAT=json where a container sets it.
"""

import contextlib
import io
import json
import logging
import os
import sys
import threading
from datetime import UTC, datetime
from typing import Any, TextIO

FIELDS: dict[str, str] = {}  # on every line: "run", and "component" while one is running


def chosen(asked: str | None) -> bool:
    """Whether lines are to be JSON: as `asked` for, else as the environment says."""
    return (asked or os.environ.get("M3NET_LOG_FORMAT", "text")) == "json"


def as_json(level: str, message: str, **fields: Any) -> str:
    """One line: `time` (UTC, ISO 8601), `level`, `message`, then what it belongs to."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    return json.dumps({"time": time, "level": level, "message": message, **FIELDS, **fields}, ensure_ascii=False)


class JsonFormatter(logging.Formatter):
    """For handlers of `logging`; a traceback goes into `exception`, so that a record stays a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        more = {"exception": self.formatException(record.exc_info)} if record.exc_info else {}
        return as_json(record.levelname.lower(), record.getMessage(), logger=record.name, **more)


class JsonLines(io.TextIOBase):
    """In the place of stderr or stdout: what is written leaves as JSON, a line at a time. Safe from any thread."""

    def __init__(self, stream: TextIO, level: str = "info") -> None:
        self._stream, self._level, self._rest, self._lock = stream, level, "", threading.Lock()

    def write(self, text: str) -> int:
        """Keeps what has no end of line yet."""
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
            for line in filter(str.strip, lines):
                self._stream.write(as_json(self._level, line.strip()) + "\n")
            self._stream.flush()
        return len(text)

    def say(self, message: str, **fields: Any) -> None:
        """A line with fields of its own."""
        with self._lock:
            self._stream.write(as_json(self._level, message, **fields) + "\n")
            self._stream.flush()

    def flush(self) -> None:
        """What has no end of line waits on."""
        self._stream.flush()

    def close(self) -> None:
        """The last line, even without its end."""
        if self._rest.strip():
            self.write("\n")

    def fileno(self) -> int:
        """Of the stream behind it."""
        return self._stream.fileno()


@contextlib.contextmanager
def structured(stdout: bool = False) -> Any:
    """stderr, and if asked for stdout, as JSON lines while it lasts."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # TensorFlow's C++ writes past Python
    before = sys.stderr, sys.stdout
    sys.stderr = JsonLines(before[0])
    if stdout:
        sys.stdout = JsonLines(before[1])
    try:
        yield
    finally:
        for stream in {sys.stderr, sys.stdout}:
            if isinstance(stream, JsonLines):
                stream.close()
        sys.stderr, sys.stdout = before


def say(message: str, **fields: Any) -> None:
    """To stdout: a line for people, or where lines are JSON, one with `fields`."""
    if isinstance(sys.stdout, JsonLines):
        sys.stdout.say(message, **fields)
    else:
        print(message, flush=True)
