"""HTTP on the standard library's threads: connections counted, bodies bounded, TLS, and an end that waits for answers.

Not a framework on an event loop: the work is done by threads that wait for the batcher, as under gRPC, and what is
left is one route, one body, one answer.
"""

import contextlib
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Limits:
    """Bytes of one body and of all that are being answered; seconds until an answer (`--rest_api_timeout_in_ms`), and
    that a connection may be silent, also in the middle of a request; connections, a thread each."""

    most_bytes: int = 32 << 20
    most_bytes_together: int = 256 << 20
    seconds: float = 30.0
    idle_seconds: float = 30.0
    connections: int = 256


_END_SECONDS = 1.0  # for the thread of a connection that was ended to let go of its place


class HttpServer(ThreadingHTTPServer):
    """Listens from the start and answers once `start` is called. Raises: OSError where the port cannot be had."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, host: str, port: int, handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None, limits: Limits
    ) -> None:
        self.tls, self.limits, self.stopping = tls, limits, False
        self._places = threading.BoundedSemaphore(limits.connections)
        self._busy = self._bytes = 0
        self._idle: dict[socket.socket, None] = {}  # connections that wait for a request, the longest first
        self._changed = threading.Condition()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), handler)
        self.address = f"[{host}]:{self.server_port}" if ":" in host else f"{host}:{self.server_port}"

    def start(self) -> None:
        """Answers, on threads of its own."""
        threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True).start()

    def stop(self, seconds: float) -> None:
        """Takes no more connections; returns once what is under way is answered, or `seconds` are over."""
        self.stopping = True
        self.shutdown()
        self.server_close()
        with self._changed:
            self._changed.wait_for(lambda: self._busy == 0, seconds)

    def begin(self) -> None:
        """One more request is under way."""
        with self._changed:
            self._busy += 1

    def end(self, size: int) -> None:
        """It is answered, and its body of so many bytes forgotten."""
        with self._changed:
            self._busy -= 1
            self._bytes -= size
            self._changed.notify_all()

    def reserve(self, size: int) -> bool:
        """Whether there is room for a body of so many bytes; `end` gives it back."""
        with self._changed:
            if self._bytes + size > self.limits.most_bytes_together:
                return False
            self._bytes += size
            return True

    def wait_idle(self, connection: socket.socket, wait: Callable[[], object]) -> bool:
        """Whether it is still open once `wait` returns; until then its place is given to a new one where none is left."""
        with self._changed:
            self._idle[connection] = None
        try:
            wait()
        finally:
            with self._changed:
                kept = connection in self._idle
                self._idle.pop(connection, None)
        return kept

    def _end_idle(self) -> bool:
        """Ends the connection that has been idle longest: whoever it belongs to makes another when there is something to ask."""
        with self._changed:
            if not self._idle:
                return False
            longest = next(iter(self._idle))
            del self._idle[longest]
        with contextlib.suppress(OSError):  # it ended by itself just now
            socket.socket.shutdown(longest, socket.SHUT_RDWR)  # TLS's own would take the thread's session from under it
        return True

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for the connection, if one is to be had."""
        if not self._places.acquire(blocking=False) and not (self._end_idle() and self._places.acquire(timeout=_END_SECONDS)):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The handshake is made here, so that a slow one holds up nobody else."""
        try:
            request.settimeout(self.limits.idle_seconds)
            if self.tls is not None:
                request = self.tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
                self.wait_idle(request, request.do_handshake)
            super().process_request_thread(request, client_address)
        except OSError:  # no TLS, or gone before it was made
            self.shutdown_request(request)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error of ours; anything else is said in a line."""
        error = sys.exception()
        if not isinstance(error, OSError):
            print(f"request failed: {error!r}", file=sys.stderr, flush=True)


class HttpHandler(BaseHTTPRequestHandler):
    """One connection, which is idle until the first byte of a request is there."""

    server: HttpServer

    def handle_one_request(self) -> None:
        """See `http.server`."""
        try:
            kept = self.server.wait_idle(self.connection, lambda: self.rfile.peek(1))  # type: ignore[attr-defined]
        except OSError:  # silent for too long, or gone
            kept = False
        if kept:
            super().handle_one_request()
        else:
            self.close_connection = True
