"""Cron as Kubeflow reads it: six fields, seconds first, in the one time zone of the cluster (robfig/cron 1.2)."""

import difflib
import re
import zoneinfo
from datetime import UTC, datetime, timedelta

from pipeline.config import ConfigError

_FIELDS = (
    ("second", 0, 59, ""),
    ("minute", 0, 59, ""),
    ("hour", 0, 23, ""),
    ("day of the month", 1, 31, ""),
    ("month", 1, 12, "jan feb mar apr may jun jul aug sep oct nov dec"),
    ("day of the week", 0, 6, "sun mon tue wed thu fri sat"),
)
_MINUTE, _HOUR = 1, 2
_WORDS = {
    "@yearly": "0 0 0 1 1 *", "@annually": "0 0 0 1 1 *", "@monthly": "0 0 0 1 * *", "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *", "@midnight": "0 0 0 * * *", "@hourly": "0 0 * * * *",
}  # fmt: skip


def six_fields(text: str) -> str:
    """`text`, of five fields as cron has them or of six, as six. Raises: ConfigError.

    Five are not passed on: Kubeflow would take the minute for the second, and run every hour.
    """
    fields = _WORDS.get(text.strip(), text).split()
    if len(fields) == 5:
        fields = ["0", *fields]
    if len(fields) != 6:
        raise ConfigError(
            f'--cron "{text}": five fields (minute hour day month weekday), or six with seconds first; got {len(fields)}'
        )
    for given, (name, least, most, words) in zip(fields, _FIELDS, strict=True):
        try:
            _values(given, least, most, words.split())
        except ValueError as error:
            raise ConfigError(f'--cron "{text}": {name} "{given}": {error}') from None
    return " ".join(fields)


def _values(field: str, least: int, most: int, words: list[str]) -> set[int]:
    """The numbers that a field stands for. Raises: ValueError."""
    found: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        if slash and not (step.isdecimal() and int(step)):
            raise ValueError("a step is a number above 0")
        if span in ("*", "?"):
            low, high = least, most
        else:
            first, dash, last = span.partition("-")
            low = _number(first, least, words)
            high = _number(last, least, words) if dash else most if slash else low
        if not least <= low <= high <= most:
            raise ValueError(f"{least} to {most}, the smaller one first")
        found.update(range(low, high + 1, int(step or 1)))
    return found


def _number(text: str, least: int, words: list[str]) -> int:
    if text.lower() in words:
        return words.index(text.lower()) + least
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f'"{text}" is no number' + (f" and none of {' '.join(words)}" if words else ""))
    return int(text)


def zone(name: str, option: str = "--time-zone") -> zoneinfo.ZoneInfo:
    """The time zone called `name`. Raises: ConfigError."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        near = difflib.get_close_matches(name, zoneinfo.available_timezones(), n=1)
        hint = f'did you mean "{near[0]}"?' if near else "such as Europe/Berlin or UTC"
        raise ConfigError(f'{option} "{name}": no such time zone; {hint}') from None


def moved(cron: str, here: zoneinfo.ZoneInfo, cluster: zoneinfo.ZoneInfo, now: datetime) -> tuple[str, datetime | None]:
    """Six fields meant in the zone `here`, as the cluster's zone has them at `now`, and when that ceases to be so.

    A schedule of Kubeflow has no zone of its own. Raises: ConfigError where days would have to be moved.
    """
    ahead = _ahead(here, cluster, now)
    later = (now + timedelta(hours=hour) for hour in range(400 * 24))
    ends = next((moment for moment in later if _ahead(here, cluster, moment) != ahead), None)
    fields = cron.split()
    if ahead and fields[_HOUR] not in ("*", "?"):
        hours, minutes = (_values(fields[at], *_FIELDS[at][1:3], []) for at in (_HOUR, _MINUTE))
        times = [divmod(hour * 60 + minute - ahead, 24 * 60) for hour in hours for minute in minutes]
        days, clock = {day for day, _ in times}, {divmod(minute, 60) for _, minute in times}
        new_hours, new_minutes = {hour for hour, _ in clock}, {minute for _, minute in clock}
        if len(clock) != len(new_hours) * len(new_minutes) or (
            days != {0} and any(one not in ("*", "?") for one in fields[3:])
        ):
            raise ConfigError(
                f'--cron "{cron}": other days or hours in the time zone of the cluster; give it in that zone, '
                "or set CRON_SCHEDULE_TIMEZONE in the cluster and --cluster-time-zone here"
            )
        if ahead % 60:
            fields[_MINUTE] = _listed(new_minutes)
        fields[_HOUR] = _listed(new_hours)
    elif ahead % 60:
        raise ConfigError(f'--cron "{cron}": the zones differ by a part of an hour; name the hours')
    return " ".join(fields), ends


def _ahead(here: zoneinfo.ZoneInfo, cluster: zoneinfo.ZoneInfo, moment: datetime) -> int:
    """Minutes."""
    first, second = (moment.astimezone(one).utcoffset() or timedelta() for one in (here, cluster))
    return int((first - second).total_seconds()) // 60


def _listed(numbers: set[int]) -> str:
    return ",".join(map(str, sorted(numbers)))


def today() -> datetime:
    """Now."""
    return datetime.now(UTC)


def parameter(text: str) -> tuple[str, str]:
    """NAME=VALUE in its two parts. Raises: ConfigError."""
    name, sign, value = text.partition("=")
    if not (sign and re.fullmatch(r"\w+", name)):
        raise ConfigError(f"--param {text}: expected NAME=VALUE, such as epochs=20")
    return name, value
