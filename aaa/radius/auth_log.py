"""What is told about logins: a line each for the operator, and a row each in the database, at best effort (shell).

Neither may hold up a login: lines are written in batches and only where they fit at once; rows go to a thread through a
short queue, at most so many per second, rejects before accepts. What does not fit is dropped and counted.
"""

import logging
import os
import queue
import stat
import threading
from select import POLLOUT, poll
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from aaa import clock
from aaa.domain.instant import stamp
from aaa.radius import login_line
from aaa.radius.access import ACCEPT, Answer
from aaa.radius.counters import Counters
from aaa.radius.login_line import text_of
from aaa.radius.packet import ACCESS_ACCEPT, ACCESS_REJECT
from aaa.store.database import Database, open_database
from aaa.store.dialect import insert_many
from aaa.store.tables import auth_log

_log: Final = logging.getLogger(__name__)

_MILLISECOND: Final = 1000
_DETAIL: Final = 500
_TEXT: Final = 253
# What a pipe takes whole or not at all (POSIX PIPE_BUF on Linux).
_WHOLE: Final = 4096
# Under load lines wait for company: as long, or as many, as no reader of them would notice and any pipe has room for.
_WAIT: Final = 0.02  # seconds
_TOGETHER: Final = 100


def line(answer: Answer, moment: str) -> str:
    """The log line of a login that was answered at `moment`."""
    return login_line.line(
        moment,
        answer.username,
        answer.nas.name if answer.nas else "",
        answer.calling,
        ACCESS_ACCEPT if answer.kind == ACCEPT else ACCESS_REJECT,
        answer.verdict,
        answer.cause,
        answer.detail,
        answer.past_horizon,
    )


class LoginLines:
    """Login lines on their way to a file descriptor."""

    def __init__(self, descriptor: int, counters: Counters) -> None:
        self._descriptor = descriptor
        self._counters = counters
        self._lines: list[str] = []
        self._written_at = 0.0
        self._moment = -1
        self._stamp = ""
        # A regular file never makes us wait; anything else is asked first, and given no more than it takes whole.
        self._poll: poll | None = None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            self._poll = poll()
            self._poll.register(descriptor, POLLOUT)

    def add(self, answer: Answer, now: int) -> None:
        moment = now // _MILLISECOND
        if moment != self._moment:
            self._moment = moment
            self._stamp = stamp(now)
        self._lines.append(line(answer, self._stamp))

    def hand_over(self, monotonic: float) -> None:
        """Write what was added, unless lines were written a moment ago and there are few."""
        if self._lines and (monotonic - self._written_at >= _WAIT or len(self._lines) >= _TOGETHER):
            self._written_at = monotonic
            self.flush()

    def flush(self) -> None:
        """Write what was added."""
        lines = self._lines
        if not lines:
            return
        self._lines = []
        if self._poll is None:
            self._write("".join(lines).encode(), len(lines))
            return
        part = b""
        count = 0
        for text in lines:
            octets = text.encode()[:_WHOLE]
            if len(part) + len(octets) > _WHOLE:
                self._write(part, count)
                part, count = b"", 0
            part += octets
            count += 1
        self._write(part, count)

    def _write(self, octets: bytes, count: int) -> None:
        if self._poll is not None and not self._poll.poll(0):
            self._counters.add("login-lines-dropped", count)
            return
        try:
            os.write(self._descriptor, octets)
        except OSError:
            self._counters.add("login-lines-dropped", count)


class LoginRows:
    """Login rows on their way to the table `auth_log`. `rate` is rows per second.

    `add` and `hand_over` are for the process's own loop, the rest runs in a thread with a connection of its own.
    """

    def __init__(self, database_url: str, rate: int, counters: Counters) -> None:
        self._database = open_database(database_url, pool_size=1)
        # SQLite has one writer, which accounting needs more; PostgreSQL's small batches keep each pause short.
        self._interval = 0.2 if self._database.is_postgresql else 1.0
        self._budget = max(1, int(rate * self._interval))
        self._counters = counters
        self._accepts: list[dict[str, Any]] = []
        self._rejects: list[dict[str, Any]] = []
        self._due = 0.0
        self._batches: queue.Queue[list[dict[str, Any]] | None] = queue.Queue(maxsize=8)
        self._lost = 0
        self._worker = threading.Thread(target=self._work, name="auth-log", daemon=True)
        self._worker.start()

    def add(self, answer: Answer, now: int) -> None:
        rows = self._accepts if answer.kind == ACCEPT else self._rejects
        if len(rows) >= self._budget or answer.nas is None:
            self._counters.add("login-rows-dropped")
            return
        rows.append(
            {
                "at": now,
                "service_id": answer.service_id or None,
                "username": _column(answer.username),
                "nas_id": answer.nas.id,
                "calling_station_id": _column(answer.calling),
                "result": "accept" if answer.kind == ACCEPT else "reject",
                "cause": answer.cause,
                "detail": answer.detail[:_DETAIL],
            }
        )

    def hand_over(self, monotonic: float) -> None:
        """Give the thread what was added, once per interval."""
        if monotonic < self._due:
            return
        self._due = monotonic + self._interval
        lost, self._lost = self._lost, 0
        if lost:
            self._counters.add("login-rows-dropped", lost)
        rows = (self._rejects + self._accepts)[: self._budget]
        if not rows:
            return
        cut = len(self._rejects) + len(self._accepts) - len(rows)
        self._accepts = []
        self._rejects = []
        try:
            self._batches.put_nowait(rows)
        except queue.Full:
            cut += len(rows)
        if cut:
            self._counters.add("login-rows-dropped", cut)

    def close(self) -> None:
        """Hand over the rest and give the thread two seconds for it."""
        self._due = 0.0
        self.hand_over(0.0)
        try:
            self._batches.put(None, timeout=1.0)
        except queue.Full:
            return
        self._worker.join(2.0)

    def _work(self) -> None:
        away = False
        retry_at = 0.0
        while True:
            rows = self._batches.get()
            if rows is None:
                break
            if away and clock.monotonic() < retry_at:
                self._lost += len(rows)
                continue
            try:
                _insert(self._database, rows)
            except SQLAlchemyError as error:
                self._lost += len(rows)
                retry_at = clock.monotonic() + 1.0
                if not away:
                    _log.warning("login rows are not stored for now: %s", type(error).__name__)
                away = True
                continue
            if away:
                _log.info("login rows are stored again")
            away = False
        self._database.close()


def _insert(database: Database, rows: list[dict[str, Any]]) -> None:
    # Not `Database.write`: no row here is of interest to replicas, so their counter need not move.
    with database.engine.begin() as conn:
        insert_many(conn, auth_log, rows)


def _column(octets: bytes) -> str:
    # PostgreSQL takes no NUL in a text.
    return text_of(octets).replace("\0", "\\x00")[:_TEXT]
