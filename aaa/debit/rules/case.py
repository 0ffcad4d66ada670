"""What a rule looks at, and what it answers. Pure."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from aaa.debit.policy import Policy
from aaa.domain.billing_period import midnight
from aaa.domain.local_day import local_day
from aaa.domain.service import Service
from aaa.domain.standing import Standing
from aaa.domain.timeline import Reason
from aaa.domain.usage import Usage

SECOND: Final = 1_000_000
DAY: Final = 86_400 * SECOND
ALWAYS: Final = -(1 << 62)
FOREVER: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Case:
    """The facts of one service. A rule answers from them alone, and with at least the windows that reach into
    `[now, horizon)`: what it says of an instant does not depend on when it is asked.

    `standing` is that of the service's account; `usage` has at least the billing period that holds `now`.
    """

    policy: Policy
    service: Service
    standing: Standing
    usage: Usage
    now: int
    horizon: int

    def days_past(self, due_at: int, days: int) -> int:
        """When something due at `due_at` is past due by more than `days` days: that many days of the VISP after its due
        date are still days to pay (R4.7).
        """
        zone = self.service.timezone
        return midnight(local_day(due_at, zone) + days + 1, zone)


class Window(NamedTuple):
    """`[start, end)`, UTC microseconds, in which a rule holds. One that is not `blocks` leaves the internet on: it
    reminds, or gives a lower `rate`.
    """

    start: int
    end: int
    reason: Reason
    kind: str = ""
    """Which of its cause's actions a FinishRule takes (R3.1): the reason of a suspension."""
    blocks: bool = True
    rate: str | None = None
    """The Mikrotik-Rate-Limit that replaces the service's own (R6.1)."""
