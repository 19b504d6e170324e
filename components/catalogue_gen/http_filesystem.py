"""https:// and http:// for Beam's filesystems, read-only: with limits, and asked again where the server may recover.

Importing this module is all it takes: Beam finds a filesystem by its scheme among all classes there are.
"""

import http.client
import random
import ssl
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import IO, Any, NoReturn, TypeVar

from apache_beam.io.filesystem import CompressedFile, CompressionTypes, FileSystem

T = TypeVar("T")

MAX_BYTES = 1 << 30  # of one file
_BLOCK = 1 << 18
_IN_MEMORY = 1 << 24  # bytes; a larger file waits on disk
_TIMEOUT_SEC = 30.0  # without a byte
_TRIES = 4
_FIRST_WAIT_SEC = 0.5  # doubled after every try
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}


class HttpError(OSError):
    """A file cannot be had over HTTP; the message is the reason, without the address."""


class HttpsFileSystem(FileSystem):
    """Opens https:// addresses. Certificates are checked; redirects are followed, but never from https to http."""

    @classmethod
    def scheme(cls) -> str:
        """The scheme by which Beam finds this class."""
        return "https"

    def join(self, basepath: str, *paths: str) -> str:
        """An address below `basepath`."""
        return "/".join([basepath.rstrip("/"), *(path.strip("/") for path in paths)])

    def split(self, path: str) -> tuple[str, str]:
        """Everything before the last slash, and what follows."""
        head, _, tail = path.rpartition("/")
        return head, tail

    def open(self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO) -> Any:
        """The whole file, fetched. Raises: HttpError."""
        file = _with_retries(lambda: _fetch(path))
        kind = CompressionTypes.detect_compression_type(path) if compression_type == CompressionTypes.AUTO else compression_type
        return file if kind == CompressionTypes.UNCOMPRESSED else CompressedFile(file, kind)

    def exists(self, path: str) -> bool:
        """Does the server know `path`? Raises: HttpError where it does not answer."""
        try:
            _with_retries(lambda: _request(path, "HEAD").close())
        except _NotThereError:
            return False
        return True

    def has_dirs(self) -> bool:
        """An address is no folder."""
        return False

    def _list(self, dir_or_prefix: str) -> NoReturn:
        raise HttpError("a web server does not list its files; name each one")

    def _read_only(self, *_: Any, **__: Any) -> NoReturn:
        raise HttpError("web addresses can only be read")

    create = mkdirs = copy = rename = delete = _read_only
    size = last_updated = checksum = metadata = _read_only


class HttpFileSystem(HttpsFileSystem):
    """The same for http:// addresses, as servers inside a house have them."""

    @classmethod
    def scheme(cls) -> str:
        """The scheme by which Beam finds this class."""
        return "http"


class _NotThereError(HttpError):
    pass


class _TransientError(HttpError):
    pass


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise HttpError("redirected from https to http")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _with_retries(do: Callable[[], T]) -> T:
    """`do()`, some times over while its error may pass; in between longer and longer waits, never equal for two workers."""
    for attempt in range(_TRIES - 1):
        try:
            return do()
        except _TransientError:
            time.sleep(_FIRST_WAIT_SEC * 2**attempt * random.uniform(0.5, 1.5))
    return do()


def _request(path: str, method: str = "GET") -> Any:
    asked = urllib.request.Request(path, method=method, headers={"User-Agent": "m3net", "Accept-Encoding": "identity"})
    try:
        return urllib.request.build_opener(_Redirects).open(asked, timeout=_TIMEOUT_SEC)
    except urllib.error.HTTPError as error:
        error.close()
        kind = _TransientError if error.code in _TRANSIENT else _NotThereError if error.code in (404, 410) else HttpError
        raise kind(f"HTTP {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        kind = HttpError if isinstance(error.reason, ssl.SSLCertVerificationError | str) else _TransientError
        raise kind(str(error.reason)) from None
    except HttpError:
        raise
    except http.client.InvalidURL as error:
        raise HttpError(str(error)) from None
    except (OSError, http.client.HTTPException) as error:
        raise _TransientError(str(error) or type(error).__name__) from None


def _fetch(path: str) -> IO[bytes]:
    """Raises: _TransientError also for a file that ends before its announced length."""
    file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  (the caller closes it)
    with _request(path) as answer:
        announced = int(answer.headers.get("Content-Length") or -1)
        try:
            _copy(answer, file)
        except HttpError:
            raise
        except (OSError, http.client.HTTPException) as error:
            raise _TransientError(str(error) or type(error).__name__) from None
    if announced >= 0 and file.tell() != announced:
        raise _TransientError(f"{file.tell()} of {announced} bytes came")
    file.seek(0)
    return file


def _copy(answer: Any, file: IO[bytes]) -> None:
    while data := answer.read(_BLOCK):
        file.write(data)
        if file.tell() > MAX_BYTES:
            raise HttpError(f"more than {MAX_BYTES >> 20} MiB")
