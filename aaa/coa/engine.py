"""The engine role: tells routers, notices what becomes due, and tidies up (shell).

The main thread keeps requests in flight and must never wait long, so a second one compiles: boundaries, horizons, what
accounting asked for, mass changes. A third only listens for the database's bell. Housekeeping runs by APScheduler. Any
number of engines may run on one database: all work is claimed. Who works asks a guard for the time: before anything is
done by a clock that jumped, cuts are held.
"""

import logging
import os
import selectors
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC
from functools import partial
from typing import Final

from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy.exc import DBAPIError

from aaa import clock
from aaa.coa import boundaries, held_ends, sweep
from aaa.coa.clock_guard import ClockGuard
from aaa.coa.dispatcher import Dispatcher
from aaa.coa.pace import Pace
from aaa.coa.prover import Prover
from aaa.coa.wishes import Wishes
from aaa.radius.counters import CounterReport, Counters
from aaa.radius.dictionary import load
from aaa.routeros.executor import Executor
from aaa.routeros.known import Ports
from aaa.routeros.peer import ListsLease, connect
from aaa.routeros.schedule import Schedule
from aaa.routeros.visit import Visitor
from aaa.store import bell
from aaa.store.database import DATABASE_AWAY, Database, open_database
from aaa.store.retention import forget_attempts, forget_logins
from aaa.store.seal import open_keys
from aaa.store.stale import close_stale

_log: Final = logging.getLogger(__name__)

ROLE: Final = "engine"
_STALE_EVERY: Final = 30
_EXTEND_EVERY: Final = 60.0
_FORGET_EVERY: Final = 3600
_LISTEN: Final = 0.25
"""Seconds after which the tables are looked at without a bell; SQLite has none."""
_POLL_SQLITE: Final = 0.05
_PROVE_EVERY: Final = 0.5
_SWITCH: Final = 0.0001
"""Seconds that a thread which computes may keep the others waiting. The main one gives way with each datagram: with the
interpreter's usual 5 ms a mass change would slow it down to a hundred datagrams a second."""
_LONGEST_PAUSE: Final = 2.0


def run(
    *,
    database_url: str,
    state_dir: str | os.PathLike[str],
    key_file: str | os.PathLike[str],
    machine: str,
    stop: threading.Event,
    ready: Callable[[], None],
    radius_ports: tuple[int, int] = Ports(),
) -> None:
    """Work until `stop` is set; `ready` is called once all is under way. `machine` is whose clock it is, for the
    heartbeat; `radius_ports` are those that routers are told. Raises KeyFileError, BadDatabaseUrl.
    """
    keys = open_keys(key_file, True)
    database = open_database(database_url)
    guard = ClockGuard(database, machine)
    counters = Counters()
    report = CounterReport(counters, state_dir, ROLE, 0)
    selector = selectors.DefaultSelector()
    hears, rings = socket.socketpair()
    hears.setblocking(False)
    rings.setblocking(False)
    selector.register(hears, selectors.EVENT_READ)
    lists = Executor(partial(connect, database, keys), ListsLease(database, f"{machine} {os.getpid()}"))
    rows = open_database(database_url, look_ups=True)
    dispatcher = Dispatcher(
        Wishes(rows, keys), Pace(rows), load(), selector, clock.now, counters, lists.desk(partial(_ring, rings))
    )
    threads = [
        threading.Thread(target=_listen, args=(database, rings, stop), name="bell"),
        threading.Thread(target=_compile, args=(database, guard, stop), name="compiler"),
    ]
    shown = threading.Event()
    prover = Prover(database, lists.desk(shown.set), counters)
    threads.append(threading.Thread(target=_prove, args=(prover, shown, stop), name="prover"))
    housekeeping = _housekeeping(database)
    holder = f"{machine} {os.getpid()}"
    look_at_lists = partial(sweep.look, database, keys, f"{holder} visits")
    schedule = Schedule(Visitor(database, keys, Ports(*radius_ports), holder, look_at_lists))
    switching = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH)
    try:
        for thread in threads:
            thread.start()
        housekeeping.start()
        schedule.start()
        ready()
        _serve(dispatcher, guard, selector, hears, report, stop)
    finally:
        stop.set()
        schedule.stop()
        housekeeping.shutdown()
        for thread in threads:
            thread.join()
        dispatcher.close()
        lists.close()
        selector.close()
        hears.close()
        rings.close()
        report.close()
        rows.close()
        database.close()
        sys.setswitchinterval(switching)


class _Outage:
    """Whether the database is away, said once when it goes and once when it is back."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._failures = 0

    def pause(self, error: Exception) -> float:
        """The database failed with `error`; how many seconds to wait before the next attempt."""
        self._failures += 1
        if self._failures == 1:
            cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
            # The driver's words only: SQLAlchemy's would add the statement and its values.
            _log.warning("engine %s database=away error=%r", self._what, " ".join(str(cause).split())[:300])
        return min(_LONGEST_PAUSE, 0.05 * 2.0 ** min(self._failures, 10))

    def over(self) -> None:
        if self._failures:
            _log.warning("engine %s database=back after=%d attempts", self._what, self._failures)
            self._failures = 0


def _serve(
    dispatcher: Dispatcher,
    guard: ClockGuard,
    selector: selectors.BaseSelector,
    hears: socket.socket,
    report: CounterReport,
    stop: threading.Event,
) -> None:
    outage = _Outage("dispatch")
    while not stop.is_set():
        try:
            guard.now(beats=False)
            dispatcher.turn()
        except DATABASE_AWAY as error:
            pause = outage.pause(error)
        else:
            outage.over()
            due = dispatcher.next_turn()
            pause = _LISTEN if due is None else min(_LISTEN, max(0.0, (due - clock.now()) / clock.SECOND))
        for ready, _ in selector.select(pause):
            assert isinstance(ready.fileobj, socket.socket)
            if ready.fileobj is hears:
                hears.recv(4096)
                dispatcher.ring()
            else:
                dispatcher.receive(ready.fileobj, ready.data)
        report.tick(clock.monotonic())


def _listen(database: Database, rings: socket.socket, stop: threading.Event) -> None:
    """Pass the database's bell on to the main thread's selector."""
    waker = bell.Bell(database, bell.ENGINE)
    wait = _LISTEN if database.is_postgresql else _POLL_SQLITE
    while not stop.is_set():
        waker.wait(wait, stop)
        _ring(rings)
    waker.close()


def _ring(rings: socket.socket) -> None:
    with suppress(BlockingIOError):  # the last ones were not heard yet
        rings.send(b"!")


def _compile(database: Database, guard: ClockGuard, stop: threading.Event) -> None:
    """Carry out what becomes due, batch by batch; while cuts are held, move the ends of live sessions ahead."""
    outage = _Outage("compile")
    extend_at = 0.0
    while not stop.is_set():
        try:
            now = guard.now()
            if clock.monotonic() >= extend_at:
                held_ends.extend(database, now)
                extend_at = clock.monotonic() + _EXTEND_EVERY
            due = boundaries.next_due(database, now)
            more = due is not None and due <= now and boundaries.run(database, now)
        except DATABASE_AWAY as error:
            stop.wait(outage.pause(error))
            continue
        except Exception:
            _log.exception("engine compile failed")
            stop.wait(_LONGEST_PAUSE)
            continue
        outage.over()
        if not more:
            wait = _LISTEN if due is None else min(_LISTEN, max(0.0, (due - clock.now()) / clock.SECOND))
            # What is due but claimed by another engine is left to it for a moment.
            stop.wait(wait or _POLL_SQLITE)


def _prove(prover: Prover, shown: threading.Event, stop: threading.Event) -> None:
    """Look whether what routers acknowledged came true; `shown` is set when one has shown what it has."""
    outage = _Outage("proof")
    while not stop.is_set():
        shown.clear()
        try:
            more = prover.turn(clock.now())
        except DATABASE_AWAY as error:
            stop.wait(outage.pause(error))
            continue
        except Exception:
            _log.exception("engine proof failed")
            stop.wait(_LONGEST_PAUSE)
            continue
        outage.over()
        if not more:
            shown.wait(_PROVE_EVERY)


def _housekeeping(database: Database) -> BackgroundScheduler:
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    scheduler = BackgroundScheduler(timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1})
    stale = partial(close_stale, started_at=clock.now())
    scheduler.add_job(_tidy, "interval", seconds=_STALE_EVERY, args=(database, "stale", stale))
    scheduler.add_job(_tidy, "interval", seconds=_FORGET_EVERY, args=(database, "logins", forget_logins))
    scheduler.add_job(_tidy, "interval", seconds=_FORGET_EVERY, args=(database, "attempts", forget_attempts))
    return scheduler


def _tidy(database: Database, what: str, work: Callable[[Database, int], int]) -> None:
    try:
        count = work(database, clock.now())
    except DATABASE_AWAY as error:
        _log.warning("engine housekeeping=%s error=%s", what, type(error).__name__)
        return
    if count:
        _log.info("engine housekeeping=%s rows=%d", what, count)
