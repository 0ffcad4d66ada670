"""Turns at telling one router to end sessions: instants at equal distances. Pure; microseconds UTC."""

from typing import Final, NamedTuple

from aaa.coa.plan import SECOND

AHEAD: Final = SECOND // 2
"""How long ahead turns are taken."""


class Wanted(NamedTuple):
    """At `most` so many turns, `interval` microseconds apart."""

    interval: int
    most: int


def turns(next_at: int, now: int, wanted: Wanted) -> list[int]:
    """Those that are to be had soon, of a router whose next is at `next_at` or, if that has gone by, now."""
    first = max(next_at, now)
    count = min(wanted.most, max(0, (now + AHEAD - first) // wanted.interval + 1))
    return [first + number * wanted.interval for number in range(count)]
