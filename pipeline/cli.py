"""The command `m3net`. Each verb imports what it needs when it is called, not before."""

import argparse
import contextlib
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from pipeline.options import parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb. Returns: 0; 2 for a user's mistake, 1 for ours, each with one line on stderr; 3 where a run's model was
    held back; 130 where the user stopped it."""
    arguments = parser().parse_args(argv)
    from pipeline import verbs
    from serving.logs import chosen, structured

    if arguments.verb != "serve" and chosen(getattr(arguments, "log_format", "text")):  # the server has stdout too
        with structured():
            return _run(arguments, verbs)
    return _run(arguments, verbs)


def _run(arguments: argparse.Namespace, verbs: ModuleType) -> int:
    try:
        return int(getattr(verbs, arguments.verb.replace("-", "_"))(arguments) or 0)
    except KeyboardInterrupt:
        print("m3net: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # the last resort: one line for the user, the whole story in a file
        return _explain(error, arguments)


def _explain(error: Exception, arguments: argparse.Namespace) -> int:
    from pipeline.verbs import mendable

    one_line = " ".join(str(error).split())
    told = {note.partition(" ")[0]: note for note in getattr(error, "__notes__", ())}  # see pipeline/failures.py
    component = told.get("in", "").removeprefix("in ")
    where = f"m3net {arguments.verb}: {f'{component}: ' if component else ''}"
    if mendable(error):
        print(f"{where}{one_line}", file=sys.stderr)
        return 2
    log = _log(error, getattr(arguments, "output", None))
    again = "; mend that and run again, what is finished is kept" if component else ""
    if component and "which" in told:
        where = where.replace(f"{component}:", f"{component}, {told['which']}:")
    print(f"{where}unexpected {type(error).__name__}: {one_line[:300]}{again}; see {log}", file=sys.stderr)
    return 1


def _log(error: Exception, output: Path | None) -> Path:
    """Where the whole story is: in the output folder, else here, else where temporary files go, whichever can be written."""
    folders = [*([output] if output and output.is_dir() else []), Path(), Path(tempfile.gettempdir())]
    for folder in folders[:-1]:
        with contextlib.suppress(OSError):
            return _written(error, folder)
    return _written(error, folders[-1])


def _written(error: Exception, folder: Path) -> Path:
    log = folder / "m3net-error.log"
    log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    return log


if __name__ == "__main__":
    sys.exit(main())
