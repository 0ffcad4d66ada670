"""Usage: what a service used on a day of its VISP, as accounting summed it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DayUsage:
    """`day` is counted from 1970-01-01; `up` and `down` are octets from and to the subscriber; `seconds` online."""

    day: int
    up: int
    down: int
    seconds: int


Usage = tuple[DayUsage, ...]
"""One row for each day with any use, in any order."""
