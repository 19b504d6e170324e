"""How many bytes of messages may be under way at once over gRPC, which by itself bounds each message and no more."""

import threading
import weakref
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from serving.call import Code

_FULL = "too many bytes are being answered; ask again later"


class _Message:
    """A request's bytes, not parsed yet. They count until `let_go`, or until nobody holds this, whatever became of the call."""

    def __init__(self, content: bytes, let_go: Callable[[int], None]) -> None:
        self.content = content
        self.let_go = weakref.finalize(self, let_go, len(content))


class BytesCheck(grpc.ServerInterceptor):
    """Refuses requests of TF Serving's services whose messages would be more than `most` bytes together.

    `refused` hears of each. gRPC tells how long a message is only once it is there: what is on its way comes on top.
    """

    def __init__(self, most: int, refused: Callable[[], None]) -> None:
        self._most, self._refused = most, refused
        self._bytes = 0
        self._lock = threading.RLock()  # Python may collect a message, and so let it go, while this thread holds it

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """See `grpc.ServerInterceptor`."""
        handler = continuation(details)
        if handler is None or not details.method.startswith("/tensorflow.serving."):
            return handler

        def answer(message: _Message | str, context: Any) -> Any:
            if isinstance(message, str):
                self._refused()
                context.abort(Code.RESOURCE_EXHAUSTED, message)
                return None
            try:
                return handler.unary_unary(_parsed(message, handler.request_deserializer, context), context)
            finally:
                message.let_go()

        return grpc.unary_unary_rpc_method_handler(answer, self._take, handler.response_serializer)

    def _take(self, content: bytes) -> _Message | str:
        """Runs on the one thread on which gRPC hears of all calls, and so leaves the parsing to the call's own."""
        with self._lock:
            if self._bytes + len(content) > self._most:
                return _FULL
            self._bytes += len(content)
        return _Message(content, self._let_go)

    def _let_go(self, size: int) -> None:
        with self._lock:
            self._bytes -= size


def _parsed(message: _Message, parse: Callable[[bytes], Any] | None, context: Any) -> Any:
    content, message.content = message.content, b""
    try:
        return parse(content) if parse else content
    except DecodeError:
        context.abort(Code.INTERNAL, "Exception deserializing request!")  # as gRPC says it
