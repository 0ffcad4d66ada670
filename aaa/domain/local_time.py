"""Local wall-clock times of a timezone as instants (UTC microseconds), and back. Pure, but for the timezone data that
Python keeps.
"""

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_SECOND: Final = 1_000_000


def local_of(instant: int, timezone: str) -> datetime:
    """The wall-clock time, naive, that clocks of `timezone` (an IANA name) show at `instant`.

    Raises OverflowError outside the years 1 to 9999.
    """
    return (_EPOCH + instant * _MICROSECOND).astimezone(ZoneInfo(timezone)).replace(tzinfo=None, fold=0)


def instant_of(local: datetime, timezone: str) -> int:
    """The instant of a naive wall-clock time in `timezone`.

    Where clocks go back it comes twice: the first counts. Where they go forward it may not exist: then it is the first
    instant after the gap (R6.2). Raises OverflowError at the edges of the years 1 to 9999.
    """
    zone = ZoneInfo(timezone)
    before = _instant(local.replace(tzinfo=zone, fold=0))
    if local_of(before, timezone) == local.replace(fold=0):
        return before
    # In a gap fold 1 takes the offset after it and gives an instant before the change, fold 0 the other way round.
    low, high = _instant(local.replace(tzinfo=zone, fold=1)) // _SECOND, before // _SECOND
    changed = _offset(high, zone)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(middle, zone) == changed:
            high = middle
        else:
            low = middle
    return high * _SECOND


def _instant(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _offset(second: int, zone: ZoneInfo) -> timedelta | None:
    return (_EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset()
