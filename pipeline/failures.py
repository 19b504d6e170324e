"""What a failing run says beside the error itself: which component, and what it was reading."""

import contextlib
from pathlib import Path

from components.notes import public

_MOST = 3  # inputs named


def note(error: BaseException, folder: Path, run: str) -> None:
    """Adds "in COMPONENT" to `error`, and "which read ..." where ML Metadata knows its inputs; the command line shows both."""
    from pipeline.lineage import Lineage

    with contextlib.suppress(Exception):  # the error at hand is the one to show, also where the database is what failed
        lineage = Lineage(folder)
        failed = [one for one in lineage.executions(run) if lineage.failed(one)]
        if failed:
            error.add_note(f"in {lineage.name(failed[-1])}")
            read = [one.uri for one in lineage.artifacts(failed[-1].id, inputs=True).values()]
            told = [value.string_value for value in failed[-1].custom_properties.values()]
            read = read or [public(text) for text in told if text.startswith("/") or "://" in text]  # catalogue, schema file
            if read:
                error.add_note(f"which read {', '.join(read[:_MOST])}")
