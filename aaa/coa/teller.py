"""What is told to routers by RADIUS, or in its place over their API, and what they answer (shell).

Everything that is in hand is here: requests in flight, what waits for its turn, what the API is asked for. Nothing here
waits, and nothing but turns at ending sessions asks the database.
"""

import logging
import random
import selectors
import socket
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from aaa.clock import SECOND
from aaa.coa.breaker import LARGEST_WINDOW, Breaker
from aaa.coa.exchange import Done
from aaa.coa.job import Job
from aaa.coa.line import BEHIND, Line
from aaa.coa.messages import Answer
from aaa.coa.pace import Pace
from aaa.coa.plan import CoA, Disconnect, Later, Nothing, after, plan, prolong
from aaa.coa.proof import awaited, wants
from aaa.coa.told import note, note_end, note_lists
from aaa.coa.turns import Wanted
from aaa.coa.wire import Wire
from aaa.coa.wish import Outcome, Stored, Wish
from aaa.domain.rank import LIFT
from aaa.radius.counters import Counters
from aaa.radius.dictionary import Dictionary
from aaa.routeros.online import End, Online
from aaa.routeros.work import Keeper, Kept

_log: Final = logging.getLogger(__name__)

REPLICA_PATIENCE: Final = SECOND
"""How long a Disconnect waits for lagging replicas, from the wish's commit."""
MOST_OF_ROUTER: Final = 2 * LARGEST_WINDOW
FIRST_RETRY: Final = 5 * SECOND
LONGEST_RETRY: Final = 300 * SECOND
_NO_ROOM: Final = SECOND // 4
LONGEST_LINE: Final = 1_800 * SECOND
"""Who waits in line is looked at anew after that."""
_PROBE: Final = 20 * SECOND
"""Longer than a request takes to be given up."""


class Teller:
    """`jobs` are in hand, by session id. What is done goes to `outcomes`; `moves` are routers whose rows are to come
    due at another time: (source, those that come due before, to when); `lines` how many of a router's sessions wait in
    the database for their turn to be ended. Sockets are registered in `selector`, port as data.
    """

    def __init__(
        self,
        pace: Pace,
        dictionary: Dictionary,
        selector: selectors.BaseSelector,
        now: Callable[[], int],
        counters: Counters,
        keeper: Keeper,
    ) -> None:
        self.jobs: dict[int, Job] = {}
        self.outcomes: list[Outcome] = []
        self.moves: list[tuple[str, int, int]] = []
        self.lines: dict[str, int] = {}
        self._pace = pace
        self._now = now
        self._counters = counters
        self._keeper = keeper
        self._wire = Wire(dictionary, selector, counters)
        self._breaker = Breaker()
        self._tokens: dict[int, Job] = {}
        self._last_token = 0
        self._lines: defaultdict[str, Line] = defaultdict(Line)
        self._waiting: set[str] = set()
        self._late: list[Job] = []
        self._silenced: dict[str, int] = {}
        self._good_secret: dict[str, int] = {}

    def close(self) -> None:
        """Close the sockets."""
        self._wire.close()

    def receive(self, ready: socket.socket, port: int) -> None:
        """Take every datagram that waits on one of the sockets."""
        for done in self._wire.receive(ready, port):
            self._finished(done)

    def receive_all(self) -> None:
        """`receive` on every socket."""
        for done in self._wire.receive_all():
            self._finished(done)

    def collect(self, now: int) -> None:
        """Send again what was not answered, give up what was not for long, and hear what the API did."""
        for done in self._wire.timers(now):
            self._finished(done)
        for source, until in self._silenced.items():
            self._leave_alone(source, now, until)
        self._silenced.clear()
        for kept in self._keeper.finished():
            self._kept(kept)

    def go(self, now: int) -> None:
        """Send what has its turn, and find out when those come that have not."""
        if self._late:
            self._queue(now)
        asked: dict[str, Wanted] = {}
        for source in list(self._waiting):
            line = self._lines[source]
            self._send_from(source, line, now)
            wanted = line.wants(now)
            if wanted is not None:
                asked[source] = wanted
            elif not len(line):
                self._waiting.discard(source)
        if asked:
            for source, turns in self._pace.take(asked, now).items():
                self._lines[source].give(turns, now)
                self._send_from(source, self._lines[source], now)

    def next_at(self, now: int) -> int | None:
        """When `collect` or `go` has something to do, unless a socket or the API wakes it before."""
        times = [self._wire.next_timer(), self._breaker.next_probe(now)]
        times += [self._lines[source].next_at() for source in self._waiting]
        return min((time for time in times if time is not None), default=None)

    def room_for_lines(self, now: int) -> dict[str, int]:
        """How many may come from the line of each router that has one."""
        shut = set(self.busy(now))
        found = {source: self._lines[source].more() for source in self.lines if source not in shut}
        return {source: count for source, count in found.items() if count}

    def busy(self, now: int) -> list[str]:
        """The routers that can take nothing more."""
        full = [source for source, line in self._lines.items() if line.held >= MOST_OF_ROUTER]
        return full + [source for source in self._breaker.shut(now) if not self._lines[source].has_api]

    def begin(self, wish: Wish, now: int, *, its_turn: bool = False) -> None:
        """Take a wish in hand; `its_turn`: it comes from the line of its router."""
        router = wish.router
        line = self._lines[router.source]
        line.has_api = router.has_api
        line.interval = router.interval
        job = Job(wish, its_turn=its_turn)
        wanted = wants(wish, now)
        if isinstance(wanted, Later):
            job.again(wanted.at, 0)
        elif isinstance(wanted, Disconnect) and now < wish.rests_until:
            job.again(wish.rests_until, wish.tries)
        elif not isinstance(wanted, Nothing) and not router.secrets and not router.has_api:
            job.again(now + LONGEST_RETRY, wish.tries + 1)
        elif not isinstance(wanted, Nothing) and (wait := self._no_room(job, line, wanted, now)):
            job.again(now + wait, max(wish.tries, 1))
        elif not isinstance(wanted, Nothing):
            job.plan = wanted
        if wish.lists is not None and not isinstance(wanted, Disconnect):
            job.token = self._token(job)
            self._keeper.submit(job.token, router.nas_id, wish.lists.listing)
        self.jobs[wish.session_id] = job
        line.held += 1
        if job.plan is not None:
            self.act(job, now, wish.replicated)
        else:
            self._settle(job)

    def _no_room(self, job: Job, line: Line, wanted: CoA | Disconnect, now: int) -> int:
        """How long a router is to be left alone with this, in favour of others; 0: not at all."""
        source = job.wish.router.source
        if self._breaker.is_open(source):
            if isinstance(wanted, Disconnect) and line.has_api:
                return 0
            return 0 if self._breaker.room(source, now) > line.held else max(_PROBE, self._breaker.until(source) - now)
        return 0 if line.held < 2 * self._breaker.room(source, now) else _NO_ROOM

    # --- what is to be told ------------------------------------------------------------------------------------------

    def act(self, job: Job, now: int, replicated: bool) -> None:
        """Have told what the job plans; a Disconnect once the replicas have the new verdict, in its turn."""
        job.untried = max(1, len(job.wish.router.secrets))
        good = self._good_secret.get(job.wish.router.source, 0)
        job.secret = good if good < job.untried else 0
        if isinstance(job.plan, Disconnect):
            job.held = not replicated and now < job.wish.requested_at + REPLICA_PATIENCE
            if job.held:
                return
            source = job.wish.router.source
            queued = source in self.lines and job.wish.rank != LIFT
            if not job.its_turn and (queued or not self._lines[source].can_wait(job)):
                self._late.append(job)
                return
        self._wait(job)

    def _wait(self, job: Job) -> None:
        source = job.wish.router.source
        self._lines[source].add(job)
        self._waiting.add(source)

    def _queue(self, now: int) -> None:
        """Have those Disconnects wait in line that cannot go soon. Till their turn their routers must not end these
        sessions either: all of them would redial at once.
        """
        for job in sorted((one for one in self._late if not one.settled), key=lambda one: one.wish.rank):
            wish, router = job.wish, job.wish.router
            before = self.lines[router.source] = self.lines.get(router.source, 0) + (wish.turn_at == 0)
            job.turn_at = wish.turn_at or now + wish.rank * BEHIND
            job.again(now + LONGEST_LINE, max(wish.tries, 1))
            job.plan = prolong(wish.session, now + before * router.interval, router.base, now)
            job.prolongs = job.plan is not None
            if job.prolongs:
                self._wait(job)
            else:
                self._settle(job)
        self._late.clear()

    def _send_from(self, source: str, line: Line, now: int) -> None:
        room = self._breaker.room(source, now) - line.in_flight
        by_api = self._breaker.is_open(source) and line.has_api
        for job in line.go(room if not by_api else MOST_OF_ROUTER, now):
            disconnects = isinstance(job.plan, Disconnect)
            router = job.wish.router
            if disconnects and router.has_api and (by_api or job.wish.rung > 1 or not router.secrets):
                self._end_by_api(job)
            else:
                self._tell(job, now)

    def _tell(self, job: Job, now: int) -> None:
        job.untried -= 1
        line = self._lines[job.wish.router.source]
        line.in_flight += 1
        try:
            self._wire.send(job, now)
        except (OSError, ValueError) as error:
            line.in_flight -= 1
            sends = self._wire.cancel(job.wish.session_id)
            _log.warning("request user=%s nas=%s error=%s", job.wish.target.username, job.wish.router.name, error)
            note(job, "error", None, sends, now, self._counters)
            self._retry(job)

    def _cancel(self, job: Job) -> int:
        """Give up the request that is in flight for a job; how often it was sent."""
        sends = self._wire.cancel(job.wish.session_id)
        if sends:
            self._lines[job.wish.router.source].in_flight -= 1
        return sends

    def _end_by_api(self, job: Job) -> None:
        target = job.wish.target
        job.plan = None
        job.ending = self._token(job)
        online = Online(job.wish.session.ppp, target.username, target.acct_session_id, target.framed_ip)
        self._keeper.submit(job.ending, job.wish.router.nas_id, End(online))

    def _token(self, job: Job) -> int:
        self._last_token += 1
        self._tokens[self._last_token] = job
        return self._last_token

    # --- what comes of it --------------------------------------------------------------------------------------------

    def _finished(self, done: Done) -> None:
        job = self.jobs[done.token]
        now = self._now()
        source = job.wish.router.source
        self._lines[source].in_flight -= 1
        if done.answer is not None:
            self._answered(job, done.answer, done.sends, now)
            return
        note(job, "timeout", None, done.sends, now, self._counters)
        if job.untried:
            job.secret = (job.secret + 1) % len(job.wish.router.secrets)
            self._tell(job, now)
            return
        opened = not self._breaker.is_open(source)
        until = self._breaker.silent(source, now, random.uniform(-0.1, 0.1))
        self._retry(job)
        if until is not None:
            self._silenced[source] = until
            if opened:
                _log.warning("router nas=%s breaker=open", job.wish.router.name)
                self._counters.add("breaker-opened")

    def _answered(self, job: Job, answer: Answer, sends: int, now: int) -> None:
        source = job.wish.router.source
        self._good_secret[source] = job.secret
        if self._breaker.answered(source):
            _log.warning("router nas=%s breaker=closed", job.wish.router.name)
            self._counters.add("breaker-closed")
            self.moves.append((source, now + LONGEST_RETRY + _PROBE, now))
        note(job, answer.result, answer.error_cause, sends, now, self._counters)
        if job.prolongs:
            if answer.result == "ack" and isinstance(job.plan, CoA):
                job.session = replace(job.wish.session, given_end=job.plan.given_end)
            self._end(job)
        elif answer.gone:
            # Its Stop is on the way; or its router did not know it by what we said, then the next interims will tell.
            wait = max(2 * job.wish.interim, FIRST_RETRY) if job.wish.tries else FIRST_RETRY
            job.again(now + wait, job.wish.tries + 1)
            self._end(job)
        elif answer.result == "nak":
            if isinstance(job.plan, CoA):
                job.plan = Disconnect("CoA refused")
                self.act(job, now, job.wish.replicated)
            else:
                self._retry(job)
        else:
            assert job.plan is not None
            job.proof = awaited(job.wish, job.plan, now)
            if isinstance(job.plan, CoA):
                self._changed(job, job.plan, now)
            self._end(job)

    def _changed(self, job: Job, sent: CoA, now: int) -> None:
        """A CoA took effect: the session has it from now on, and may have to be told a later end some day."""
        wish = job.wish
        job.session = after(wish.session, wish.wanted, sent)
        rest = plan(job.session, wish.wanted, wish.router.base, now, wish.router.lever)
        if isinstance(rest, Later):
            job.again(rest.at, 0)

    def _leave_alone(self, source: str, now: int, until: int) -> None:
        """A router does not answer: let go of all that was to be told to it, and look at it again at `until`."""
        line = self._lines[source]
        for job in [one for one in self.jobs.values() if one.wish.router.source == source and one.plan is not None]:
            sends = self._cancel(job)
            if sends:
                note(job, "timeout", None, sends, now, self._counters)
            if line.has_api and isinstance(job.plan, Disconnect):
                if sends:
                    self._end_by_api(job)
            else:
                job.again(until, max(job.wish.tries, 1))
                self._end(job)
        if not line.has_api:
            self.moves.append((source, until, until))

    def _retry(self, job: Job) -> None:
        """What was told had no success: have the API do it where there is one, else try again later."""
        if isinstance(job.plan, Disconnect) and job.wish.router.has_api:
            self._end_by_api(job)
            return
        if not job.prolongs:
            tries = job.wish.tries + 1
            job.again(self._now() + min(FIRST_RETRY << min(tries - 1, 16), LONGEST_RETRY), tries)
        self._end(job)

    def _end(self, job: Job) -> None:
        """What was to be told by RADIUS was, or was given up."""
        job.plan = None
        self._settle(job)

    def _kept(self, kept: Kept) -> None:
        """The API did what it was asked for a session, or could not."""
        job = self._tokens.pop(kept.token, None)
        if job is None:
            return  # overtaken meanwhile: what the session may be on stays written down
        now = self._now()
        if kept.token == job.ending:
            job.ending = 0
            note_end(job, kept, now, self._counters)
            job.proof = awaited(job.wish, None, now) if kept.result == "ack" else None
        else:
            job.token = 0
            lists = job.wish.lists
            assert lists is not None
            note_lists(job, kept, now, self._counters)
            if kept.result == "ack":
                names = tuple(name for name, _ in lists.listing.lists)
                job.lists = Stored(job.wish.session_id, names, lists.superseded)
        if kept.result != "ack":
            job.again(kept.again_at, job.wish.tries + 1)
        self._settle(job)

    def _settle(self, job: Job) -> None:
        """Hand the job in once nothing is under way for it."""
        if job.idle and not job.settled:
            job.settled = True
            self._lines[job.wish.router.source].held -= 1
            del self.jobs[job.wish.session_id]
            self.outcomes.append(job.outcome())

    def drop(self, job: Job, now: int) -> None:
        """Give up a job that was overtaken."""
        for token in (job.token, job.ending):
            if self._tokens.pop(token, None) is not None:
                self._keeper.cancel(token)
        job.token = job.ending = 0
        sends = self._cancel(job)
        if sends:
            note(job, "superseded", None, sends, now, self._counters)
        self._end(job)
