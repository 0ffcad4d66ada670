"""Prepared statements over libpq's pipeline mode (PostgreSQL manual, section 34.5): a transaction is a few packets each
way, however many statements it has. The driver's own pipeline sends each by itself."""

import select
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import psycopg
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, PipelineStatus, TransactionStatus
from psycopg.pq.abc import PGconn

from aaa.store.prepared import Prepared

Meanwhile = Callable[[], None]

STATEMENT_GONE: Final = "26000"
"""The SQLSTATE of a prepared statement that the connection does not have any more: a pooler gave another one, or the
driver, which prepares some itself, had all forgotten after a rollback. Another attempt prepares them anew."""

_TUPLES_OK: Final = int(ExecStatus.TUPLES_OK)
_COMMAND_OK: Final = int(ExecStatus.COMMAND_OK)
_PIPELINE_SYNC: Final = int(ExecStatus.PIPELINE_SYNC)
_IDLE: Final = int(TransactionStatus.IDLE)
_PIPELINE_OFF: Final = int(PipelineStatus.OFF)
_BINARY: Final = 1


class Rows:
    """What a statement returns. `fetchall` waits for it."""

    __slots__ = ("_pipeline", "rows")

    def __init__(self, pipeline: "Pipeline") -> None:
        self._pipeline = pipeline
        self.rows: list[tuple[Any, ...]] | None = None

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows. Raises psycopg.Error for this statement or one before it."""
        if self.rows is None:
            self._pipeline.receive(self)
        assert self.rows is not None
        return self.rows


class Pipeline:
    """One connection, on which nothing else is done during a transaction. Raises psycopg.Error."""

    postgresql: Final = True

    def __init__(self, connection: psycopg.Connection) -> None:
        self._pg: PGconn = connection.pgconn
        self._transformer = Transformer(connection)
        self._encoding = connection.info.encoding
        self._names: dict[Prepared, bytes] = {}
        self._coming: dict[Prepared, bytes] = {}
        self._named = 0
        self._syncs = 0
        self._meanwhile: Meanwhile | None = None
        # What comes next: the rows of a statement, word that it is prepared, or nothing of interest.
        self._awaited: deque[Rows | Prepared | None] = deque()
        self._poll = select.poll()
        self._socket = self._pg.socket

    @property
    def idle(self) -> bool:
        """Whether the connection is good for another transaction."""
        return self._pg.transaction_status == _IDLE and self._pg.pipeline_status == _PIPELINE_OFF

    def begin(self, plan_anew: bool, meanwhile: Meanwhile | None = None) -> None:
        """Begin a transaction; with `plan_anew`, forget how statements were planned. `meanwhile` is called whenever
        the database is waited for; it must not raise."""
        self._meanwhile = meanwhile
        self._pg.enter_pipeline_mode()
        if plan_anew:
            self._command(b"DISCARD PLANS")
        self._command(b"BEGIN")

    def run(self, statement: Prepared, params: dict[str, Any]) -> Rows:
        """Execute with `params`, all that the statement leaves open. Arrays are given as text."""
        compiled = statement.compiled()
        name = self._names.get(statement) or self._coming.get(statement)
        if name is None:
            self._named += 1
            name = self._coming[statement] = b"ledgate_%d" % self._named
            self._pg.send_prepare(name, compiled.text)
            self._awaited.append(statement)
        self._pg.send_query_prepared(name, compiled.values(params), result_format=_BINARY)
        rows = Rows(self)
        self._awaited.append(rows)
        return rows

    def receive(self, rows: Rows) -> None:
        """Wait for what a statement returns."""
        self._pg.send_flush_request()
        while rows.rows is None:
            self._receive_next()

    def commit(self) -> None:
        """Commit; returns once it is durable."""
        self._command(b"COMMIT")
        self._sync()
        while self._awaited:
            self._receive_next()
        self._receive_syncs()
        self._pg.exit_pipeline_mode()

    def rollback(self) -> None:
        """Undo all since `begin`, also after an error; the connection is good for another transaction then."""
        self._sync()
        self._receive_syncs()
        self._command(b"ROLLBACK")
        self._sync()
        self._receive_syncs()
        self._pg.exit_pipeline_mode()

    def _sync(self) -> None:
        """Ask for all answers; after an error, statements are executed again from here on."""
        self._pg.pipeline_sync()
        self._syncs += 1

    def _command(self, text: bytes) -> None:
        self._pg.send_query_params(text, None)
        self._awaited.append(None)

    def _receive_next(self) -> None:
        """Take in the answer to the oldest statement that has none."""
        result = self._result()
        assert result is not None
        waiting = self._awaited.popleft()
        status = result.status
        if status == _TUPLES_OK:
            if isinstance(waiting, Rows):
                self._transformer.set_pgresult(result)
                waiting.rows = self._transformer.load_rows(0, result.ntuples, tuple)
        elif status != _COMMAND_OK:
            error = error_from_result(result, self._encoding)
            if error.sqlstate == STATEMENT_GONE:
                self._names.clear()
            raise error
        elif isinstance(waiting, Rows):
            waiting.rows = []
        elif waiting is not None:
            self._names[waiting] = self._coming.pop(waiting)
        self._result()  # None ends an answer

    def _receive_syncs(self) -> None:
        """Take in everything up to the last sync; what fails before it is of no interest."""
        while self._syncs:
            result = self._result()
            if result is None:
                continue
            if result.status == _PIPELINE_SYNC:
                self._syncs -= 1
                continue
            waiting = self._awaited.popleft() if self._awaited else None
            if isinstance(waiting, Prepared) and result.status == _COMMAND_OK:
                self._names[waiting] = self._coming.pop(waiting)
        self._awaited.clear()
        self._coming.clear()

    def _result(self) -> Any:
        pg = self._pg
        if pg.flush():
            self._send()
        while pg.is_busy():
            if self._meanwhile is not None:
                self._meanwhile()
            self._wait(select.POLLIN)
            pg.consume_input()
        return pg.get_result()

    def _send(self) -> None:
        """Send what the socket has no room for; the server may have to be listened to before it listens."""
        while self._pg.flush():
            if self._wait(select.POLLIN | select.POLLOUT) & select.POLLIN:
                self._pg.consume_input()

    def _wait(self, events: int) -> int:
        self._poll.register(self._socket, events)
        [(_, ready)] = self._poll.poll()
        return ready
