"""Instants (UTC microseconds) as days of a timezone. Pure, but for the timezone data that Python keeps."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

_QUARTER: Final = 900
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()


def local_day(instant: int, timezone: str) -> int:
    """The day that `instant` falls on in `timezone` (an IANA name), as days since 1970-01-01.

    Raises zoneinfo.ZoneInfoNotFoundError, and OverflowError outside the years 1 to 9999.
    """
    return _day_of_quarter(instant // (_QUARTER * 1_000_000), timezone)


@lru_cache(maxsize=4096)
def _day_of_quarter(quarter: int, timezone: str) -> int:
    # Since 1980 every zone has been whole quarters of an hour off UTC, so all of a quarter is one day.
    local = (_EPOCH + quarter * timedelta(seconds=_QUARTER)).astimezone(ZoneInfo(timezone))
    return local.date().toordinal() - _EPOCH_DAY
