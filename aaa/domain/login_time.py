"""Login-time: the local hours of the week in which a service may be online (R1.4). Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Final

from aaa.domain.local_time import instant_of, local_of

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MOST_WINDOWS: Final = 28

_WINDOW: Final = re.compile(r"([a-z,-]+) (\d\d):(\d\d)-(\d\d):(\d\d)", re.ASCII)
_DAY_MINUTES: Final = 1_440
_MONDAY: Final = datetime.combine(date(1970, 1, 5), time.min)
_WEEK: Final = timedelta(days=7)


class BadLoginTime(ValueError):
    """A window of login-time that cannot be read, and why."""


@dataclass(frozen=True, slots=True)
class LoginTime:
    """Windows as given, such as `mon-fri 08:00-18:00`, `sat,sun 10:00-24:00` or `daily 22:00-06:00`, which runs into
    the next day. A service may be online in any of them; the clock is the VISP's. Raises BadLoginTime.
    """

    windows: tuple[str, ...]

    def __post_init__(self) -> None:
        for one in self.windows:
            _read(one)

    def open(self, timezone: str, since: int, until: int) -> list[tuple[int, int]]:
        """The intervals `[start, end)` that reach into `[since, until)`, apart and in order (UTC microseconds).

        Local times that clocks skip or repeat are as `local_time.instant_of` takes them.
        """
        first, last = (_week(local_of(at, timezone) + more) for at, more in ((since, -_REACH), (until, _REACH)))
        return [one for one in _intervals(self.windows, timezone, first, last) if one[0] < until and one[1] > since]


_REACH: Final = timedelta(days=2)
"""A window that begins so much earlier is over, whatever clocks do meanwhile."""


def _week(local: datetime) -> int:
    return (local - _MONDAY) // _WEEK


@lru_cache(maxsize=1024)
def _intervals(windows: tuple[str, ...], timezone: str, first: int, last: int) -> tuple[tuple[int, int], ...]:
    """What begins in the local weeks `first` to `last`. All with the same hours ask for the same, for a week."""
    read = [_read(one) for one in windows]
    days = (_MONDAY + first * _WEEK + timedelta(days=more) for more in range(7 * (last - first + 1)))
    found = [
        (_at(day, start, timezone), _at(day, end, timezone))
        for day in days
        for weekdays, start, end in read
        if day.weekday() in weekdays
    ]
    return tuple(_joined(sorted(found)))


def _at(day: datetime, minutes: int, timezone: str) -> int:
    return instant_of(day + timedelta(minutes=minutes), timezone)


def _joined(intervals: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Intervals in order, those that touch as one, and without the empty ones that a skipped hour leaves."""
    begun: tuple[int, int] | None = None
    for start, end in intervals:
        if start >= end:
            continue
        if begun is not None and start <= begun[1]:
            begun = begun[0], max(begun[1], end)
            continue
        if begun is not None:
            yield begun
        begun = start, end
    if begun is not None:
        yield begun


def _read(window: str) -> tuple[frozenset[int], int, int]:
    """The weekdays (0 is Monday) on which a window begins, and its start and end in minutes of that day, which may lie
    in the next.
    """
    match = _WINDOW.fullmatch(window)
    if match is None:
        raise BadLoginTime(f"{window!r} is not a window such as 'mon-fri 08:00-18:00' or 'daily 22:00-06:00'")
    start, end = (int(match[at]) * 60 + int(match[at + 1]) for at in (2, 4))
    if start >= _DAY_MINUTES or end > _DAY_MINUTES or int(match[3]) > 59 or int(match[5]) > 59:
        raise BadLoginTime(f"{window!r} has no such time of day")
    if start == end:
        raise BadLoginTime(f"{window!r} is empty; a whole day is 00:00-24:00")
    return _weekdays(match[1], window), start, end if end > start else end + _DAY_MINUTES


def _weekdays(text: str, window: str) -> frozenset[int]:
    if text == "daily":
        return frozenset(range(7))
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if first not in WEEKDAYS or (dash and last not in WEEKDAYS):
            raise BadLoginTime(f"{window!r}: {part!r} is not a day such as mon or mon-fri")
        begin = WEEKDAYS.index(first)
        count = (WEEKDAYS.index(last) - begin) % 7 if dash else 0
        found.update((begin + more) % 7 for more in range(count + 1))
    return frozenset(found)
