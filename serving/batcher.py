"""Greedy batching: a free worker takes what waits and waits for nothing more.

A fixed wait, TF Serving's `batch_timeout_micros`, is time lost at low load and a guess at high load; while a worker
computes, the next batch gathers by itself, the larger the higher the load.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field

import numpy as np

from serving.call import Call, Code, RequestError

Arrays = dict[str, np.ndarray]
_OF_ALL = (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED)  # no one request of a batch is at fault: parts of it would fare no better


@dataclass(frozen=True)
class Batching:
    """The fields of TF Serving's BatchingParameters that mean something here.

    At most `max_batch_size` rows run at once, `max_enqueued_batches` of that many wait; more are refused.
    """

    max_batch_size: int = 32
    max_enqueued_batches: int = 4
    num_batch_threads: int = 1

    @property
    def most_waiting(self) -> int:
        """Rows."""
        return self.max_batch_size * self.max_enqueued_batches


@dataclass(eq=False)  # one is another, whatever they ask; arrays cannot be compared so
class _Task:
    signature: str
    inputs: Arrays
    rows: int
    call: Call
    left: bool = False  # nobody waits for it any more
    answer: "Future[Arrays]" = field(default_factory=Future)


class Batcher:
    """Runs requests for `run(signature, inputs, call)` together; every array's first axis is the batch, and `call` is that
    of whoever waits longest.

    `observe(signature, rows, seconds)` hears of each run. `spoiled(inputs)` tells the rows of a batch that fail by
    themselves, bool (rows,), or nothing, bool (0,), where that cannot be told without running them.
    """

    def __init__(
        self,
        run: Callable[[str, Arrays, Call], Arrays],
        settings: Batching,
        observe: Callable[[str, int, float], None] = lambda *_: None,
        spoiled: Callable[[Arrays], np.ndarray] = lambda _: np.zeros(0, bool),
    ) -> None:
        self._run, self._settings, self._observe, self._spoiled = run, settings, observe, spoiled
        self._tasks: deque[_Task] = deque()
        self._rows = 0  # that wait
        self._closed = False
        self._more = threading.Condition()
        self._workers = [threading.Thread(target=self._work, daemon=True) for _ in range(settings.num_batch_threads)]
        for worker in self._workers:
            worker.start()

    def ask(self, signature: str, inputs: Arrays, call: Call) -> Arrays:
        """The rows of `inputs`, answered. Raises: what `run` raises for them alone; RequestError where nobody waits any
        longer, or too many do."""
        task = _Task(signature, inputs, len(next(iter(inputs.values()))), call)
        with self._more:
            if self._closed:
                raise RequestError(Code.UNAVAILABLE, "the server is stopping")
            # A request larger than the whole queue may still wait, alone.
            if self._tasks and self._rows + task.rows > self._settings.most_waiting:
                message = "The batch scheduling queue to which this task was submitted is full; ask again later"
                raise RequestError(Code.RESOURCE_EXHAUSTED, message)
            self._tasks.append(task)
            self._rows += task.rows
            self._more.notify()
        call.when_left(lambda: self._give_up(task))
        try:
            return task.answer.result(call.remaining())
        except TimeoutError:
            self._give_up(task)
            raise RequestError(Code.DEADLINE_EXCEEDED, "Deadline Exceeded") from None
        except CancelledError:
            raise RequestError(Code.CANCELLED, "the caller has gone") from None

    def _give_up(self, task: _Task) -> None:
        """Nobody waits for it: its place in the queue is free at once, and of its parts no further one is run."""
        task.left = True
        if task.answer.cancel():
            with self._more:
                if task in self._tasks:
                    self._tasks.remove(task)
                    self._rows -= task.rows

    def close(self) -> None:
        """Answers what waits, then ends the workers."""
        with self._more:
            self._closed = True
            self._more.notify_all()
        for worker in self._workers:
            worker.join()

    def waiting(self) -> int:
        """Rows in the queue."""
        return self._rows

    def _work(self) -> None:
        while tasks := self._take():
            for task in tasks:
                if task.call.gone():
                    task.answer.cancel()
            # From here on it can no longer be cancelled; what was, for nobody waits for it, costs no computing.
            if wanted := [task for task in tasks if task.answer.set_running_or_notify_cancel()]:
                self._answer(wanted)

    def _take(self) -> list[_Task]:
        """The first that waits and all after it that fit beside it; nothing once closed and empty."""
        with self._more:
            while not self._tasks and not self._closed:
                self._more.wait()
            taken: list[_Task] = []
            left: deque[_Task] = deque()
            rows = 0
            for task in self._tasks:
                fits = rows + task.rows <= self._settings.max_batch_size and task.signature == self._tasks[0].signature
                if not taken or fits:
                    taken.append(task)
                    rows += task.rows
                else:
                    left.append(task)
            self._tasks = left
            self._rows -= rows
            return taken

    def _answer(self, tasks: Sequence[_Task]) -> None:
        names, rows = tasks[0].inputs, sum(task.rows for task in tasks)
        inputs = {name: np.concatenate([task.inputs[name] for task in tasks]) for name in names} if len(tasks) > 1 else names
        longest = max((task.call for task in tasks), key=lambda call: call.deadline)
        started = time.perf_counter()
        try:
            outputs = self._run_parts(tasks[0], inputs, rows, longest)
        except Exception as error:
            if len(tasks) == 1 or (isinstance(error, RequestError) and error.code in _OF_ALL):
                for task in tasks:
                    task.answer.set_exception(error)
                return
            # One of them spoils it. By halves where nobody can tell which, not one by one: a batch with a bad photo fails
            # while it decodes, before the network runs, so that every good photo still passes through the network once.
            for part in self._apart(tasks, self._spoiled(inputs)) or (tasks[: len(tasks) // 2], tasks[len(tasks) // 2 :]):
                self._answer(part)
            return
        self._observe(tasks[0].signature, rows, time.perf_counter() - started)
        start = 0
        for task in tasks:
            task.answer.set_result({name: array[start : start + task.rows] for name, array in outputs.items()})
            start += task.rows

    def _apart(self, tasks: Sequence[_Task], spoiled: np.ndarray) -> list[Sequence[_Task]]:
        """The sound ones together and each of the others alone; nothing where none is known to be spoiled."""
        if not spoiled.any():
            return []
        starts = np.cumsum([0, *(task.rows for task in tasks[:-1])])
        bad = np.logical_or.reduceat(spoiled, starts)
        sound = [task for task, is_bad in zip(tasks, bad, strict=True) if not is_bad]
        return [*([sound] if sound else []), *([task] for task, is_bad in zip(tasks, bad, strict=True) if is_bad)]

    def _run_parts(self, task: _Task, inputs: Arrays, rows: int, call: Call) -> Arrays:
        """A request of more rows than one run takes is run part by part: its size costs time, not memory, and for no longer
        than somebody waits."""
        most = self._settings.max_batch_size
        if rows <= most:
            return self._run(task.signature, inputs, call)
        parts = []
        for start in range(0, rows, most):
            if task.left or call.gone():
                raise RequestError(Code.CANCELLED, "the caller has gone")
            parts.append(self._run(task.signature, {name: array[start : start + most] for name, array in inputs.items()}, call))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
