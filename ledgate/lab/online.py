"""A session's life on a fake router: what it has moved, and when it is due for a record or its end. Pure.

Moments are seconds of the monotonic clock; `now` is an argument.
"""

from dataclasses import dataclass, field
from typing import Final

from ledgate.lab.rates import rates
from ledgate.lab.session import Session

NEVER: Final = float("inf")
LINE: Final = (10_000_000, 50_000_000)
"""Bits per second up and down of a session that has no limit."""
SESSION_TIMEOUT: Final = 5
IDLE_TIMEOUT: Final = 4


@dataclass(slots=True)
class Online:
    """`traffic` is the part of its rate that the session uses, `interval` the seconds between its interim records.
    `ends_at` is when its Session-Timeout ends it. `turn` tells its latest date on the agenda from earlier ones.
    """

    session: Session
    traffic: float
    interval: float
    counted_at: float = field(init=False)
    ends_at: float = field(init=False)
    next_interim: float = field(init=False)
    turn: int = 0

    def __post_init__(self) -> None:
        self.counted_at = self.session.started
        self.next_interim = self.session.started + self.interval
        self.count_timeout(self.session.started)

    def count_timeout(self, since: float) -> None:
        """Session-Timeout, as the session was told it last, counts from this moment. None, or 0: no end."""
        self.ends_at = since + (int(self.session.told.get("Session-Timeout", 0)) or NEVER)

    @property
    def idle_end(self) -> float:
        """A session that moves nothing has been idle from its start."""
        timeout = int(self.session.told.get("Idle-Timeout", 0))
        return NEVER if self.traffic or not timeout else self.session.started + timeout

    @property
    def flow(self) -> tuple[float, float]:
        """Octets per second that it moves, up and down."""
        limit = rates(self.session.told)
        return (limit.up or LINE[0]) / 8 * self.traffic, (limit.down or LINE[1]) / 8 * self.traffic

    def counted(self, now: float) -> tuple[int, int]:
        """Octets up and down until now; the router stops at a limit of volume exactly."""
        session, flow = self.session, self.flow
        seconds = max(0.0, now - self.counted_at)
        up, down = session.up + int(flow[0] * seconds), session.down + int(flow[1] * seconds)
        if limit := session.limit("Recv"):
            up = max(session.up, min(up, limit))
        if limit := session.limit("Xmit"):
            down = max(session.down, min(down, limit))
        if (limit := session.limit("Total")) and up + down > limit:
            down = max(session.down, limit - up)
            up = max(session.up, limit - down)
        return up, down

    def settle(self, now: float) -> None:
        """Count what was moved until now, at the rate that was applied until now."""
        self.session.up, self.session.down = self.counted(now)
        self.counted_at = now

    def due(self) -> float:
        """When the session needs attention next."""
        return min(self.next_interim, self.ends_at, self.idle_end, self._full_at())

    def ended(self, now: float) -> int:
        """The Acct-Terminate-Cause of what has ended it by now (RFC 2866 section 5.10), 0 if nothing has."""
        if now >= self.ends_at:
            return SESSION_TIMEOUT
        return IDLE_TIMEOUT if now >= self.idle_end else 0

    def _full_at(self) -> float:
        """When it will have reached a limit of volume."""
        session = self.session
        up, down = self.flow
        moved = {
            "Recv": (session.up, up),
            "Xmit": (session.down, down),
            "Total": (session.up + session.down, up + down),
        }
        found = NEVER
        for name, (used, speed) in moved.items():
            limit = session.limit(name)
            if limit and speed:
                found = min(found, self.counted_at + (max(0, limit - used) + 2) / speed)  # 2: both counters round down
        return found
