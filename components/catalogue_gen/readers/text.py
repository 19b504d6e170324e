"""Lines of a text file, wherever it lies, whatever is in it: streamed, numbered, and refused in one clear line."""

import io
import zlib
from collections.abc import Iterator

from apache_beam.io.filesystems import FileSystems

import components.catalogue_gen.http_filesystem  # noqa: F401  (from here on, Beam opens web addresses)
from components.errors import InputError

MAX_LINE = 1 << 20  # characters; a longer line is no row of any format, and is not held


class BadLine(str):
    """Stands in for a line that is no text of a fair length: the reason."""

    __slots__ = ()


def lines(path: str) -> Iterator[tuple[int, str]]:
    """Each line that is not blank, with its number from 1, without its line end (\\n, \\r\\n or \\r).

    A line with a NUL or longer than `MAX_LINE` comes as a `BadLine`. A byte order mark and a missing last line end are fine.
    Raises: InputError where `path` cannot be opened or read, or is not UTF-8.
    """
    try:
        with io.TextIOWrapper(FileSystems.open(path), encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
            yield from _checked(path, text)
    except InputError:
        raise
    except (OSError, ValueError, EOFError, zlib.error):
        raise InputError(f"{path} cannot be opened; check the path") from None


def _checked(path: str, text: io.TextIOWrapper) -> Iterator[tuple[int, str]]:
    row, line = 0, text.readline(MAX_LINE)
    while line:
        row += 1
        whole = line.endswith(("\n", "\r")) or not (rest := text.readline(MAX_LINE))
        if not line.isascii() and any("\udc80" <= character <= "\udcff" for character in line):
            raise InputError(f"{path} is not UTF-8 in row {row}; save it as UTF-8")
        if not whole:
            while rest and not rest.endswith(("\n", "\r")):
                rest = text.readline(MAX_LINE)
            yield row, BadLine(f"longer than {MAX_LINE:,} characters")
        elif "\0" in line:
            yield row, BadLine("holds a NUL byte; write the file anew as plain text")
        elif not line.isspace():
            yield row, line.rstrip("\r\n")
        line = text.readline(MAX_LINE)
