"""The engine's main loop over enforcement rows (shell): claims wishes, has them told, and stores what came of each.

One thread: `turn` does what is due and never waits; the caller waits for the sockets, the clock or the database's bell.
A Disconnect is held back until every live replica has the wanted version, so that a redial meets the new verdict, and
then until its turn at its router has come (aaa.coa.pace).
"""

import selectors
import socket
from collections.abc import Callable
from typing import Final

from aaa.clock import SECOND
from aaa.coa.claims import LEASE
from aaa.coa.pace import Pace
from aaa.coa.teller import Teller
from aaa.coa.wishes import Wishes
from aaa.radius.counters import Counters
from aaa.radius.dictionary import Dictionary
from aaa.routeros.work import Keeper

MOST_IN_HAND: Final = 4096
CLAIM: Final = 96
"""Few enough that who pays meanwhile does not wait long for the next."""
_SOON: Final = 20_000
_LOOK: Final = 250_000
_TOGETHER: Final = 10_000
"""How long outcomes wait for others, to be stored in one transaction."""
_MANY: Final = 128
_RENEW: Final = LEASE // 3
_LINES: Final = SECOND
"""How often lines are counted."""
_PULL: Final = SECOND // 5


class Dispatcher:
    """Works on the wishes of one database. `now` is the clock; sockets are registered in `selector`, port as data."""

    def __init__(
        self,
        wishes: Wishes,
        pace: Pace,
        dictionary: Dictionary,
        selector: selectors.BaseSelector,
        now: Callable[[], int],
        counters: Counters,
        keeper: Keeper,
    ) -> None:
        self._wishes = wishes
        self._now = now
        self._teller = Teller(pace, dictionary, selector, now, counters, keeper)
        self._due: int | None = 0
        self._ended_at = self._store_at = self._look_at = self._renew_at = self._lines_at = self._pull_at = 0

    def ring(self) -> None:
        """Something may have changed in the database: look for wishes, and whether what is in hand still stands."""
        self._due = 0
        self._look_at = min(self._look_at, self._now() + _SOON)

    def receive(self, ready: socket.socket, port: int) -> None:
        """Take every datagram that waits on one of the sockets."""
        self._teller.receive(ready, port)

    def turn(self) -> None:
        """Do everything that is due. Raises the database's errors when it is away; nothing is lost by that."""
        teller, now = self._teller, self._now()
        teller.collect(now)
        if now >= self._ended_at:
            self._ended_at = now + _LOOK
            self._wishes.ask_for_ended(now)
        if teller.moves:
            self._store_at = now  # what was put off is moved, too, and only what is stored can be
        self._trade(now)
        while teller.moves:
            self._wishes.move(*teller.moves[0], now)
            del teller.moves[0]
            self._due = now
        if now >= self._lines_at:
            self._lines_at = now + _LINES
            teller.lines = self._wishes.lines()
        if teller.lines and now >= self._pull_at:
            self._pull_at = now + _PULL
            self._pull(now)
        if teller.jobs and now >= self._look_at:
            self._look(now)
        if teller.jobs and now >= self._renew_at:
            self._renew_at = now + _RENEW
            self._wishes.renew(teller.jobs, now)
        teller.go(now)

    def next_turn(self) -> int | None:
        """When `turn` has something to do, unless a socket or the database wakes it before; None: nothing in sight."""
        times = [self._teller.next_at(self._now())]
        if len(self._teller.jobs) < MOST_IN_HAND:
            times.append(self._due)
        if self._teller.outcomes:
            times.append(self._store_at)
        if self._teller.jobs:
            times += [self._look_at, self._renew_at]
        if self._teller.lines:
            times.append(self._pull_at)
        return min((time for time in times if time is not None), default=None)

    def close(self) -> None:
        """Let go of everything in hand. Claims run out by themselves."""
        self._teller.close()

    def _trade(self, now: int) -> None:
        """Hand in outcomes, and claim what is due, in one transaction."""
        teller = self._teller
        room = min(CLAIM, MOST_IN_HAND - len(teller.jobs))
        claims = room > 0 and self._due is not None and self._due <= now
        if not teller.outcomes:
            self._store_at = now + _TOGETHER  # for those that come next
        if not claims and (not teller.outcomes or (now < self._store_at and len(teller.outcomes) < _MANY)):
            return
        rows, due = self._wishes.exchange(teller.outcomes, now, room if claims else 0, teller.busy(now))
        teller.outcomes.clear()
        if not claims:
            return
        self._due = due
        if not rows and due is not None and due <= now:
            self._due = now + _SOON  # another engine is taking them
        if rows and not teller.jobs:
            self._renew_at = now + _RENEW
            self._look_at = now + _LOOK
        for wish in self._wishes.plan(rows, now):
            if wish.session_id not in teller.jobs:
                teller.begin(wish, now)
        if any(job.held for job in teller.jobs.values()):
            self._look_at = min(self._look_at, now + _SOON)

    def _pull(self, now: int) -> None:
        """Have those come whose turn at their router is near."""
        teller = self._teller
        wanted = teller.room_for_lines(now)
        if wanted and len(teller.jobs) < MOST_IN_HAND:
            for wish in self._wishes.plan(self._wishes.pull(wanted, now), now):
                if wish.session_id not in teller.jobs:
                    teller.begin(wish, now, its_turn=True)

    def _look(self, now: int) -> None:
        """Drop what was overtaken by a newer wish or the session's end, and let go what waited for replicas."""
        teller = self._teller
        held = [session_id for session_id, job in teller.jobs.items() if job.held]
        standing = self._wishes.look([job.wish for job in teller.jobs.values()], held, now)
        teller.receive_all()  # a Stop follows the answer that it comes from, but may overtake it here
        for session_id, job in list(teller.jobs.items()):
            state = standing.get(session_id)
            if state is None:
                teller.drop(job, now)
            elif job.held:
                teller.act(job, now, state == "replicated")
        self._look_at = now + (_SOON if any(job.held for job in teller.jobs.values()) else _LOOK)
