"""Usage: what a service used on a day of its VISP, as accounting summed it, and how much of it is worth noticing. Pure.

Days are counted from 1970-01-01.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

Kind = Literal["total", "download", "upload", "seconds"]
"""What is summed over days: octets of a direction, or the time online. Stored: never rename."""

TOTAL: Final = "total"
DOWNLOAD: Final = "download"
UPLOAD: Final = "upload"
SECONDS: Final = "seconds"


@dataclass(frozen=True, slots=True)
class DayUsage:
    """`up` and `down` are octets from and to the subscriber; `seconds` online."""

    day: int
    up: int
    down: int
    seconds: int


Usage = tuple[DayUsage, ...]
"""One row for each day with any use, in any order."""


class Threshold(NamedTuple):
    """A service that on the days `[since_day, until_day)` used more than `more_than` must be compiled anew (R6.3)."""

    kind: Kind
    since_day: int
    until_day: int
    more_than: int


class Quota(NamedTuple):
    """In the billing period `[start, end)`, which is the days `[since_day, until_day)`, more use of a kind than `limit`
    suspends (R6.3). `used` is what was known of it when the service was compiled: since then it can only have grown.
    """

    kind: Kind
    start: int
    end: int
    since_day: int
    until_day: int
    limit: int
    used: int

    def left(self, used: int) -> int:
        """What is left after `used`, so that who uses it all has exceeded the limit; at least 0."""
        return max(0, self.limit + 1 - used)


def used(kind: Kind, days: Iterable[DayUsage]) -> int:
    """The use of a kind on these days, in octets or seconds."""
    if kind == SECONDS:
        return sum(one.seconds for one in days)
    if kind == DOWNLOAD:
        return sum(one.down for one in days)
    if kind == UPLOAD:
        return sum(one.up for one in days)
    return sum(one.up + one.down for one in days)
