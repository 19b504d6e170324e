"""Structured logs: a line is an object, whoever wrote it and however torn."""

import io
import json
import logging
import sys

from serving import logs


def test_pieces_become_whole_lines_with_their_run() -> None:
    stream = io.StringIO()
    lines = logs.JsonLines(stream)
    logs.FIELDS["run"] = "r1"
    try:
        lines.write("one\ntw")
        lines.write('o "ü"\n\nthree')
        lines.close()
        lines.say("four", version=4)
    finally:
        logs.FIELDS.clear()
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [one["message"] for one in found] == ["one", 'two "ü"', "three", "four"]
    assert all(one["run"] == "r1" and one["level"] == "info" for one in found)
    assert found[3]["version"] == 4


def test_a_traceback_stays_within_its_line() -> None:
    try:
        raise ValueError("a\nb")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "it %s", ("broke",), sys.exc_info())
    text = logs.JsonFormatter().format(record)
    assert "\n" not in text
    assert json.loads(text)["message"] == "it broke"
    assert "ValueError" in json.loads(text)["exception"]


def test_what_is_asked_for_goes_before_the_environment(monkeypatch) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    monkeypatch.setenv("M3NET_LOG_FORMAT", "json")
    assert logs.chosen(None)
    assert not logs.chosen("text")
