"""The auth role: UDP in, decisions of `aaa.radius.access`, UDP out (shell). No request ever waits for the database.

One loop, no threads but the one that stores login rows. What lies in a socket is drained in batches, and each batch
sees one instant of the replica.
"""

import gc
import heapq
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from select import EPOLLIN, epoll
from typing import Any, Final

from aaa import clock
from aaa.radius import sockets
from aaa.radius.access import ACCEPT, DROP, DUPLICATE, REJECT, STATUS, Access, Answer
from aaa.radius.auth_log import LoginLines, LoginRows
from aaa.radius.counters import FILE_INTERVAL, CounterReport, Counters
from aaa.radius.reply_cache import ReplyCache
from aaa.radius.routers import read_clients, read_realms
from aaa.store.replica import Replica, ReplicaMissing
from aaa.store.scratch import Scratch
from aaa.store.seal import Sealer, open_keys

_log: Final = logging.getLogger(__name__)

ROLE: Final = "auth"
_BATCH: Final = 64
_IDLE: Final = 0.1  # seconds between looks at what is due, when no packet comes
_CACHED_REPLIES: Final = 65_536
_FAULTS_EVERY: Final = 10.0  # seconds between tracebacks, or between drops of one kind, in the log
_DROPS_TOLD: Final = 50
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
    replica = _await_replica(state_dir, stop)
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
        gc.set_threshold(50_000, 20, 100)
        ready()
        _log.info("auth index=%d serving port=%d listen=%s", index, port, ",".join(listen))
        server.serve(stop)
    finally:
        server.close()
        replica.close()
        scratch.close()


def _await_replica(state_dir: str | os.PathLike[str], stop: threading.Event) -> Replica | None:
    told = False
    while not stop.is_set():
        try:
            return Replica.open(state_dir)
        except ReplicaMissing as missing:
            if not told:
                _log.info("auth waits: %s", missing)
                told = True
        stop.wait(0.05)
    return None


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
        self._sockets: dict[int, socket.socket] = {}
        self._wildcards: set[int] = set()
        self._poll = epoll()
        self._held: list[tuple[float, int, Answer, socket.socket, Any, sockets.Ancillary]] = []
        self._held_count = 0
        self._lost: dict[int, int] = {}
        self._lost_at = 0.0
        self._told: set[tuple[str, str]] = set()
        self._told_until = 0.0
        self._fault_at = 0.0
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

    def bind(self, address: str, port: int, index: int, processes: int) -> None:
        """Serve on one more address."""
        bound = sockets.bind(address, port, index, processes)
        self._sockets[bound.fileno()] = bound
        if sockets.is_wildcard(address):
            self._wildcards.add(bound.fileno())
        self._poll.register(bound.fileno(), EPOLLIN)

    def serve(self, stop: threading.Event) -> None:
        """Answer until `stop` is set."""
        while not stop.is_set():
            self._replica.rest()
            ready = self._poll.poll(self._timeout())
            self._replica.renew()
            self._scratch.renew()
            if (self._replica.nas_version, self._replica.visp_version) != self._versions:
                self._reload()
            for descriptor, _event in ready:
                self._drain(descriptor)
            self._tidy(clock.monotonic())

    def close(self) -> None:
        """Send what is held, write what is due, and let go of the sockets."""
        while self._held:
            self._send_held(heapq.heappop(self._held))
        for bound in self._sockets.values():
            bound.close()
        self._poll.close()
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
            self._lines.flush()
        if self._rows is not None:
            self._rows.hand_over(moment)
        if moment >= self._lost_at:
            self._lost_at = moment + FILE_INTERVAL
            self._count_lost()
        self._report.tick(moment)

    def _count_lost(self) -> None:
        for descriptor, bound in self._sockets.items():
            lost = sockets.lost(bound)
            if lost != self._lost.get(descriptor, 0):
                self._counters.add("kernel-drop", lost - self._lost.get(descriptor, 0))
                self._lost[descriptor] = lost

    def _reload(self) -> None:
        self._versions = (self._replica.nas_version, self._replica.visp_version)
        self._access.know(read_clients(self._replica, self._keys), read_realms(self._replica))

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
            self._answer(bound, data, source, ancillary)

    def _answer(self, bound: socket.socket, data: bytes, source: Any, ancillary: sockets.Ancillary) -> None:
        now = clock.now()
        counters = self._counters
        at = self._salts_used
        if at >= _SALTS:
            self._salts = os.urandom(_SALTS)
            at = 0
        self._salts_used = at + _SALT
        try:
            answer = self._access.receive(data, source, now, self._salts[at : at + _SALT])
        except Exception as fault:
            counters.add("error")
            self._tell_fault(fault, source)
            return
        kind = answer.kind
        if kind == DROP:
            counters.add("drop-" + answer.cause)
            self._tell_drop(answer, source)
            return
        if kind == REJECT and self._reject_delay:
            self._held_count += 1
            due = clock.monotonic() + self._reject_delay
            heapq.heappush(self._held, (due, self._held_count, answer, bound, source, ancillary))
        else:
            self._send(bound, answer.reply, source, ancillary)
        counters.add(_COUNTED[kind])
        if kind == ACCEPT or kind == REJECT:
            if answer.past_horizon:
                counters.add("past-horizon")
            if self._lines is not None:
                self._lines.add(answer, now)
            if self._rows is not None:
                self._rows.add(answer, now)

    def _send(self, bound: socket.socket, reply: bytes, source: Any, ancillary: sockets.Ancillary) -> None:
        try:
            if ancillary:
                sockets.reply(bound, reply, source, ancillary)
            else:
                bound.sendto(reply, source)
        except OSError:
            self._counters.add("send-failed")

    def _send_held(self, held: tuple[float, int, Answer, socket.socket, Any, sockets.Ancillary]) -> None:
        _due, _order, answer, bound, source, ancillary = held
        self._access.release(answer)
        self._send(bound, answer.reply, source, ancillary)

    def _tell_fault(self, fault: Exception, source: Any) -> None:
        moment = clock.monotonic()
        if moment >= self._fault_at:
            self._fault_at = moment + _FAULTS_EVERY
            _log.error("request from=%s failed", source[0], exc_info=fault)

    def _tell_drop(self, answer: Answer, source: Any) -> None:
        """A line for the first drop of a kind from an address in every ten seconds, for so many addresses."""
        moment = clock.monotonic()
        if moment >= self._told_until:
            self._told_until = moment + _FAULTS_EVERY
            self._told.clear()
        which = (answer.cause, source[0])
        if which in self._told or len(self._told) >= _DROPS_TOLD or answer.cause == "in-progress":
            return
        self._told.add(which)
        nas = answer.nas.name if answer.nas else "unknown"
        _log.warning("dropped cause=%s from=%s nas=%s", answer.cause, source[0], nas)
