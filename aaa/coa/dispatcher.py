"""Telling routers (shell): plans claimed wishes, keeps many requests in flight, and stores what came of each.

One thread: `turn` does what is due and never waits; the caller waits for the sockets, the clock or the database's bell.
A Disconnect is held back until every live replica has the wanted version, so that a redial meets the new verdict.
"""

import json
import logging
import random
import selectors
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, Literal

from aaa.clock import SECOND
from aaa.coa.exchange import Datagram, Done, Exchange
from aaa.coa.messages import request_attributes
from aaa.coa.plan import CoA, Disconnect, Later, LiveSession, Nothing, Plan, after, plan
from aaa.coa.wish import Outcome, Result, Stored, Told, Wish
from aaa.coa.wishes import LEASE, Wishes
from aaa.debit.reply import ADDRESS_LIST
from aaa.domain.timeline import Profile
from aaa.radius.clients import parse_address
from aaa.radius.counters import Counters
from aaa.radius.dictionary import Dictionary
from aaa.radius.packet import COA_REQUEST, DISCONNECT_REQUEST
from aaa.routeros.lists import Kept, ListKeeper

_log: Final = logging.getLogger(__name__)

REPLICA_PATIENCE: Final = SECOND
"""How long a Disconnect waits for lagging replicas, from the wish's commit."""
MOST_IN_HAND: Final = 2048
CLAIM: Final = 128
MOST_OF_ROUTER: Final = 2 * CLAIM
MOST_OF_SILENT_ROUTER: Final = 8
"""A router that does not answer gets few requests at a time, so that it cannot keep others waiting."""
FIRST_RETRY: Final = 5 * SECOND
LONGEST_RETRY: Final = 300 * SECOND
_SOON: Final = 20_000
_LOOK: Final = 250_000
_RENEW: Final = LEASE // 3
_LARGEST: Final = 4096


@dataclass(slots=True)
class _Job:
    """A wish in hand, with up to two things under way for it.

    `plan` is what is to be told by RADIUS, None: nothing (any more); `secret` which of the router's secrets it is told
    with, `untried` how many are left. `token` is the work's at the RouterOS API, 0: there is none (any more). The rest
    is for the outcome.
    """

    wish: Wish
    plan: CoA | Disconnect | None = None
    secret: int = 0
    untried: int = 0
    held: bool = False
    token: int = 0
    told: list[Told] = field(default_factory=list)
    again_at: int | None = None
    tries: int = 0
    session: LiveSession | None = None
    lists: Stored | None = None

    def again(self, at: int, tries: int) -> None:
        """Have the wish claimed again at `at`, or before if something else of it asks for that."""
        self.again_at = at if self.again_at is None else min(self.again_at, at)
        self.tries = max(self.tries, tries)

    def outcome(self) -> Outcome:
        return Outcome(self.wish, tuple(self.told), self.again_at, self.tries, self.session, self.lists)


class Dispatcher:
    """Works on the wishes of one database. `now` is the clock; it registers its sockets in `selector`, port as data."""

    def __init__(
        self,
        wishes: Wishes,
        dictionary: Dictionary,
        selector: selectors.BaseSelector,
        now: Callable[[], int],
        counters: Counters,
        keeper: ListKeeper,
    ) -> None:
        self._wishes = wishes
        self._keeper = keeper
        self._tokens: dict[int, _Job] = {}
        self._last_token = 0
        self._ended_at = 0
        self._dictionary = dictionary
        self._selector = selector
        self._now = now
        self._counters = counters
        self._exchange = Exchange()
        self._sockets: dict[tuple[int, int], socket.socket] = {}
        self._jobs: dict[int, _Job] = {}
        self._outcomes: list[Outcome] = []
        self._silent: set[str] = set()
        self._good_secret: dict[str, int] = {}
        self._look_at = 0
        self._renew_at = 0
        self._due: int | None = None

    def ring(self) -> None:
        """Something may have changed in the database: look at the next turn whether what is in hand still stands."""
        self._look_at = 0

    def receive(self, ready: socket.socket, port: int) -> None:
        """Take every datagram that waits on one of the dispatcher's sockets."""
        while True:
            try:
                data, source = ready.recvfrom(_LARGEST)
            except BlockingIOError:
                return
            done = self._exchange.receive(port, (str(parse_address(source[0])), source[1]), data)
            if done is not None:
                self._finished(done)
            else:
                self._counters.counts.update({f"drop-{cause}": n for cause, n in self._exchange.dropped.items()})

    def turn(self) -> None:
        """Do everything that is due. Raises SQLAlchemy's errors when the database is away; nothing is lost by that."""
        now = self._now()
        again, given_up = self._exchange.timers(now, _jitter())
        for datagram in again:
            self._send(datagram)
        for done in given_up:
            self._finished(done)
        for kept in self._keeper.finished():
            self._kept(kept)
        self._store()
        if now >= self._ended_at:
            self._ended_at = now + _LOOK
            self._wishes.ask_for_ended(now)
        self._claim(now)
        if self._jobs and now >= self._look_at:
            self._look(now)
        if self._jobs and now >= self._renew_at:
            self._renew_at = now + _RENEW
            self._wishes.renew(self._jobs, now)
        self._store()

    def next_turn(self) -> int | None:
        """When `turn` has something to do, unless a socket or the database wakes it before; None: nothing in sight."""
        times = [self._exchange.next_timer(), self._due]
        if self._jobs:
            times += [self._look_at, self._renew_at]
        return min((time for time in times if time is not None), default=None)

    def close(self) -> None:
        """Let go of everything in hand. Claims run out by themselves."""
        for one in self._sockets.values():
            self._selector.unregister(one)
            one.close()

    def _claim(self, now: int) -> None:
        busy = self._busy()
        room = min(CLAIM, MOST_IN_HAND - len(self._jobs))
        if room <= 0:
            self._due = None  # an answer or a timer makes room
            return
        self._due = self._wishes.next_due(now, busy)
        if self._due is None or self._due > now:
            return
        if not self._jobs:
            self._renew_at = now + _RENEW
            self._look_at = now + _LOOK
        claimed = self._wishes.claim(now, room, busy)
        if not claimed:
            self._due = now + _SOON  # another engine is taking them
        taken = self._taken()
        for wish in claimed:
            source = wish.router.source
            taken[source] += 1
            if taken[source] > self._room_of(source):
                self._outcomes.append(Outcome(wish, again_at=now + FIRST_RETRY, tries=wish.tries))
            elif wish.session_id not in self._jobs:
                self._begin(wish, now)

    def _taken(self) -> Counter[str]:
        return Counter(job.wish.router.source for job in self._jobs.values())

    def _busy(self) -> list[str]:
        """The routers that could not take a whole claim; a silent one counts only when it can take nothing at all."""
        return [
            source
            for source, count in self._taken().items()
            if count + (1 if source in self._silent else CLAIM) > self._room_of(source)
        ]

    def _room_of(self, source: str) -> int:
        return MOST_OF_SILENT_ROUTER if source in self._silent else MOST_OF_ROUTER

    def _begin(self, wish: Wish, now: int) -> None:
        router = wish.router
        job = _Job(wish)
        wants = self._wants(wish, now)
        if isinstance(wants, Later):
            job.again(wants.at, 0)
        elif isinstance(wants, Disconnect) and now < wish.rests_until:
            job.again(wish.rests_until, wish.tries)
        elif not isinstance(wants, Nothing) and not router.secrets:
            job.again(now + LONGEST_RETRY, wish.tries + 1)
        elif not isinstance(wants, Nothing):
            good = self._good_secret.get(router.source, 0)
            job.untried = len(router.secrets)
            job.secret = good if good < job.untried else 0
            job.plan = wants
        if wish.lists is not None and not isinstance(wants, Disconnect):
            self._last_token += 1
            job.token = self._last_token
            self._tokens[job.token] = job
            self._keeper.submit(job.token, router.nas_id, wish.lists.listing)
        self._jobs[wish.session_id] = job
        if job.plan is not None:
            self._act(job, now, wish.replicated)
        else:
            self._settle(job)

    def _wants(self, wish: Wish, now: int) -> Plan:
        if wish.ended:
            return Nothing()
        if wish.crowded:
            return Disconnect("too many sessions")
        if wish.locked_out:
            return Disconnect("bound to another device")
        return plan(wish.session, wish.wanted, wish.router.base, now, wish.router.lever)

    def _act(self, job: _Job, now: int, replicated: bool) -> None:
        """Send what the job plans, or hold a Disconnect until the replicas have the new verdict."""
        waits = isinstance(job.plan, Disconnect) and not replicated and now < job.wish.requested_at + REPLICA_PATIENCE
        job.held = waits
        if waits:
            self._look_at = min(self._look_at, now + _SOON)
        else:
            self._tell(job, now)

    def _tell(self, job: _Job, now: int) -> None:
        wish, wants = job.wish, job.plan
        job.held = False
        job.untried -= 1
        try:
            changes = self._dictionary.encode_profile(wants.attributes) if isinstance(wants, CoA) else b""
            datagram = self._exchange.start(
                wish.session_id,
                wish.router.address,
                wish.router.secrets[job.secret],
                COA_REQUEST if isinstance(wants, CoA) else DISCONNECT_REQUEST,
                request_attributes(wish.target, changes, now),
                now,
                _jitter(),
            )
            self._send(datagram)
        except (OSError, ValueError) as error:
            sends = self._exchange.cancel(wish.session_id)
            _log.warning("request user=%s nas=%s error=%s", wish.target.username, wish.router.name, error)
            self._note(job, "error", None, sends)
            self._retry(job)

    def _send(self, datagram: Datagram) -> None:
        family = socket.AF_INET6 if ip_address(datagram.to[0]).version == 6 else socket.AF_INET
        out = self._sockets.get((family, datagram.port))
        if out is None:
            out = self._sockets[family, datagram.port] = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            out.bind(("", 0))
            self._selector.register(out, selectors.EVENT_READ, datagram.port)
        try:
            out.sendto(datagram.data, datagram.to)
        except BlockingIOError:
            pass  # lost like any datagram: it is sent again

    def _finished(self, done: Done) -> None:
        job = self._jobs[done.token]
        now = self._now()
        source = job.wish.router.source
        answer = done.answer
        if answer is None:
            self._silent.add(source)
            self._note(job, "timeout", None, done.sends)
            if job.untried:
                job.secret = (job.secret + 1) % len(job.wish.router.secrets)
                self._tell(job, now)
            else:
                self._retry(job)
            return
        self._silent.discard(source)
        self._good_secret[source] = job.secret
        self._note(job, answer.result, answer.error_cause, done.sends)
        if answer.gone:
            # Its Stop is on the way; or its router did not know it by what we said, then the next interims will tell.
            wait = max(2 * job.wish.interim, FIRST_RETRY) if job.wish.tries else FIRST_RETRY
            self._end(job, again_at=now + wait, tries=job.wish.tries + 1)
        elif answer.result == "nak":
            if isinstance(job.plan, CoA):
                job.plan = Disconnect("CoA refused")
                job.untried = 1
                self._act(job, now, job.wish.replicated)
            else:
                self._retry(job)
        elif isinstance(job.plan, CoA):
            self._changed(job, job.plan, now)
        else:
            self._end(job)

    def _changed(self, job: _Job, sent: CoA, now: int) -> None:
        """A CoA took effect: the session has it from now on, and may have to be told a later end some day."""
        has = after(job.wish.session, job.wish.wanted, sent)
        rest = plan(has, job.wish.wanted, job.wish.router.base, now, job.wish.router.lever)
        self._end(job, again_at=rest.at if isinstance(rest, Later) else None, session=has)

    def _retry(self, job: _Job) -> None:
        tries = job.wish.tries + 1
        wait = min(FIRST_RETRY << min(tries - 1, 16), LONGEST_RETRY)
        self._end(job, again_at=self._now() + wait, tries=tries)

    def _end(
        self, job: _Job, *, again_at: int | None = None, tries: int = 0, session: LiveSession | None = None
    ) -> None:
        """What was to be told by RADIUS was, or was given up."""
        job.plan = None
        job.session = session
        if again_at is not None:
            job.again(again_at, tries)
        self._settle(job)

    def _kept(self, kept: Kept) -> None:
        """The API did what it was asked for a session, or could not."""
        job = self._tokens.pop(kept.token, None)
        if job is None:
            return  # overtaken meanwhile: what the session may be on stays written down
        job.token = 0
        lists = job.wish.lists
        assert lists is not None
        self._note_kept(job, kept)
        names = tuple(name for name, _ in lists.listing.lists)
        if kept.result == "ack":
            job.lists = Stored(job.wish.session_id, names, lists.superseded)
        else:
            job.again(kept.again_at, job.wish.tries + 1)
        self._settle(job)

    def _settle(self, job: _Job) -> None:
        """Hand the job in once nothing is under way for it."""
        if job.plan is None and not job.token:
            del self._jobs[job.wish.session_id]
            self._outcomes.append(job.outcome())

    def _look(self, now: int) -> None:
        """Drop what was overtaken by a newer wish or the session's end, and let go what waited for replicas."""
        standing = self._wishes.look([job.wish for job in self._jobs.values()], now)
        for (_, port), one in self._sockets.items():
            self.receive(one, port)  # a Stop follows the answer that it comes from, but may overtake it here
        for session_id, job in list(self._jobs.items()):
            state = standing.get(session_id)
            if state is None:
                self._tokens.pop(job.token, None)
                job.token = 0
                sends = self._exchange.cancel(session_id)
                if sends:
                    self._note(job, "superseded", None, sends)
                self._end(job)
            elif job.held:
                self._act(job, now, state == "replicated")
        held = any(job.held for job in self._jobs.values())
        self._look_at = now + (_SOON if held else _LOOK)

    def _store(self) -> None:
        if self._outcomes:
            self._wishes.store(self._outcomes)
            self._outcomes.clear()

    def _note(self, job: _Job, result: Result, error_cause: int | None, sends: int) -> None:
        """Remember one request and what came of it, and say so in the log."""
        wish, now = job.wish, self._now()
        latency = max(0, now - wish.since)
        kind: Literal["coa", "disconnect"] = "coa" if isinstance(job.plan, CoA) else "disconnect"
        attributes: Profile = job.plan.attributes if isinstance(job.plan, CoA) else ()
        self._counters.add(f"{kind}-{result}")
        job.told.append(
            Told(now, kind, attributes, result, error_cause, sends, latency if result in ("ack", "nak") else None)
        )
        what = job.plan.why if isinstance(job.plan, Disconnect) else ",".join(name for name, _ in attributes)
        _say(wish, kind, what, result, error_cause if error_cause is not None else "-", latency)

    def _note_kept(self, job: _Job, kept: Kept) -> None:
        wish = job.wish
        assert wish.lists is not None
        names = tuple(name for name, _ in wish.lists.listing.lists)
        latency = max(0, self._now() - wish.since)
        self._counters.add(f"api-{kept.result}")
        told = latency if kept.result == "ack" else None
        job.told.append(Told(self._now(), "api", ((ADDRESS_LIST, names),), kept.result, None, 1, told))
        _say(wish, "api", ",".join(names) or "no list", kept.result, kept.error or "-", latency)


def _say(wish: Wish, kind: str, what: str, result: str, error: object, latency: int) -> None:
    _log.info(
        "live user=%s nas=%s session=%s verdict=%s reason=%s cause=%s sent=%s what=%s result=%s error_cause=%s ms=%.1f",
        wish.target.username,
        wish.router.name,
        wish.target.acct_session_id,
        wish.wanted.verdict.word,
        wish.reason or "-",
        wish.cause,
        kind,
        json.dumps(what),
        result,
        error,
        latency / 1000,
    )


def _jitter() -> float:
    return random.uniform(-0.1, 0.1)
