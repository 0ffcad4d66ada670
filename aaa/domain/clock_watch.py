"""Whether a wall clock can be trusted (R8.4). Pure.

Within one process it must go as time elapses, which another clock of the machine tells. From one process to the next
it must not fall behind what an engine wrote into the database. A gap forward at a start is downtime.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

SECOND: Final = 1_000_000
MOST: Final = 3_600 * SECOND
"""How far a clock may be off, microseconds."""


class Sample(NamedTuple):
    """What both clocks said at one moment, microseconds: the wall clock (UTC), and one that cannot be set."""

    wall: int
    elapsed: int


@dataclass(frozen=True, slots=True)
class Doubt:
    """A wall clock that cannot be trusted. `since` is the last instant that can be: UTC microseconds."""

    since: int
    why: str


@dataclass(frozen=True, slots=True)
class Watch:
    """The clocks of one process: from when on its wall clock is compared, and the last sample that was in order."""

    origin: Sample
    last: Sample

    @classmethod
    def begin(cls, at: Sample) -> "Watch":
        """Compare from `at` on."""
        return cls(at, at)

    def off(self, at: Sample) -> int:
        """How much too far the wall clock has gone since the origin, microseconds; negative: too little."""
        return (at.wall - self.origin.wall) - (at.elapsed - self.origin.elapsed)

    def jumped(self, at: Sample) -> Doubt | None:
        """Whether the wall clock was set forward or back by more than an hour, in one step or several."""
        off = self.off(at)
        if abs(off) <= MOST:
            return None
        way = "forward" if off > 0 else "back"
        return Doubt(self.last.wall, f"the clock jumped {way} by {abs(off) // SECOND} seconds")

    def went_on(self, at: Sample) -> "Watch":
        """The watch after a sample that was in order."""
        return Watch(self.origin, at)


def behind(heartbeat: int | None, by: str, wall: int, last: int | None) -> Doubt | None:
    """Whether `wall` is more than an hour behind the last heartbeat in the database, which the machine `by` wrote.

    `last` is this process's last wall time in order, None at its start. Then what was written is the last that is
    known; later another machine's clock is ahead, and what lies between is in doubt.
    """
    if heartbeat is None or heartbeat - wall <= MOST:
        return None
    why = f"the clock is {(heartbeat - wall) // SECOND} seconds behind what {by} wrote last"
    return Doubt(heartbeat if last is None else last, why)
