"""The acct role: accounting in, committed, answered (shell).

What lies in the sockets is one batch, one transaction, and only then the replies: an answer means that the record is
durable. While the database is away nothing is answered, and routers send again.
"""

import gc
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from select import EPOLLIN, epoll
from typing import Any, Final, NamedTuple

from aaa import clock
from aaa.radius import sockets
from aaa.radius.counters import FILE_INTERVAL, CounterReport, Counters
from aaa.radius.intake import Drop, Duplicate, Intake, Pending, Status
from aaa.radius.reply_cache import ReplyCache
from aaa.radius.routers import read_clients
from aaa.store.accounting import DatabaseAway, check, commit_batch
from aaa.store.database import Database, open_database
from aaa.store.replica import Replica, ReplicaMissing
from aaa.store.seal import Sealer, open_keys

_log: Final = logging.getLogger(__name__)

ROLE: Final = "acct"
_BATCH: Final = 512
_IDLE: Final = 0.1  # seconds between looks at what is due, when no packet comes
_RETRY: Final = 0.2  # seconds between attempts while the database is away
_DUPLICATE_WINDOW: Final = 10 * clock.SECOND
_CACHED_REPLIES: Final = 65_536
_TOLD_EVERY: Final = 10.0  # seconds between log lines about drops of one kind from one address
_DROPS_TOLD: Final = 50


def run(
    *,
    database_url: str,
    state_dir: str | os.PathLike[str],
    key_file: str | os.PathLike[str],
    listen: Sequence[str],
    port: int,
    index: int,
    processes: int,
    stop: threading.Event,
    ready: Callable[[], None],
) -> None:
    """Serve as process `index` of `processes` until `stop` is set; `ready` is called once the sockets are bound.

    The routers come from this machine's replica, as for auth; waits for it if there is none yet. Raises KeyFileError,
    BadDatabaseUrl and OSError.
    """
    keys = open_keys(key_file, True)
    database = open_database(database_url, pool_size=1)
    try:
        replica = _await_replica(state_dir, stop)
        if replica is None:
            return
        counters = Counters()
        report = CounterReport(counters, state_dir, ROLE, index)
        signal.signal(signal.SIGUSR1, lambda _number, _frame: report.ask())
        server = _Server(replica, keys, database, counters, report)
        try:
            for address in listen:
                server.bind(address, port, index, processes)
            gc.freeze()
            gc.set_threshold(50_000, 20, 100)
            ready()
            _log.info("acct index=%d serving port=%d listen=%s", index, port, ",".join(listen))
            server.serve(stop)
        finally:
            server.close()
            replica.close()
    finally:
        database.close()


def _await_replica(state_dir: str | os.PathLike[str], stop: threading.Event) -> Replica | None:
    told = False
    while not stop.is_set():
        try:
            return Replica.open(state_dir)
        except ReplicaMissing as missing:
            if not told:
                _log.info("acct waits: %s", missing)
                told = True
        stop.wait(0.05)
    return None


class _Way(NamedTuple):
    """How a reply gets back."""

    bound: socket.socket
    source: Any
    ancillary: sockets.Ancillary


class _Server:
    """The sockets of one process, and its database."""

    def __init__(
        self, replica: Replica, keys: Sealer, database: Database, counters: Counters, report: CounterReport
    ) -> None:
        self._replica = replica
        self._keys = keys
        self._database = database
        self._counters = counters
        self._report = report
        self._sockets: dict[int, socket.socket] = {}
        self._wildcards: set[int] = set()
        self._poll = epoll()
        self._nas_version = replica.nas_version
        self._intake = Intake(read_clients(replica, keys), ReplyCache(_DUPLICATE_WINDOW, _CACHED_REPLIES))
        self._pending: list[tuple[Pending, _Way]] = []
        self._statuses: list[tuple[Status, _Way]] = []
        self._away = False
        self._retry_at = 0.0
        self._lost: dict[int, int] = {}
        self._lost_at = 0.0
        self._told: set[tuple[str, str]] = set()
        self._told_until = 0.0

    def bind(self, address: str, port: int, index: int, processes: int) -> None:
        """Serve on one more address."""
        bound = sockets.bind(address, port, index, processes)
        self._sockets[bound.fileno()] = bound
        if sockets.is_wildcard(address):
            self._wildcards.add(bound.fileno())
        self._poll.register(bound.fileno(), EPOLLIN)

    def serve(self, stop: threading.Event) -> None:
        """Take records until `stop` is set."""
        while not stop.is_set():
            self._replica.rest()
            ready = self._poll.poll(_IDLE)
            self._replica.renew()
            if self._replica.nas_version != self._nas_version:
                self._nas_version = self._replica.nas_version
                self._intake.know(read_clients(self._replica, self._keys))
            for descriptor, _event in ready:
                self._drain(descriptor)
            if self._pending:
                self._store()
            if self._statuses:
                self._answer_statuses()
            self._tidy(clock.monotonic())

    def close(self) -> None:
        """Let go of the sockets."""
        for bound in self._sockets.values():
            bound.close()
        self._poll.close()
        self._report.close()

    def _drain(self, descriptor: int) -> None:
        bound = self._sockets[descriptor]
        wildcard = descriptor in self._wildcards
        ancillary: sockets.Ancillary = []
        for _ in range(_BATCH):
            try:
                if wildcard:
                    data, source, ancillary = sockets.receive(bound)
                else:
                    data, source = bound.recvfrom(sockets.LARGEST)
            except BlockingIOError:
                return
            except OSError:
                # An ICMP error to an earlier reply is reported here; it takes no packet away.
                self._counters.add("receive-failed")
                continue
            try:
                self._take(data, _Way(bound, source, ancillary))
            except Exception:
                self._counters.add("error")
                if self._may_tell("error", source[0]):
                    _log.exception("accounting from=%s failed", source[0])

    def _take(self, data: bytes, way: _Way) -> None:
        taken = self._intake.receive(data, way.source, clock.now())
        if isinstance(taken, Pending):
            self._pending.append((taken, way))
        elif isinstance(taken, Duplicate):
            self._counters.add("duplicate")
            self._send(taken.reply, way)
        elif isinstance(taken, Status):
            self._statuses.append((taken, way))
        else:
            self._drop(taken, way.source)

    def _store(self) -> None:
        """Commit what was drained, then answer it."""
        batch, self._pending = self._pending, []
        if self._away and clock.monotonic() < self._retry_at:
            self._abandon(batch)
            return
        try:
            result = commit_batch(self._database, [pending.record for pending, _ in batch], clock.now())
        except DatabaseAway as away:
            self._note_away(str(away))
            self._abandon(batch)
            return
        self._note_back()
        self._counters.add("stored", result.stored)
        poison = set(result.poison)
        if poison:
            self._counters.add("refused", len(poison))
        for at, (pending, way) in enumerate(batch):
            if at in poison:
                self._intake.abandon(pending)
                continue
            reply = self._intake.settle(pending)
            if reply is None:
                self._counters.add("reply-oversize")
            else:
                self._send(reply, way)

    def _abandon(self, batch: Sequence[tuple[Pending, _Way]]) -> None:
        self._counters.add("drop-database-away", len(batch))
        for pending, _ in batch:
            self._intake.abandon(pending)

    def _answer_statuses(self) -> None:
        """Status-Server asks whether accounting is served: it is not while the database is away."""
        statuses, self._statuses = self._statuses, []
        if self._away and clock.monotonic() >= self._retry_at:
            try:
                check(self._database)
                self._note_back()
            except DatabaseAway as away:
                self._note_away(str(away))
        if self._away:
            self._counters.add("drop-database-away", len(statuses))
            return
        self._counters.add("status", len(statuses))
        for status, way in statuses:
            self._send(status.reply, way)

    def _note_away(self, why: str) -> None:
        self._retry_at = clock.monotonic() + _RETRY
        if not self._away:
            self._away = True
            _log.warning("accounting is silent: %s", why)

    def _note_back(self) -> None:
        if self._away:
            self._away = False
            _log.info("accounting is served again")

    def _send(self, reply: bytes, way: _Way) -> None:
        try:
            if way.ancillary:
                sockets.reply(way.bound, reply, way.source, way.ancillary)
            else:
                way.bound.sendto(reply, way.source)
        except OSError:
            self._counters.add("send-failed")

    def _drop(self, drop: Drop, source: Any) -> None:
        self._counters.add("drop-" + drop.cause)
        if drop.cause != "in-progress" and self._may_tell(drop.cause, source[0]):
            nas = drop.nas.name if drop.nas else "unknown"
            _log.warning("accounting dropped cause=%s from=%s nas=%s", drop.cause, source[0], nas)

    def _may_tell(self, cause: str, host: str) -> bool:
        """Whether to log this: once in a while for each kind and address, for so many of them."""
        moment = clock.monotonic()
        if moment >= self._told_until:
            self._told_until = moment + _TOLD_EVERY
            self._told.clear()
        if (cause, host) in self._told or len(self._told) >= _DROPS_TOLD:
            return False
        self._told.add((cause, host))
        return True

    def _tidy(self, moment: float) -> None:
        if moment >= self._lost_at:
            self._lost_at = moment + FILE_INTERVAL
            for descriptor, bound in self._sockets.items():
                lost = sockets.lost(bound)
                if lost != self._lost.get(descriptor, 0):
                    self._counters.add("kernel-drop", lost - self._lost.get(descriptor, 0))
                    self._lost[descriptor] = lost
        self._report.tick(moment)
