"""What a run says of its time: the runner's own messages in, a line a component and a summary out."""

import logging
import time

import pytest

from pipeline import progress
from pipeline.progress import Progress, spoken


def said(handler: Progress, at: float, text: str, *args: object) -> None:
    """A message of the runner at `at` seconds after the beginning."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "perf_counter", lambda: handler._began + at)
        handler.emit(logging.LogRecord("absl", logging.INFO, "f", 1, text, args, None))


def summary(handler: Progress, at: float) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "perf_counter", lambda: handler._began + at)
        return handler.summary()


def test_a_line_a_component_and_where_the_time_went(capsys: pytest.CaptureFixture[str]) -> None:
    handler = Progress()
    said(handler, 1, progress._RUNNING, "CatalogueGen")
    said(handler, 2, progress._WORKING, "an execution")
    said(handler, 62, progress._WORKED, 1)
    said(handler, 63, progress._FINISHED, "CatalogueGen")
    said(handler, 63, progress._RUNNING, "Trainer")
    said(handler, 64, progress._WORKING, "an execution")
    said(handler, 164, progress._WORKED, 2)
    said(handler, 165, progress._FINISHED, "Trainer")
    said(handler, 165, progress._RUNNING, "Embedder")
    said(handler, 166, progress._CACHED, 3)
    said(handler, 167, progress._FINISHED, "Embedder")
    lines = capsys.readouterr().err.splitlines()
    assert lines[1::2] == ["CatalogueGen: 62.0 s", "Trainer: 102.0 s", "Embedder: from cache"]
    assert (handler.ran, handler.cached, handler.work) == (
        ["CatalogueGen", "Trainer"],
        ["Embedder"],
        {"CatalogueGen": 60, "Trainer": 100},
    )
    assert summary(handler, 170) == (
        "took 2 min 50 s: 2 min 40 s inside 2 steps (the longest: Trainer, 1 min 40 s), 1 from cache, 10.0 s around them"
    )


def test_with_nothing_changed() -> None:
    handler = Progress()
    said(handler, 1, progress._RUNNING, "Trainer")
    said(handler, 2, progress._CACHED, 3)
    said(handler, 3, progress._FINISHED, "Trainer")
    assert summary(handler, 12.5) == "took 12.5 s: nothing had to be done again, 1 from cache, 12.5 s around them"


def test_durations() -> None:
    assert [spoken(one) for one in (0.42, 59.94, 725, 12_000)] == ["0.4 s", "59.9 s", "12 min 05 s", "3 h 20 min"]
