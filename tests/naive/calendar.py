"""Local calendars, by looking: nothing is computed that can be looked up instant by instant."""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
"""Clocks change at quarters of an hour, and by whole quarters."""


def shown(instant: int, timezone: str) -> datetime:
    """What a clock on a wall in `timezone` shows at an instant (UTC microseconds)."""
    return (EPOCH + timedelta(microseconds=instant)).astimezone(ZoneInfo(timezone)).replace(tzinfo=None)


@cache
def first_shown(wall: datetime, timezone: str) -> int:
    """The first instant at which that clock shows `wall`; if it never does, the first at which it shows a later time.

    Somebody watches the clock from a day before on, looking up at every quarter of an hour.
    """
    zone = ZoneInfo(timezone)
    watched = wall.replace(tzinfo=UTC) - timedelta(hours=24)
    while watched.astimezone(zone).replace(tzinfo=None) < wall:
        watched += QUARTER
    if watched.astimezone(zone).replace(tzinfo=None) != wall:
        # The clock leapt over it, at some quarter since the last look.
        watched -= timedelta(minutes=watched.minute % 15, seconds=watched.second, microseconds=watched.microsecond)
    return (watched - EPOCH) // timedelta(microseconds=1)


def midnight(day: date, timezone: str) -> int:
    """The instant at which a local day begins."""
    return first_shown(datetime(day.year, day.month, day.day), timezone)  # noqa: DTZ001


def number(day: date) -> int:
    """A day, counted from 1970-01-01."""
    return (day - date(1970, 1, 1)).days


def in_month(year: int, month: int, day: int) -> date:
    """The day of that month, or its last one if it has not so many. Months may be counted beyond 12."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    while True:
        try:
            return date(year, month, day)
        except ValueError:
            day -= 1
