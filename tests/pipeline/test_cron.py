"""Cron for Kubeflow: fields that mean what was meant, in the zone of the cluster."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from pipeline.config import ConfigError
from pipeline.cron import moved, six_fields

WINTER, SUMMER = datetime(2026, 1, 10, tzinfo=UTC), datetime(2026, 7, 10, tzinfo=UTC)
UTC_ZONE, BERLIN = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("given", "six"),
    [
        ("0 2 * * *", "0 0 2 * * *"),
        ("15 0 2 * * *", "15 0 2 * * *"),
        ("@daily", "0 0 0 * * *"),
        ("*/15 8-18 ? jan-MAR mon,fri", "0 */15 8-18 ? jan-MAR mon,fri"),
    ],
)
def test_six_fields(given: str, six: str) -> None:
    assert six_fields(given) == six


@pytest.mark.parametrize(
    ("six", "now", "theirs"),
    [
        ("0 0 2 * * *", WINTER, "0 0 1 * * *"),
        ("0 0 2 * * *", SUMMER, "0 0 0 * * *"),
        ("0 0 1 * * *", SUMMER, "0 0 23 * * *"),  # the day before, which every day has
        ("0 30 9,21 * * 1", WINTER, "0 30 8,20 * * 1"),
        ("0 */15 * * * *", WINTER, "0 */15 * * * *"),
    ],
)
def test_berlins_hours_in_utc(six: str, now: datetime, theirs: str) -> None:
    assert moved(six, BERLIN, UTC_ZONE, now)[0] == theirs


def test_it_says_when_clocks_change() -> None:
    ends = moved("0 0 2 * * *", BERLIN, UTC_ZONE, WINTER)[1]
    assert ends is not None
    assert f"{ends:%Y-%m-%d}" == "2026-03-29"
    assert moved("0 0 2 * * *", UTC_ZONE, UTC_ZONE, WINTER) == ("0 0 2 * * *", None)


def test_half_an_hour_moves_minutes() -> None:
    assert moved("0 0 2 * * *", ZoneInfo("Asia/Kolkata"), UTC_ZONE, WINTER)[0] == "0 30 20 * * *"


def test_days_are_not_moved_silently() -> None:
    with pytest.raises(ConfigError, match="CRON_SCHEDULE_TIMEZONE"):
        moved("0 0 1 * * 1", BERLIN, UTC_ZONE, SUMMER)
