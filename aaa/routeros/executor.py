"""Speaking to routers over their API (shell): one connection and one batch at a time for each, several at once.

Whoever holds the lease of a router's lists changes them, so that what is read stays true until it has been changed;
sessions are ended and looked at without. A router that
cannot be reached is left alone for a while, twice as long each time, and what waits for it comes back by itself.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, Protocol

from aaa import clock
from aaa.domain.router import PAYING
from aaa.routeros.lists import V4, Entry, Listing, Menu, Missing, comment, difference, entries, menu_of
from aaa.routeros.online import QUEUES, End, Look, Online, Seen, mine, rate_of
from aaa.routeros.work import Kept, Work

_log: Final = logging.getLogger(__name__)

BATCH: Final = 64
THREADS: Final = 16
FIRST_REST: Final = 2 * clock.SECOND
LONGEST_REST: Final = 60 * clock.SECOND
REFUSED_REST: Final = 60 * clock.SECOND
ELSEWHERE_REST: Final = clock.SECOND // 2
_LOOK: Final = 0.05
_LOOKS: Final = 20
"""How often, and after how many seconds each, a router's lists are asked for that another process keeps just now."""
OLDEST: Final = 300.0
"""Seconds after which a connection is made anew: where the router and the portal are may have been changed."""
IDLE: Final = 60.0
"""Seconds after which a connection that nothing was asked of is closed."""

_SHOWN: Final = (".id", "list", "address", "comment")


class Away(Exception):
    """The router cannot be reached, or broke off."""


class Refused(Exception):
    """The router did not do what it was asked; the message says what it said."""


class Lease(Protocol):
    """The right to keep a router's lists."""

    def take(self, nas_id: int) -> bool:
        """Whether it is ours, for long enough to do a batch."""

    def let_go(self, nas_id: int) -> None: ...


class Peer(Protocol):
    """A router's API, as far as lists need it. Raises Away and Refused."""

    def find(self, menu: str, shown: Sequence[str], name: str, values: Iterable[str]) -> list[Mapping[str, object]]:
        """The rows whose field `name` has one of these values."""

    def remove(self, menu: str, ids: Sequence[str]) -> None:
        """Remove rows; those that are gone already are none of the matter."""

    def add(self, menu: str, rows: Sequence[Mapping[str, str]]) -> None:
        """Add rows; what is there already, made by somebody else, will do."""

    def change(self, menu: str, ids: Sequence[str], values: Mapping[str, str]) -> None:
        """Change rows; those that are gone are none of the matter."""

    def clear(self, addresses: Sequence[str], redirected: Sequence[str]) -> None:
        """Forget the connections of `addresses`, and those of `redirected` that lead to the portal."""

    def close(self) -> None: ...


class _Order(NamedTuple):
    """A piece of work, and who is told what came of it."""

    token: int
    work: Work
    desk: "Desk"


class Desk:
    """A Keeper: what it submits is carried out by the executor, and what comes of that is its own to fetch. Any thread
    calls `wake` when something has finished."""

    def __init__(self, executor: "Executor", wake: Callable[[], None]) -> None:
        self._executor = executor
        self._finished: list[Kept] = []
        self._lock = threading.Lock()
        self.wake: Final = wake

    def submit(self, token: int, nas_id: int, work: Work) -> None:
        self._executor.submit(nas_id, _Order(token, work, self))

    def cancel(self, token: int) -> None:
        self._executor.cancel(self, token)

    def finished(self) -> list[Kept]:
        with self._lock:
            done, self._finished = self._finished, []
        return done

    def put(self, kept: Kept) -> None:
        """Leave what came of a piece of work to be fetched."""
        with self._lock:
            self._finished.append(kept)


@dataclass(slots=True)
class _Line:
    """What waits for one router."""

    waiting: deque["_Order"] = field(default_factory=deque)
    busy: bool = False
    peer: Peer | None = None
    used: float = 0.0
    made: float = 0.0
    failures: int = 0
    rests_until: int = 0


class Executor:
    """Carries out the work of its desks. `connect` makes a Peer of a nas id."""

    def __init__(self, connect: Callable[[int], Peer], lease: Lease, threads: int = THREADS) -> None:
        self._connect = connect
        self._lease = lease
        self._lines: dict[int, _Line] = {}
        self._ready: deque[int] = deque()
        self._lock = threading.Condition()
        self._ended = threading.Event()
        self._most = threads
        self._threads: list[threading.Thread] = []
        self._idle = 0

    def desk(self, wake: Callable[[], None]) -> Desk:
        """A new desk."""
        return Desk(self, wake)

    def submit(self, nas_id: int, order: _Order) -> None:
        with self._lock:
            line = self._lines.setdefault(nas_id, _Line())
            line.waiting.append(order)
            if not line.busy:
                line.busy = True
                self._ready.append(nas_id)
                self._lock.notify()
            if self._idle < len(self._ready) and len(self._threads) < self._most:
                thread = threading.Thread(target=self._work, name=f"api {len(self._threads)}")
                self._threads.append(thread)
                thread.start()

    def cancel(self, desk: Desk, token: int) -> None:
        with self._lock:
            for line in self._lines.values():
                for order in line.waiting:
                    if order.token == token and order.desk is desk:
                        line.waiting.remove(order)
                        return

    def close(self) -> None:
        """Finish the batches under way and let go of the rest."""
        with self._lock:
            self._ended.set()
            self._lock.notify_all()
        for thread in self._threads:
            thread.join()
        for line in self._lines.values():
            _drop(line)

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
                while not self._ready and not self._ended.is_set():
                    if not self._lock.wait(IDLE):
                        self._close_idle()
                self._idle -= 1
                if self._ended.is_set():
                    return
                nas_id = self._ready.popleft()
                line = self._lines[nas_id]
                batch = [line.waiting.popleft() for _ in range(min(BATCH, len(line.waiting)))]
            listings = [one for one in batch if isinstance(one.work, Listing)]
            others = [one for one in batch if not isinstance(one.work, Listing)]
            kept = self._tell(nas_id, line, listings, self._listed) if listings else []
            kept += self._tell(nas_id, line, others, self._visit) if others else []
            with self._lock:
                if line.waiting:
                    self._ready.append(nas_id)
                    self._lock.notify()
                else:
                    line.busy = False
            for order, one in zip((*listings, *others), kept, strict=True):
                order.desk.put(one)
            for desk in {order.desk for order in batch}:
                desk.wake()

    def _hold(self, nas_id: int) -> bool:
        """Whoever has the lists of a router lets them go soon; a payment is not to wait longer than that."""
        for _ in range(_LOOKS):
            if self._lease.take(nas_id):
                return True
            if self._ended.wait(_LOOK):
                return False
        return False

    def _listed(self, nas_id: int, line: _Line, batch: Sequence[_Order]) -> list[Kept]:
        if not self._hold(nas_id):
            at = clock.now() + ELSEWHERE_REST
            return [Kept(one.token, "waits", "another process does it", at) for one in batch]
        try:
            return self._speak(nas_id, line, batch, _carry_out)
        finally:
            self._lease.let_go(nas_id)

    def _visit(self, nas_id: int, line: _Line, batch: Sequence[_Order]) -> list[Kept]:
        return self._speak(nas_id, line, batch, _visit)

    def _speak(
        self, nas_id: int, line: _Line, batch: Sequence[_Order], do: Callable[[Peer, Sequence[_Order]], list[Kept]]
    ) -> list[Kept]:
        """Over the connection there is, if that is young and was used of late; if it breaks off, over a new one."""
        now = clock.monotonic()
        if now - line.used > IDLE or now - line.made > OLDEST:
            _drop(line)
        line.used = now
        if line.peer is not None:
            try:
                return do(line.peer, batch)
            except Away:
                _drop(line)
        line.peer = self._connect(nas_id)
        line.made = now
        return do(line.peer, batch)

    def _close_idle(self) -> None:
        for line in self._lines.values():
            if not line.busy and line.peer is not None and clock.monotonic() - line.used > IDLE:
                _drop(line)

    def _tell(
        self,
        nas_id: int,
        line: _Line,
        batch: Sequence[_Order],
        do: Callable[[int, _Line, Sequence[_Order]], list[Kept]],
    ) -> list[Kept]:
        """What came of each, in their order."""
        now = clock.now()
        if now < line.rests_until:
            return [Kept(one.token, "waits", "it was away a moment ago", line.rests_until) for one in batch]
        try:
            results = do(nas_id, line, batch)
            line.failures = 0
            return results
        except Away as error:
            _drop(line)
            line.failures += 1
            line.rests_until = clock.now() + min(FIRST_REST << min(line.failures - 1, 8), LONGEST_REST)
            _log.warning("router nas=%d works=%d error=%s", nas_id, len(batch), error)
            return [Kept(one.token, "timeout", str(error), line.rests_until) for one in batch]
        except Exception as error:  # the database is away, or a fault of ours: nothing may be lost by it
            _drop(line)
            _log.exception("router nas=%d works=%d", nas_id, len(batch))
            return [Kept(one.token, "error", type(error).__name__, now + FIRST_REST) for one in batch]


def _drop(line: _Line) -> None:
    if line.peer is not None:
        line.peer.close()
        line.peer = None


def _carry_out(peer: Peer, batch: Sequence[_Order]) -> list[Kept]:
    """All listings at once; if it refuses that, one by one, so that only what it refuses is left. Raises Away."""
    try:
        apply(peer, [one.work for one in batch if isinstance(one.work, Listing)])
    except Refused as refused:
        if len(batch) == 1:
            return [Kept(batch[0].token, "nak", str(refused), clock.now() + REFUSED_REST)]
        return [kept for one in batch for kept in _carry_out(peer, [one])]
    return [Kept(one.token, "ack") for one in batch]


def _visit(peer: Peer, batch: Sequence[_Order]) -> list[Kept]:
    """Sessions to be ended or looked at. Raises Away."""
    return [_visited(peer, one) for one in batch]


def _visited(peer: Peer, order: _Order) -> Kept:
    try:
        if isinstance(order.work, End):
            end(peer, order.work.session)
            return Kept(order.token, "ack")
        assert isinstance(order.work, Look)
        return Kept(order.token, "ack", seen=see(peer, order.work.session))
    except Refused as refused:
        return Kept(order.token, "nak", str(refused), clock.now() + REFUSED_REST)


def end(peer: Peer, session: Online) -> None:
    """End a session; one that is not there has ended. Raises Away, Refused."""
    ids = mine(session, _online(peer, session))
    if ids:
        peer.remove(session.menu, ids)


def see(peer: Peer, session: Online) -> Seen:
    """What a session has. Raises Away, Refused."""
    rows = _online(peer, session)
    if not mine(session, rows):
        return Seen(False)
    queues = peer.find(QUEUES, ("name", "max-limit"), "name", [session.queue])
    entered = peer.find(V4, ("list", "address"), "address", [session.framed_ip]) if session.framed_ip else []
    return Seen(True, rate_of(rows, queues), frozenset(str(row["list"]) for row in entered))


def _online(peer: Peer, session: Online) -> list[Mapping[str, object]]:
    shown = (".id", session.user_field, "address", "session-id")
    return peer.find(session.menu, shown, session.user_field, [session.username])


def apply(peer: Peer, listings: Sequence[Listing]) -> None:
    """Have the router hold what these want, and nothing else of ours at their addresses. Raises Away, Refused."""
    asked: dict[Menu, set[str]] = {}
    for listing in listings:
        for address in listing.addresses:
            asked.setdefault(menu_of(address), set()).add(address)
    present = [
        entry
        for menu, addresses in asked.items()
        for entry in entries(menu, peer.find(menu, _SHOWN, "address", sorted(addresses)))
    ]
    surplus, missing = difference(listings, present)
    freed = {(one.menu, one.list, one.address) for one in surplus}
    for menu in asked:
        ids = [entry.id for entry in surplus if entry.menu == menu]
        lacking = [one for one in missing if one.menu == menu]
        # Nobody is to be on no list at all between the two; but an entry can take the place of another only after it.
        _add(peer, menu, [one for one in lacking if (menu, one.list, one.address) not in freed])
        if ids:
            peer.remove(menu, ids)
        _add(peer, menu, [one for one in lacking if (menu, one.list, one.address) in freed])
        _prolong_payments(peer, listings, [one for one in present if one.menu == menu and one not in surplus])
    cleared = {kind: _addresses(listings, kind) for kind in ("all", "redirected")}
    if cleared["all"] or cleared["redirected"]:
        peer.clear(cleared["all"], cleared["redirected"])


def _add(peer: Peer, menu: Menu, missing: Sequence[Missing]) -> None:
    rows = [
        {
            "list": one.list,
            "address": one.address,
            "timeout": f"{one.seconds}s",
            "comment": comment(one.session_id, one.list, one.address),
        }
        for one in missing
    ]
    if rows:
        peer.add(menu, rows)


def _prolong_payments(peer: Peer, listings: Sequence[Listing], present: Sequence[Entry]) -> None:
    """Have those entries last as long as they are to that end by themselves soon."""
    last = {(one.session_id, name): seconds for one in listings for name, seconds in one.lists if name == PAYING}
    for entry in present:
        seconds = last.get((entry.session_id, entry.list))
        if seconds is not None:
            peer.change(entry.menu, [entry.id], {"timeout": f"{seconds}s"})


def _addresses(listings: Sequence[Listing], kind: Literal["all", "redirected"] | str) -> list[str]:
    return [address for listing in listings if listing.clear == kind for address in listing.addresses]
