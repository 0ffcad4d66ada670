"""The acct role: accounting in, committed, answered (shell).

What lies in the sockets is one batch, one transaction, and only then the replies: an answer means that the record is
durable. While the database is away nothing is answered, and routers send again.
"""

import gc
import logging
import os
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Final

from aaa import clock
from aaa.radius.counters import CounterReport, Counters
from aaa.radius.datagrams import SLOTS, Datagrams, Later, Source
from aaa.radius.intake import Duplicate, Intake, Pending, Status
from aaa.radius.ports import Complaints, Ports
from aaa.radius.reply_cache import ReplyCache
from aaa.radius.routers import await_replica, read_clients
from aaa.store.accounting import Accounting, DatabaseAway
from aaa.store.database import Database, open_database
from aaa.store.replica import Replica
from aaa.store.seal import Sealer, open_keys

_log: Final = logging.getLogger(__name__)

ROLE: Final = "acct"
_BATCH: Final = 512
_GATHER: Final = 0.0007  # seconds that a batch waits for more, if the last one was twice as large
_IDLE: Final = 0.1  # seconds between looks at what is due, when no packet comes
_RETRY: Final = 0.2  # seconds between attempts while the database is away
_CACHED_REPLIES: Final = 65_536


def run(
    *,
    database_url: str,
    state_dir: str | os.PathLike[str],
    key_file: str | os.PathLike[str],
    listen: Sequence[str],
    port: int,
    index: int,
    processes: int,
    duplicate_window: float,
    stop: threading.Event,
    ready: Callable[[], None],
) -> None:
    """Serve as process `index` of `processes` until `stop` is set; `ready` is called once the sockets are bound.

    The routers come from this machine's replica, as for auth; waits for it if there is none yet. Raises KeyFileError,
    BadDatabaseUrl and OSError.
    """
    keys = open_keys(key_file, True)
    database = open_database(database_url, pool_size=1, look_ups=True)
    try:
        replica = await_replica(state_dir, stop, ROLE)
        if replica is None:
            return
        counters = Counters()
        report = CounterReport(counters, state_dir, ROLE, index)
        signal.signal(signal.SIGUSR1, lambda _number, _frame: report.ask())
        server = _Server(replica, keys, database, counters, report, duplicate_window)
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


class _Server:
    """The sockets of one process, and its database."""

    def __init__(
        self,
        replica: Replica,
        keys: Sealer,
        database: Database,
        counters: Counters,
        report: CounterReport,
        duplicate_window: float,
    ) -> None:
        self._replica = replica
        self._keys = keys
        self._accounting = Accounting(database, self._drain_ready)
        self._counters = counters
        self._report = report
        self._ports = Ports(counters)
        self._complaints = Complaints(_log)
        self._nas_version = replica.nas_version
        self._intake = Intake(
            read_clients(replica, keys), ReplyCache(round(duplicate_window * clock.SECOND), _CACHED_REPLIES)
        )
        self._pending: list[tuple[Pending, Later]] = []
        self._statuses: list[tuple[Status, Later]] = []
        self._last_batch = 0
        self._away = False
        self._retry_at = 0.0

    def bind(self, address: str, port: int, index: int, processes: int) -> None:
        """Serve on one more address."""
        self._ports.bind(address, port, index, processes)

    def serve(self, stop: threading.Event) -> None:
        """Take records until `stop` is set."""
        while not stop.is_set():
            self._replica.rest()
            ready = self._ports.wait(0 if self._pending else _IDLE)
            self._replica.renew()
            if self._replica.nas_version != self._nas_version:
                self._nas_version = self._replica.nas_version
                self._intake.know(read_clients(self._replica, self._keys))
            for datagrams in ready:
                self._drain(datagrams)
            if 0 < len(self._pending) * 2 < self._last_batch:
                # The rest of those who wait for us is on the way: a larger batch is cheaper for each.
                stop.wait(_GATHER)
                self._drain_ready()
            if self._pending:
                self._store()
            if self._statuses:
                self._answer_statuses()
            moment = clock.monotonic()
            self._ports.tidy(moment)
            self._report.tick(moment)

    def close(self) -> None:
        """Let go of the sockets."""
        self._ports.close()
        self._report.close()

    def _drain_ready(self) -> None:
        """Take in what lies in the sockets, also while the batch before it is being stored."""
        for datagrams in self._ports.wait(0):
            self._drain(datagrams)

    def _drain(self, datagrams: Datagrams) -> None:
        while len(self._pending) < _BATCH:
            count = self._ports.receive(datagrams)
            now = clock.now()
            for slot in range(count):
                source = datagrams.source(slot)
                try:
                    self._take(datagrams, slot, source, now)
                except Exception as fault:
                    self._counters.add("error")
                    self._complaints.failed(source[0], fault, clock.monotonic())
            if count < SLOTS:
                return

    def _take(self, datagrams: Datagrams, slot: int, source: Source, now: int) -> None:
        taken = self._intake.receive(datagrams.data(slot), source, now)
        if isinstance(taken, Pending):
            self._pending.append((taken, datagrams.later(slot)))
        elif isinstance(taken, Duplicate):
            self._counters.add("duplicate")
            self._send(taken.reply, datagrams.later(slot))
        elif isinstance(taken, Status):
            self._statuses.append((taken, datagrams.later(slot)))
        else:
            self._counters.add("drop-" + taken.cause)
            nas = taken.nas.name if taken.nas else "unknown"
            self._complaints.dropped(taken.cause, source[0], nas, clock.monotonic())

    def _store(self) -> None:
        """Commit what was drained, then answer it."""
        batch, self._pending = self._pending, []
        self._last_batch = len(batch)
        if self._away and clock.monotonic() < self._retry_at:
            self._abandon(batch)
            return
        try:
            result = self._accounting.commit([pending.record for pending, _ in batch], clock.now())
        except DatabaseAway as away:
            self._note_away(str(away))
            self._abandon(batch)
            return
        self._note_back()
        self._counters.add("stored", result.stored)
        poison = set(result.poison)
        if poison:
            self._counters.add("refused", len(poison))
        for at, (pending, later) in enumerate(batch):
            if at in poison:
                self._intake.abandon(pending)
                continue
            reply = self._intake.settle(pending)
            if reply is None:
                self._counters.add("reply-oversize")
            else:
                self._send(reply, later)

    def _abandon(self, batch: Sequence[tuple[Pending, Later]]) -> None:
        self._counters.add("drop-database-away", len(batch))
        for pending, _ in batch:
            self._intake.abandon(pending)

    def _answer_statuses(self) -> None:
        """Status-Server asks whether accounting is served: it is not while the database is away."""
        statuses, self._statuses = self._statuses, []
        if self._away and clock.monotonic() >= self._retry_at:
            try:
                self._accounting.check()
                self._note_back()
            except DatabaseAway as away:
                self._note_away(str(away))
        if self._away:
            self._counters.add("drop-database-away", len(statuses))
            return
        self._counters.add("status", len(statuses))
        for status, later in statuses:
            self._send(status.reply, later)

    def _note_away(self, why: str) -> None:
        self._retry_at = clock.monotonic() + _RETRY
        if not self._away:
            self._away = True
            _log.warning("accounting is silent: %s", why)

    def _note_back(self) -> None:
        if self._away:
            self._away = False
            _log.info("accounting is served again")

    def _send(self, reply: bytes, later: Later) -> None:
        try:
            later.reply(reply)
        except OSError:
            self._counters.add("send-failed")
