"""The auth role: UDP in, decisions of `aaa.radius.access`, UDP out (shell). No request ever waits for the database.

One loop, no threads but the one that stores login rows. What lies in a socket is drained in batches, and each batch
sees one instant of the replica.
"""

import gc
import heapq
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Final

from aaa import clock
from aaa.domain.instant import iso
from aaa.radius.access import ACCEPT, DROP, DUPLICATE, REJECT, STATUS, Access, Answer
from aaa.radius.auth_log import LoginLines, LoginRows
from aaa.radius.counters import CounterReport, Counters
from aaa.radius.datagrams import Datagrams, Later, Source
from aaa.radius.own_clock import OwnClock
from aaa.radius.ports import Complaints, Ports
from aaa.radius.reply_cache import ReplyCache
from aaa.radius.routers import await_replica, read_clients, read_realms
from aaa.store.replica import Replica
from aaa.store.scratch import Scratch
from aaa.store.seal import Sealer, open_keys

_log: Final = logging.getLogger(__name__)

ROLE: Final = "auth"
_IDLE: Final = 0.1  # seconds between looks at what is due, when no packet comes
_TURN: Final = 0.0005  # seconds
_CACHED_REPLIES: Final = 65_536
_COUNTED: Final = {ACCEPT: "accept", REJECT: "reject", STATUS: "status", DUPLICATE: "duplicate"}
_SALT: Final = 4
_SALTS: Final = 4096


def run(
    *,
    database_url: str,
    state_dir: str | os.PathLike[str],
    key_file: str | os.PathLike[str],
    listen: Sequence[str],
    port: int,
    index: int,
    processes: int,
    reject_delay: float,
    duplicate_window: float,
    login_lines: bool,
    auth_log_rate: int,
    stop: threading.Event,
    ready: Callable[[], None],
) -> None:
    """Serve as process `index` of `processes` until `stop` is set; `ready` is called once the sockets are bound.

    `reject_delay` and `duplicate_window` are seconds, `auth_log_rate` rows a second (0: none). Waits for the replica if
    there is none yet. Raises KeyFileError, BadDatabaseUrl and OSError.
    """
    keys = open_keys(key_file, True)
    counters = Counters()
    replica = await_replica(state_dir, stop, ROLE)
    if replica is None:
        return
    scratch = Scratch(state_dir)
    lines = LoginLines(sys.stderr.fileno(), counters) if login_lines else None
    rows = LoginRows(database_url, auth_log_rate, counters) if auth_log_rate else None
    report = CounterReport(counters, state_dir, ROLE, index)
    signal.signal(signal.SIGUSR1, lambda _number, _frame: report.ask())
    server = _Server(replica, scratch, keys, counters, lines, rows, report, reject_delay, duplicate_window)
    try:
        for address in listen:
            server.bind(address, port, index, processes)
        # What exists by now stays: collections need not look at it again and again.
        gc.freeze()
        # Python's 5 ms would be the longest that a login waits for the thread that stores rows.
        sys.setswitchinterval(_TURN)
        gc.set_threshold(50_000, 20, 100)
        ready()
        _log.info("auth index=%d serving port=%d listen=%s", index, port, ",".join(listen))
        server.serve(stop)
    finally:
        server.close()
        replica.close()
        scratch.close()


class _Seats:
    """Sessions that accounting knows of, and logins whose Start has not come yet."""

    def __init__(self, replica: Replica, scratch: Scratch) -> None:
        self._replica = replica
        self._scratch = scratch

    def take(self, service_id: int, limit: int, device: bytes, now: int) -> bool:
        live = [session.calling_station_id.encode() for session in self._replica.live(service_id)]
        return self._scratch.reserve(service_id, limit, device, live, now)


class _Server:
    """The sockets of one process and what is due next."""

    def __init__(
        self,
        replica: Replica,
        scratch: Scratch,
        keys: Sealer,
        counters: Counters,
        lines: LoginLines | None,
        rows: LoginRows | None,
        report: CounterReport,
        reject_delay: float,
        duplicate_window: float,
    ) -> None:
        self._replica = replica
        self._scratch = scratch
        self._keys = keys
        self._counters = counters
        self._lines = lines
        self._rows = rows
        self._report = report
        self._reject_delay = reject_delay
        self._ports = Ports(counters)
        self._complaints = Complaints(_log)
        self._held: list[tuple[float, int, Answer, Later]] = []
        self._held_count = 0
        self._salts = b""
        self._salts_used = _SALTS
        self._versions = (replica.nas_version, replica.visp_version)
        self._access = Access(
            read_clients(replica, keys),
            read_realms(replica),
            replica,
            keys,
            _Seats(replica, scratch),
            scratch,
            ReplyCache(round(duplicate_window * clock.SECOND), _CACHED_REPLIES),
            reject_delay > 0,
        )
        self._own_clock = OwnClock(clock.now(), clock.elapsed())

    def bind(self, address: str, port: int, index: int, processes: int) -> None:
        """Serve on one more address."""
        self._ports.bind(address, port, index, processes)

    def serve(self, stop: threading.Event) -> None:
        """Answer until `stop` is set."""
        while not stop.is_set():
            self._replica.rest()
            ready = self._ports.wait(self._timeout())
            self._replica.renew()
            self._scratch.renew()
            if (self._replica.nas_version, self._replica.visp_version) != self._versions:
                self._reload()
            self._hold()
            for datagrams in ready:
                self._drain(datagrams)
            self._tidy(clock.monotonic())

    def close(self) -> None:
        """Send what is held, write what is due, and let go of the sockets."""
        while self._held:
            self._send_held(heapq.heappop(self._held))
        self._ports.close()
        if self._lines is not None:
            self._lines.flush()
        if self._rows is not None:
            self._rows.close()
        self._report.close()

    def _timeout(self) -> float:
        if not self._held:
            return _IDLE
        return min(_IDLE, max(0.0, self._held[0][0] - clock.monotonic()))

    def _tidy(self, moment: float) -> None:
        while self._held and self._held[0][0] <= moment:
            self._send_held(heapq.heappop(self._held))
        if self._lines is not None:
            self._lines.hand_over(moment)
        if self._rows is not None:
            self._rows.hand_over(moment)
        self._ports.tidy(moment)
        self._report.tick(moment)

    def _reload(self) -> None:
        self._versions = (self._replica.nas_version, self._replica.visp_version)
        self._access.know(read_clients(self._replica, self._keys), read_realms(self._replica))

    def _hold(self) -> None:
        """Hold cuts if the replica says so, or if this machine's clock was set and nobody knows yet."""
        told = self._replica.held_since
        since = self._own_clock.held_since(clock.now(), clock.elapsed(), told)
        if since != self._access.held_since:
            self._access.held_since = since
            if since and not told:
                _log.error("auth clock=jumped now=%s: cuts are held here since %s", iso(clock.now()), iso(since))

    def _drain(self, datagrams: Datagrams) -> None:
        """Answer one batch. What is left in the socket wakes us again, when the others have had their turn."""
        count = self._ports.receive(datagrams)
        now = clock.now()
        for slot in range(count):
            source = datagrams.source(slot)
            try:
                answer = self._access.receive(datagrams.data(slot), source, now, self._salt())
            except Exception as fault:
                self._counters.add("error")
                self._complaints.failed(source[0], fault, clock.monotonic())
                continue
            self._dispatch(datagrams, slot, source, answer, now)
        self._ports.flush(datagrams)

    def _salt(self) -> bytes:
        at = self._salts_used
        if at >= _SALTS:
            self._salts = os.urandom(_SALTS)
            at = 0
        self._salts_used = at + _SALT
        return self._salts[at : at + _SALT]

    def _dispatch(self, datagrams: Datagrams, slot: int, source: Source, answer: Answer, now: int) -> None:
        counters = self._counters
        kind = answer.kind
        if kind == DROP:
            counters.add("drop-" + answer.cause)
            nas = answer.nas.name if answer.nas else "unknown"
            self._complaints.dropped(answer.cause, source[0], nas, clock.monotonic())
            return
        if kind == REJECT and self._reject_delay:
            self._held_count += 1
            due = clock.monotonic() + self._reject_delay
            heapq.heappush(self._held, (due, self._held_count, answer, datagrams.later(slot)))
        else:
            datagrams.reply(slot, answer.reply)
        counters.add(_COUNTED[kind])
        if kind == ACCEPT or kind == REJECT:
            if answer.past_horizon:
                counters.add("past-horizon")
            if self._lines is not None:
                self._lines.add(answer, now)
            if self._rows is not None:
                self._rows.add(answer, now)

    def _send_held(self, held: tuple[float, int, Answer, Later]) -> None:
        _due, _order, answer, later = held
        self._access.release(answer)
        try:
            later.reply(answer.reply)
        except OSError:
            self._counters.add("send-failed")
