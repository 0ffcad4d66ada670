"""Billing periods: from an account's billing day at local midnight to the next (R6.2). Pure."""

from calendar import monthrange
from datetime import date, datetime, time
from functools import lru_cache
from typing import Final

from aaa.domain.local_time import instant_of

MOST_BILLING_DAY: Final = 31
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()


def period_of(day: int, billing_day: int) -> tuple[int, int]:
    """The billing period `[first, next)` that holds `day`; all are days since 1970-01-01.

    `billing_day` is 1 to 31; a month that is shorter begins its period on its last day.
    """
    found = date.fromordinal(day + _EPOCH_DAY)
    here = _begins(found.year, found.month, billing_day)
    if day >= here:
        years, month = divmod(found.month, 12)
        return here, _begins(found.year + years, month + 1, billing_day)
    years, month = divmod(found.month - 2, 12)
    return _begins(found.year + years, month + 1, billing_day), here


@lru_cache(maxsize=4096)
def midnight(day: int, timezone: str) -> int:
    """The instant at which `day` (since 1970-01-01) begins in `timezone`: where there is no midnight the first instant
    after it, of two the first.
    """
    return instant_of(datetime.combine(date.fromordinal(day + _EPOCH_DAY), time.min), timezone)


def _begins(year: int, month: int, billing_day: int) -> int:
    return date(year, month, min(billing_day, monthrange(year, month)[1])).toordinal() - _EPOCH_DAY
