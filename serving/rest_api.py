"""TF Serving's REST interface, the page that Prometheus reads, and the page for people.

Source of paths, codes and words: model_servers/http_rest_api_util.cc, http_rest_api_handler.cc and http_server.cc.
"""

import hmac
import json
import re
import select
import socket
import ssl
import sys
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from google.protobuf.json_format import MessageToDict

from serving import json_tensors
from serving.call import Call, Code, RequestError, invalid
from serving.calls import Calls
from serving.http_server import HttpHandler, HttpServer, Limits
from serving.metrics import Metrics
from serving.protos import get_model_metadata_pb2, get_model_status_pb2, model_pb2
from serving.web.files import FILES, HEADERS

_STATUS = {
    Code.INVALID_ARGUMENT: 400, Code.FAILED_PRECONDITION: 400, Code.OUT_OF_RANGE: 400, Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403, Code.NOT_FOUND: 404, Code.ABORTED: 409, Code.RESOURCE_EXHAUSTED: 429, Code.CANCELLED: 499,
    Code.UNIMPLEMENTED: 501, Code.UNAVAILABLE: 503, Code.DEADLINE_EXCEEDED: 504,
}  # fmt: skip
_MOST_DIGITS = 19  # of a number in an address or a header: 2^63 has as many, and Python reads no 4,300
_VERSION = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_ASK = re.compile(rf"/v1/models/(?P<name>[^/:]+){_VERSION}:(?P<method>classify|regress|predict)", re.IGNORECASE)
_JSON = "application/json"
_TELL = re.compile(
    rf"/v1/models(?:/(?P<name>[^/:]+))?{_VERSION}(?:/(?P<method>metadata|release)|/items/(?P<item>[^/]+)/photo)?", re.IGNORECASE
)


class RestServer(HttpServer):
    """TF Serving's routes and the page on a port; `metrics_path` "" shows no metrics. Raises: OSError where the port cannot be had."""

    def __init__(
        self,
        where: tuple[str, int],
        calls: Calls,
        metrics: Metrics,
        metrics_path: str,
        token: str = "",
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.calls, self.metrics, self.metrics_path, self.token = calls, metrics, metrics_path, token
        super().__init__(*where, _Handler, tls, limits or Limits())


class _Handler(HttpHandler):
    server: RestServer
    protocol_version = "HTTP/1.1"
    _asked: tuple[str, str]  # the model's name and the call, for the metrics; "" where it is none
    _size: int  # of the body
    server_version, sys_version = "m3net", ""

    def do_GET(self) -> None:  # noqa: N802  (http.server's name)
        self._serve(self._get)

    def do_POST(self) -> None:  # noqa: N802
        self._serve(self._post)

    def log_message(self, *_: Any) -> None:
        """No line a request: the metrics count them."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server itself refuses (no HTTP, another method, headers too long), in the form of all our errors."""
        self.close_connection = True  # a body may follow that nobody reads
        self.request_version = self.protocol_version  # what cannot be read counts as HTTP/0.9, whose answers have no status
        status = HTTPStatus.METHOD_NOT_ALLOWED if code == HTTPStatus.NOT_IMPLEMENTED else HTTPStatus(code)
        self._send(status, _error(f"{status.phrase}: {self._allowed()} is" if status == 405 else status.phrase))

    def _serve(self, answer: Callable[[], tuple[bytes, str]]) -> None:
        started, code, self._asked, self._size = time.perf_counter(), "OK", ("", ""), 0
        self.server.begin()
        try:
            self._check_token()
            body, kind = answer()
            self._send(200, body, kind)
        except RequestError as error:
            code = error.code.name
            self._send(_STATUS.get(error.code, 500), _error(str(error)))
        except OSError:
            raise
        except Exception as error:
            code = Code.INTERNAL.name
            print(f"request failed: {error!r}", file=sys.stderr, flush=True)
            self._send(500, _error("the server failed on this request; its log says why"))
        finally:
            self.server.end(self._size)
            if self._asked[1]:
                self.server.metrics.request(*self._asked, "REST", code, time.perf_counter() - started)

    def _get(self) -> tuple[bytes, str]:
        path = self._path()
        if path == self.server.metrics_path:
            return self.server.metrics.page().encode(), "text/plain; version=0.0.4"
        if path in FILES:
            return FILES[path]
        if path == "/models":
            return _pretty(
                {"models": [{"name": name, "ready": ready} for name, ready in self.server.calls.models().items()]}
            ), _JSON
        found = self._route(_TELL, path)
        if not found["name"]:
            raise invalid("Missing model name in request.")
        if found["item"]:
            return self.server.calls.photo(_spec(found), unquote(found["item"])), "image/jpeg"
        if (found["method"] or "").lower() == "release":
            return _pretty(self.server.calls.told(_spec(found))), _JSON
        metadata = found["method"] is not None
        self._asked = (unquote(found["name"]), "GetModelMetadata" if metadata else "GetModelStatus")
        body = _metadata(self.server.calls, _spec(found)) if metadata else _status(self.server.calls, _spec(found))
        return body, _JSON

    def _post(self) -> tuple[bytes, str]:
        body = self._body()  # read first: what is left unread would be taken for the next request
        found = self._route(_ASK, self._path())
        method, spec = found["method"].lower(), _spec(found)
        self._asked = (spec.name, method.capitalize())
        if method != "predict":
            ask = self.server.calls.classify if method == "classify" else self.server.calls.regress
            document = json_tensors.parse(body)
            spec.signature_name = str(document.get("signature_name", ""))
            ask(get_model_status_pb2.GetModelStatusRequest(model_spec=spec), Call())  # any message that names a model
        return self._predict(spec, body), _JSON

    def _predict(self, spec: Any, body: bytes) -> bytes:
        calls, call = self.server.calls, Call(self.server.limits.seconds, gone=self._gone)
        document = json_tensors.parse(body)
        request, rows = json_tensors.to_request(document, lambda name: calls.definition(spec, name))
        signature = request.model_spec.signature_name
        request.model_spec.CopyFrom(spec)
        request.model_spec.signature_name = signature
        request.output_filter.extend(json_tensors.output_filter(document))
        return json_tensors.to_json(calls.predict(request, call), rows)

    def _gone(self) -> bool:
        """Whether the client has closed its side; under TLS, where that cannot be seen from outside, it never has."""
        waiting = select.poll()
        try:
            waiting.register(self.connection, select.POLLIN)
            if isinstance(self.connection, ssl.SSLSocket) or not waiting.poll(0):
                return False
            return not self.connection.recv(1, socket.MSG_PEEK)
        except (OSError, ValueError):  # reset, or closed here
            return True

    def _route(self, pattern: re.Pattern[str], path: str) -> re.Match[str]:
        found = pattern.fullmatch(path)
        if found is None:
            if not path.lower().startswith("/v1/"):
                raise RequestError(Code.NOT_FOUND, "nothing is served at this path")
            raise invalid(f"Malformed request: {self.command} {path}")
        return found

    def _allowed(self) -> str:
        return "POST" if _ASK.fullmatch(self._path()) else "GET"

    def _path(self) -> str:
        return self.path.split("?", 1)[0]

    def _check_token(self) -> None:
        if not self.server.token or (self.command == "GET" and self._path() in FILES):
            return  # the page itself tells nothing, and a browser that opens it cannot show a token
        given = self.headers.get("Authorization", "").encode("latin-1", "replace")
        if not hmac.compare_digest(given, f"Bearer {self.server.token}".encode()):
            self.close_connection = True  # its body is not read
            raise RequestError(Code.UNAUTHENTICATED, "a bearer token is needed, as header Authorization")

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self.close_connection = True
            raise invalid("a Content-Length is needed; chunks are not taken")
        if len(length) > _MOST_DIGITS or int(length) > self.server.limits.most_bytes:
            self.close_connection = True  # unread, and so the end of this connection
            most = self.server.limits.most_bytes
            raise RequestError(
                Code.RESOURCE_EXHAUSTED, f"a body of {length[:_MOST_DIGITS]} bytes is more than the {most} that are read"
            )
        if not self.server.reserve(int(length)):
            self.close_connection = True
            raise RequestError(Code.RESOURCE_EXHAUSTED, "too many bytes are being answered; ask again later")
        self._size = int(length)
        return self.rfile.read(self._size)

    def _send(self, status: int, body: bytes, kind: str = _JSON) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        # Of a version, an item's photo stays what it is.
        self.send_header("Cache-Control", "private, max-age=3600" if kind == "image/jpeg" else "no-store")
        for name, value in HEADERS.items():
            self.send_header(name, value)
        if status == 405:
            self.send_header("Allow", self._allowed())
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        if self.server.stopping or self.close_connection:
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _spec(found: re.Match[str]) -> Any:
    spec = model_pb2.ModelSpec(name=unquote(found["name"]))
    if found["version"]:
        if len(found["version"]) > _MOST_DIGITS or int(found["version"]) >= 1 << 63:
            raise invalid(f"Failed to convert version: {found['version']} to numeric.")
        spec.version.value = int(found["version"])
    elif found["label"]:
        spec.version_label = unquote(found["label"])
    return spec


def _status(calls: Calls, spec: Any) -> bytes:
    answer = calls.status(get_model_status_pb2.GetModelStatusRequest(model_spec=spec), Call())
    return _pretty(MessageToDict(answer, always_print_fields_with_no_presence=True))


def _metadata(calls: Calls, spec: Any) -> bytes:
    asked = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=["signature_def"])
    answer = calls.metadata(asked, Call())
    signatures = get_model_metadata_pb2.SignatureDefMap()
    answer.metadata["signature_def"].Unpack(signatures)
    # Each by itself, as the real server does: as an Any it would carry an @type.
    plain = [
        MessageToDict(one, always_print_fields_with_no_presence=True, preserving_proto_field_name=True)
        for one in (answer.model_spec, signatures)
    ]
    return _pretty({"model_spec": plain[0], "metadata": {"signature_def": plain[1]}})


def _pretty(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def _error(message: str) -> bytes:
    return json.dumps({"error": message}, ensure_ascii=False).encode()
