"""Telling routers of lists over their API (shell): one connection and one batch at a time for each, several at once.

Whoever holds a router's lease speaks to it, so that what is read stays true until it has been changed. A router that
cannot be reached is left alone for a while, twice as long each time, and what waits for it comes back by itself.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from aaa import clock
from aaa.routeros.lists import Kept, Listing, Menu, comment, difference, entries, menu_of

_log: Final = logging.getLogger(__name__)

BATCH: Final = 64
THREADS: Final = 16
FIRST_REST: Final = 2 * clock.SECOND
LONGEST_REST: Final = 60 * clock.SECOND
REFUSED_REST: Final = 60 * clock.SECOND
ELSEWHERE_REST: Final = clock.SECOND // 2
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


@dataclass(slots=True)
class _Line:
    """What waits for one router."""

    waiting: deque[tuple[int, Listing]] = field(default_factory=deque)
    busy: bool = False
    peer: Peer | None = None
    used: float = 0.0
    failures: int = 0
    rests_until: int = 0


class Executor:
    """A ListKeeper. `connect` makes a Peer of a nas id; any thread calls `wake` when something has finished."""

    def __init__(
        self,
        connect: Callable[[int], Peer],
        lease: Lease,
        wake: Callable[[], None],
        threads: int = THREADS,
    ) -> None:
        self._connect = connect
        self._lease = lease
        self._wake = wake
        self._lines: dict[int, _Line] = {}
        self._ready: deque[int] = deque()
        self._finished: list[Kept] = []
        self._lock = threading.Condition()
        self._closing = False
        self._most = threads
        self._threads: list[threading.Thread] = []
        self._idle = 0

    def submit(self, token: int, nas_id: int, listing: Listing) -> None:
        with self._lock:
            line = self._lines.setdefault(nas_id, _Line())
            line.waiting.append((token, listing))
            if not line.busy:
                line.busy = True
                self._ready.append(nas_id)
                self._lock.notify()
            if self._idle < len(self._ready) and len(self._threads) < self._most:
                thread = threading.Thread(target=self._work, name=f"lists {len(self._threads)}")
                self._threads.append(thread)
                thread.start()

    def finished(self) -> list[Kept]:
        with self._lock:
            done, self._finished = self._finished, []
        return done

    def close(self) -> None:
        """Finish the batches under way and let go of the rest."""
        with self._lock:
            self._closing = True
            self._lock.notify_all()
        for thread in self._threads:
            thread.join()
        for line in self._lines.values():
            _drop(line)

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
                while not self._ready and not self._closing:
                    if not self._lock.wait(IDLE):
                        self._close_idle()
                self._idle -= 1
                if self._closing:
                    return
                nas_id = self._ready.popleft()
                line = self._lines[nas_id]
                batch = [line.waiting.popleft() for _ in range(min(BATCH, len(line.waiting)))]
            kept = self._tell(nas_id, line, batch)
            with self._lock:
                self._finished += kept
                if line.waiting:
                    self._ready.append(nas_id)
                    self._lock.notify()
                else:
                    line.busy = False
            self._wake()

    def _speak(self, nas_id: int, line: _Line, batch: Sequence[tuple[int, Listing]]) -> list[Kept]:
        """Over the connection there is; if that has broken off since, over a new one."""
        line.used = clock.monotonic()
        if line.peer is not None:
            try:
                return _carry_out(line.peer, batch)
            except Away:
                _drop(line)
        line.peer = self._connect(nas_id)
        return _carry_out(line.peer, batch)

    def _close_idle(self) -> None:
        for line in self._lines.values():
            if not line.busy and line.peer is not None and clock.monotonic() - line.used > IDLE:
                _drop(line)

    def _tell(self, nas_id: int, line: _Line, batch: Sequence[tuple[int, Listing]]) -> list[Kept]:
        now = clock.now()
        tokens = [token for token, _ in batch]
        if now < line.rests_until:
            return [Kept(token, "timeout", "it was away a moment ago", line.rests_until) for token in tokens]
        try:
            if not self._lease.take(nas_id):
                return [Kept(token, "error", "another process does it", now + ELSEWHERE_REST) for token in tokens]
            try:
                results = self._speak(nas_id, line, batch)
            finally:
                self._lease.let_go(nas_id)
            line.failures = 0
            return results
        except Away as error:
            _drop(line)
            line.failures += 1
            line.rests_until = clock.now() + min(FIRST_REST << min(line.failures - 1, 8), LONGEST_REST)
            _log.warning("router nas=%d lists=%d error=%s", nas_id, len(batch), error)
            return [Kept(token, "timeout", str(error), line.rests_until) for token in tokens]
        except Exception as error:  # the database is away, or a fault of ours: nothing may be lost by it
            _drop(line)
            _log.exception("router nas=%d lists=%d", nas_id, len(batch))
            return [Kept(token, "error", type(error).__name__, now + FIRST_REST) for token in tokens]


def _drop(line: _Line) -> None:
    if line.peer is not None:
        line.peer.close()
        line.peer = None


def _carry_out(peer: Peer, batch: Sequence[tuple[int, Listing]]) -> list[Kept]:
    """All at once; if the router refuses that, one by one, so that only what it refuses is left. Raises Away."""
    try:
        apply(peer, [listing for _, listing in batch])
    except Refused as refused:
        if len(batch) == 1:
            return [Kept(batch[0][0], "nak", str(refused), clock.now() + REFUSED_REST)]
        return [kept for one in batch for kept in _carry_out(peer, [one])]
    return [Kept(token, "ack") for token, _ in batch]


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
    for menu in asked:
        ids = [entry.id for entry in surplus if entry.menu == menu]
        if ids:
            peer.remove(menu, ids)
        rows = [
            {
                "list": one.list,
                "address": one.address,
                "timeout": f"{one.seconds}s",
                "comment": comment(one.session_id, one.list, one.address),
            }
            for one in missing
            if one.menu == menu
        ]
        if rows:
            peer.add(menu, rows)
    cleared = {kind: _addresses(listings, kind) for kind in ("all", "redirected")}
    if cleared["all"] or cleared["redirected"]:
        peer.clear(cleared["all"], cleared["redirected"])


def _addresses(listings: Sequence[Listing], kind: Literal["all", "redirected"] | str) -> list[str]:
    return [address for listing in listings if listing.clear == kind for address in listing.addresses]
