"""One request on its way: how long somebody waits for the answer, and with which code it may be refused."""

import math
import time
from collections.abc import Callable

import grpc

Code = grpc.StatusCode


class RequestError(Exception):
    """A request that cannot be answered: the gRPC code to send, and as its text the message."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def invalid(message: str) -> RequestError:
    """The client's mistake."""
    return RequestError(Code.INVALID_ARGUMENT, message)


class Call:
    """Until when, and whether still, somebody waits.

    Args:
        seconds: from now; None = for ever. on_end: registers what to do when the caller goes away, as gRPC's
            `ServicerContext.add_callback`; false from it means that the caller has gone already. gone: the same where
            nobody tells of it, and it has to be asked.
    """

    def __init__(
        self,
        seconds: float | None = None,
        on_end: Callable[[Callable[[], object]], bool] | None = None,
        gone: Callable[[], bool] = lambda: False,
    ) -> None:
        # time.monotonic, so that a clock that is set back neither ends a request nor keeps it for ever.
        self.deadline = math.inf if seconds is None else time.monotonic() + seconds
        self._on_end, self.gone = on_end, gone

    def remaining(self) -> float | None:
        """Seconds; None = no deadline."""
        return None if self.deadline == math.inf else max(0.0, self.deadline - time.monotonic())

    def when_left(self, stop: Callable[[], object]) -> None:
        """`stop` runs once the caller goes away, at once if it has gone; after an answer it does no harm."""
        if self._on_end is not None and not self._on_end(stop):
            stop()
