"""What waits to be told to one router: requests for which it has no room, and Disconnects whose turn has not come.

Lifts go before cuts, but not for ever: whoever was asked for `BEHIND` earlier comes first all the same. Pure.
Instants are UTC microseconds.
"""

import heapq
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from aaa.coa.job import Job
from aaa.coa.plan import SECOND, Disconnect
from aaa.coa.turns import AHEAD, Wanted

BEHIND: Final = 5 * SECOND
"""How long, for each rank, one waits behind those that get more."""
AT_HAND: Final = SECOND
"""Disconnects that cannot go within so long do not wait here, but in the database: in line."""
MISSED: Final = SECOND // 10
"""A turn that was not taken for so long is lost: several at once would be a storm."""


class Line:
    """One router's: `in_flight` requests, `held` jobs in hand. Jobs with nothing to tell any more are passed over."""

    __slots__ = ("_ask_at", "_last", "_paced", "_ready", "_turns", "has_api", "held", "in_flight", "interval")

    def __init__(self) -> None:
        self._ready: list[tuple[int, int, Job]] = []
        self._paced: list[tuple[int, int, Job]] = []
        self._turns: deque[int] = deque()
        self._ask_at = 0
        self._last = 0
        self.in_flight = 0
        self.held = 0
        self.has_api = False
        self.interval = SECOND

    def __len__(self) -> int:
        return len(self._ready) + len(self._paced)

    def add(self, job: Job) -> None:
        """Have a job wait for its turn."""
        self._last += 1
        heap = self._paced if isinstance(job.plan, Disconnect) else self._ready
        heapq.heappush(heap, (job.wish.requested_at + job.wish.rank * BEHIND, self._last, job))

    def can_wait(self, job: Job) -> bool:
        """Whether a Disconnect would have its turn soon."""
        before = sum(1 for *_, one in self._paced if one.wish.rank <= job.wish.rank)
        return before == 0 or (before + 1) * job.wish.router.interval <= AT_HAND

    def more(self) -> int:
        """How many from the router's line may come here, however many are here that never were in it."""
        here = sum(1 for *_, one in self._paced if one.its_turn)
        return max(1, AT_HAND // self.interval) - here

    def go(self, room: int, now: int) -> Iterator[Job]:
        """The jobs that may go at `now`, `room` of them at most."""
        while room > 0 and self._ready:
            job = heapq.heappop(self._ready)[2]
            if job.waits:
                room -= 1
                yield job
        while room > 0 and self._paced:
            job = self._paced[0][2]
            if job.waits:
                if not self._turn(now):
                    return
                room -= 1
            heapq.heappop(self._paced)
            if job.waits:
                yield job

    def wants(self, now: int) -> Wanted | None:
        """The turns to ask for, if that makes sense now."""
        while self._paced and not self._paced[0][2].waits:
            heapq.heappop(self._paced)
        if not self._paced or len(self._turns) >= len(self._paced) or now < self._ask_at:
            return None
        return Wanted(self._paced[0][2].wish.router.interval, len(self._paced) - len(self._turns))

    def give(self, turns: Sequence[int], now: int) -> None:
        """Turns that were asked for."""
        self._turns += turns
        self._ask_at = max(now + AHEAD // 2, self._turns[-1]) if self._turns else now + AHEAD // 2

    def next_at(self) -> int | None:
        """When `go` or `wants` has something for a Disconnect."""
        if not self._paced:
            return None
        return min(self._turns[0], self._ask_at) if self._turns else self._ask_at

    def _turn(self, now: int) -> bool:
        while self._turns and self._turns[0] < now - MISSED:
            self._turns.popleft()
        if not self._turns or self._turns[0] > now:
            return False
        self._turns.popleft()
        return True
