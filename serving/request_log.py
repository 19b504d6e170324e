"""A share of the requests as TFRecords of PredictionLog: what was asked and answered, for warm-up and to look for drift.

TF Serving has the messages and the place in models.config (`logging_config`) but leaves the writing to others.
"""

import os
import queue
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

from serving.policy import RequestLogging
from serving.protos import prediction_log_pb2

_MOST_BYTES = 64 << 20  # of one file
_MOST_FILES = 16
_MOST_WAITING = 64  # records; more are dropped, for a full disk must not slow an answer


class RequestLog:
    """Writes `<prefix>-<start, UTC>-<pid>-<number>.tfrecord`; of this process the last 16 files of 64 MB stay.

    Raises: OSError where the folder of `prefix` is not there or cannot be written.
    """

    def __init__(self, settings: RequestLogging, most_bytes: int = _MOST_BYTES, most_files: int = _MOST_FILES) -> None:
        self.settings, self._most_bytes, self._most_files = settings, most_bytes, most_files
        if not os.access(Path(settings.prefix).parent, os.W_OK | os.X_OK):
            raise OSError(f"{settings.prefix}: its folder is not there or cannot be written")
        self._stem = f"{settings.prefix}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}"
        self._records: queue.Queue[bytes | None] = queue.Queue(_MOST_WAITING)
        self._files: list[Path] = []
        self.dropped = 0
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._writer.start()

    def add(self, request: Any, response: Any) -> None:
        """Keeps the pair, or does not, as the share has it."""
        if random.random() >= self.settings.share:
            return
        log = prediction_log_pb2.PredictionLog()
        log.predict_log.request.CopyFrom(request)
        log.predict_log.response.CopyFrom(response)
        log.log_metadata.model_spec.CopyFrom(response.model_spec)
        log.log_metadata.sampling_config.sampling_rate = self.settings.share
        try:
            self._records.put_nowait(log.SerializeToString())
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Writes what waits."""
        self._records.put(None)
        self._writer.join()

    def _write(self) -> None:
        # Not warm_up's framing: a checksum in Python takes 20 ms for a photo. The server has TensorFlow loaded anyway.
        import tensorflow as tf

        writer, size = None, 0
        while (record := self._records.get()) is not None:
            try:
                if writer is None or size > self._most_bytes:
                    if writer is not None:
                        writer.close()
                    writer, size = tf.io.TFRecordWriter(str(self._next())), 0
                writer.write(record)
                writer.flush()  # what is written is there, also after a kill
                size += len(record)
            except (OSError, tf.errors.OpError) as error:
                self.dropped += 1
                print(f"request log: {error}", file=sys.stderr, flush=True)
        if writer is not None:
            writer.close()

    def _next(self) -> Path:
        number = int(self._files[-1].stem.rsplit("-", 1)[1]) + 1 if self._files else 0
        self._files.append(Path(f"{self._stem}-{number:04}.tfrecord"))
        while len(self._files) > self._most_files:
            self._files.pop(0).unlink(missing_ok=True)
        return self._files[-1]


class RequestLogs:
    """The logs that models ask for, opened at the first request."""

    def __init__(self) -> None:
        self._logs: dict[RequestLogging, RequestLog | None] = {}
        self._lock = threading.Lock()

    def add(self, settings: RequestLogging | None, request: Any, response: Any) -> None:
        """Keeps the pair, or does not, as `settings` have it."""
        if settings is not None and (log := self._log(settings)) is not None:
            log.add(request, response)

    def close(self) -> None:
        """Writes what waits."""
        for log in filter(None, self._logs.values()):
            log.close()

    def _log(self, settings: RequestLogging) -> RequestLog | None:
        with self._lock:
            if settings not in self._logs:
                try:
                    self._logs[settings] = RequestLog(settings)
                except OSError as error:  # said once; a log that cannot be written stops no answer
                    print(f"request log: {error}", file=sys.stderr, flush=True)
                    self._logs[settings] = None
            return self._logs[settings]
