"""The replica role: follows the change feed and keeps this machine's replica up to date (shell).

A change is served within a tenth of a second of its commit: NOTIFY wakes us on PostgreSQL, and both databases are
looked at regularly besides. While the database is away the replica serves what it has."""

import logging
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import lmdb
from sqlalchemy.exc import DBAPIError, TimeoutError

from aaa import clock
from aaa.store import bell, feed
from aaa.store.database import Database, open_database
from aaa.store.replica import CHECK_EVERY
from aaa.store.replica_writer import ReplicaWriter
from aaa.store.scratch import Scratch

_log = logging.getLogger(__name__)

_LOOK_EVERY: Final = 0.1  # seconds; NOTIFY wakes us before
_LOOK_EVERY_SQLITE: Final = 0.05  # seconds; nobody wakes us
_REPORT_EVERY: Final = 2.0  # seconds
_AWAY_LONGEST: Final = 2.0  # seconds between attempts while the database is away


def run(
    *,
    database_url: str,
    state_dir: str | os.PathLike[str],
    machine: str,
    stop: threading.Event,
    ready: Callable[[], None],
) -> None:
    """Follow the feed until `stop` is set. `machine` names this machine among those on the database; `ready` is
    called once, when there is something to serve. Raises ReplicaBusy if another process does this already,
    BadDatabaseUrl."""
    database = open_database(database_url, pool_size=2)
    writer = ReplicaWriter(state_dir)
    scratch = Scratch(state_dir)
    waker = bell.Bell(database, bell.FEED)
    look_every = _LOOK_EVERY if database.is_postgresql else _LOOK_EVERY_SQLITE
    try:
        _follow(
            Follower(database, writer, scratch, machine), writer, partial(waker.wait, look_every, stop), stop, ready
        )
    finally:
        waker.close()
        scratch.close()
        writer.close()
        database.close()


class Follower:
    """Keeps one replica up with one database."""

    def __init__(self, database: Database, writer: ReplicaWriter, scratch: Scratch, machine: str) -> None:
        self._database = database
        self._writer = writer
        self._scratch = scratch
        self._machine = machine
        self._report_at = 0.0

    def step(self) -> None:
        """Take over what has changed, and report how far we are: at once if somebody may wait for it, else now and
        then. Raises DBAPIError or TimeoutError if the database is away, lmdb.Error if the replica cannot be
        written."""
        with self._database.snapshot() as conn:
            reading = feed.look(conn, self._writer.epoch, self._writer.position)
            if reading.complete:
                _log.info("replica loading")
            started = self._writer.take(reading, feed.rows(conn, reading))
        if started:
            self._scratch.settle(started)
        if reading.complete:
            _log.info("replica loaded position=%s", reading.position)
            time.sleep(CHECK_EVERY)  # until every reader has gone over to the new generation
        if reading.wanted or clock.monotonic() >= self._report_at:
            with self._database.write() as conn:
                feed.report(conn, self._machine, self._writer.position, clock.now())
            self._report_at = clock.monotonic() + _REPORT_EVERY
            self._writer.tidy()


def _follow(
    follower: Follower,
    writer: ReplicaWriter,
    wait: Callable[[], None],
    stop: threading.Event,
    ready: Callable[[], None],
) -> None:
    announced = False
    failures = 0
    while not stop.is_set():
        if writer.ready and not announced:
            ready()
            announced = True
        try:
            follower.step()
        except (DBAPIError, TimeoutError) as error:
            fault = f"replica database=away serving={writer.ready} error={_brief(error)}"
        except lmdb.Error as error:
            fault = f"replica file=broken serving={writer.ready} error={str(error)!r}"
            writer.start_over()
        else:
            if failures:
                _log.warning("replica following again after=%d attempts", failures)
            failures = 0
            if announced:
                wait()
            continue
        failures += 1
        if failures == 1:
            _log.warning(fault)
        stop.wait(min(_AWAY_LONGEST, 0.05 * 2 ** min(failures, 10)))


def _brief(error: Exception) -> str:
    """The driver's words on one line; SQLAlchemy's own would add the statement and its values."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return repr(" ".join(str(cause).split())[:300])
