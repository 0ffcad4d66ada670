"""What is left of a quota, as a session is told it when it begins (R6.3), and when it will be used up. Pure."""

from typing import Final, NamedTuple

from aaa.domain.usage import DOWNLOAD, SECONDS, TOTAL, UPLOAD, Kind

KINDS: Final[tuple[Kind, ...]] = (TOTAL, DOWNLOAD, UPLOAD, SECONDS)  # by their stored numbers: only ever appended to
LEAST_OCTETS: Final = 1_000_000
LEAST_SECONDS: Final = 60
"""No session is given less: what was counted and what a router counts differ by some octets, and who is cut off again
and again for the last of them is not served."""


class Allowance(NamedTuple):
    """How much a session may use, counted from its beginning: `octets` of a `kind`, and `seconds`. 0: not told."""

    octets: int
    kind: Kind
    seconds: int


UNLIMITED: Final = Allowance(0, TOTAL, 0)


class Watch:
    """What a session was allowed and had counted before a batch of records."""

    __slots__ = ("_down", "_seconds", "_up", "allowed")

    def __init__(self, allowed: Allowance, seconds: int, up: int, down: int) -> None:
        self.allowed = allowed
        self._seconds = seconds
        self._up = up
        self._down = down

    def nears(self, seconds: int, up: int, down: int) -> bool:
        """Whether a session that has counted this much by now will have used its allowance up before two more interim
        records like the last one have come.
        """
        allowed = self.allowed
        if allowed.octets:
            before, now = spent(allowed.kind, self._up, self._down), spent(allowed.kind, up, down)
            if now > before and allowed.octets - now <= 2 * (now - before):
                return True
        before, now = self._seconds, seconds
        return bool(allowed.seconds) and now > before and allowed.seconds - now <= 2 * (now - before)


def spent(kind: Kind, up: int, down: int) -> int:
    """What counts for an allowance of octets."""
    if kind == DOWNLOAD:
        return down
    return up if kind == UPLOAD else up + down
