"""Manual suspensions of a service (R4.1 to R4.4): what one is, and the windows in which it holds. Pure."""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from aaa.domain.local_time import instant_of, local_of

PROFILES: Final = tuple(f"profile{number}" for number in range(1, 10))
"""Reasons that an operator may give a name of his own."""
REASONS: Final = ("not_set", "non_payer", "unregistered", *PROFILES)
"""Why an operator may suspend a service (R4.1)."""

_DAY: Final = 86_400 * 1_000_000


class Repeat(StrEnum):
    """How often a suspension comes again (R4.3). Stored by value."""

    NONE = "none"
    YEARLY = "yearly"
    MONTHLY = "monthly"
    WEEKLY = "weekly"


_LONGEST: Final = {Repeat.YEARLY: 366, Repeat.MONTHLY: 31, Repeat.WEEKLY: 7}
"""How many days a window that comes again may last: its whole interval."""


class BadSuspension(ValueError):
    """A suspension that cannot be: `key` is what is wrong of reason, from, to and repeat."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}")
        self.key = key
        self.message = message


@dataclass(frozen=True, slots=True)
class Suspension:
    """A service is suspended in `[start, end)`, UTC microseconds; None leaves that end open.

    One that repeats has both ends and comes again at their local times in the VISP's timezone, from `start` on without
    end. `suspend_invoicing`: its windows are not invoiced (R4.2). Raises BadSuspension.
    """

    reason: str
    start: int | None = None
    end: int | None = None
    repeat: Repeat = Repeat.NONE
    suspend_invoicing: bool = False

    def __post_init__(self) -> None:
        if self.reason not in REASONS:
            raise BadSuspension("reason", f"must be one of {', '.join(REASONS)}, not {self.reason!r}")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise BadSuspension("to", "must be later than from")
        if self.repeat is Repeat.NONE:
            return
        if self.start is None or self.end is None:
            raise BadSuspension("repeat", f"{self.repeat.value} needs both from and to")
        days = _LONGEST[self.repeat]
        # an hour more: the week or month in which clocks go back is that much longer
        if self.end - self.start > days * _DAY + _DAY // 24:
            raise BadSuspension("to", f"must not be more than {days} days after from with repeat {self.repeat.value}")

    def windows(self, timezone: str, since: int, until: int) -> Iterator[tuple[int | None, int | None]]:
        """The windows [start, end) that reach into `[since, until)`, in order; None is an open end.

        The first is exactly the one given, the later ones start and end at the same local times (R4.3): 29 February
        becomes the 28th and a day beyond a month's end its last day, each end by itself, so a window may come to
        nothing in a short month; local times that clocks skip or repeat are as `local_time.instant_of` takes them.
        """
        if self.start is None or self.end is None or self.repeat is Repeat.NONE:
            if (self.end is None or self.end > since) and (self.start is None or self.start < until):
                yield self.start, self.end
            return
        first, last = local_of(self.start, timezone), local_of(self.end, timezone)
        number = max(0, _intervals(self.repeat, first, local_of(since, timezone)) - 2)
        while True:
            start, end = self.start, self.end
            if number:
                start = instant_of(_shifted(self.repeat, first, number), timezone)
                end = instant_of(_shifted(self.repeat, last, number), timezone)
            if start >= until:
                return
            if start < end and end > since:
                yield start, end
            number += 1


def _intervals(repeat: Repeat, first: datetime, moment: datetime) -> int:
    """How many whole intervals lie about between two local times; at most one too many."""
    if repeat is Repeat.WEEKLY:
        return (moment - first).days // 7
    years = moment.year - first.year
    return years if repeat is Repeat.YEARLY else years * 12 + moment.month - first.month


def _shifted(repeat: Repeat, local: datetime, number: int) -> datetime:
    """A local time `number` intervals later."""
    if repeat is Repeat.WEEKLY:
        return local + timedelta(weeks=number)
    months = number * (12 if repeat is Repeat.YEARLY else 1)
    years, month = divmod(local.month - 1 + months, 12)
    year = local.year + years
    return local.replace(year=year, month=month + 1, day=min(local.day, monthrange(year, month + 1)[1]))
