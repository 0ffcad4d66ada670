"""Transactions of prepared statements: what fails, where it shows, and that the connection is good afterwards."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from sqlalchemy import bindparam, func, select, text

from aaa.domain.session import INTERIM
from aaa.store import prepared
from aaa.store.database import Database, open_database
from aaa.store.prepared import Prepared, Transaction, add_up
from aaa.store.tables import usage_day
from tests.integration.sessions import World

_DAYS = Prepared(lambda _: select(usage_day.c.day, usage_day.c.up).order_by(usage_day.c.day))
_LISTED = Prepared(lambda pg: select(usage_day.c.day).where(prepared.listed(usage_day.c.day, "days", pg)))
_QUOTIENT = Prepared(lambda _: select(func.div(1, bindparam("by", type_=usage_day.c.day.type))))


@pytest.fixture
def postgresql(postgresql_url: str) -> Iterator[Database]:
    database = open_database(postgresql_url, pool_size=1, look_ups=True)
    yield database
    database.close()


def _use(tx: Transaction, *days: int, up: int = 1) -> None:
    columns: dict[str, Any] = {name: [0] * len(days) for name in ("service_id", "day", "up", "down", "seconds")}
    prepared.upsert(tx, usage_day, columns | {"day": list(days), "up": [up] * len(days)}, add_up)


def _days(database: Database) -> list[tuple[int, int]]:
    with database.write_prepared() as tx:
        return [(day, up) for day, up in tx.run(_DAYS, {}).fetchall()]


def test_statements_of_many_rows_on_both_databases(database: Database) -> None:
    with database.write_prepared() as tx:
        _use(tx, 1, 2)
        _use(tx, 2, 3, up=5)
        listed = tx.run(_LISTED, {"days": prepared.many(tx, [2, 3, 9])})
        assert sorted(day for (day,) in listed.fetchall()) == [2, 3]
    assert _days(database) == [(1, 1), (2, 6), (3, 5)]


def test_nothing_is_kept_of_a_transaction_that_its_caller_gives_up(database: Database) -> None:
    with pytest.raises(KeyError), database.write_prepared() as tx:
        _use(tx, 1)
        raise KeyError
    assert _days(database) == []


def test_what_an_earlier_statement_did_wrong_shows_at_the_next_wait(postgresql: Database) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero), postgresql.write_prepared() as tx:
        _use(tx, 1)
        tx.run(_QUOTIENT, {"by": 0})
        tx.run(_DAYS, {}).fetchall()
    assert _days(postgresql) == []


def test_what_nobody_waits_for_shows_at_the_commit(postgresql: Database) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero), postgresql.write_prepared() as tx:
        tx.run(_QUOTIENT, {"by": 0})
        _use(tx, 1)
    assert _days(postgresql) == []


def test_after_a_failure_statements_are_prepared_once_whether_that_came_before_it_or_after(
    postgresql: Database,
) -> None:
    for _ in range(3):
        with pytest.raises(psycopg.errors.DivisionByZero), postgresql.write_prepared() as tx:
            _use(tx, 1)
            tx.run(_QUOTIENT, {"by": 0})
            tx.run(_LISTED, {"days": "{1}"})
    with postgresql.write_prepared() as tx:
        _use(tx, 1)
        assert [int(one) for (one,) in tx.run(_QUOTIENT, {"by": 1}).fetchall()] == [1]
        assert tx.run(_LISTED, {"days": "{1}"}).fetchall() == [(1,)]
    with postgresql.read() as conn:
        names = conn.execute(
            text("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'ledgate%'")
        ).scalar_one()
    assert names == 3


def test_a_lost_connection_is_told_and_replaced(postgresql: Database, postgresql_url: str) -> None:
    other = open_database(postgresql_url)
    with pytest.raises(psycopg.OperationalError), postgresql.write_prepared() as tx:
        _use(tx, 1)
        tx.run(_DAYS, {}).fetchall()
        with other.write() as conn:
            conn.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        tx.run(_DAYS, {}).fetchall()
    other.close()
    assert _days(postgresql) == []


def test_more_than_the_sockets_hold_goes_both_ways(postgresql: Database) -> None:
    """The server answers while it is still being sent to, and neither waits for the other for good."""
    days = list(range(20_000))
    with postgresql.write_prepared() as tx:
        _use(tx, *days)
        answers = [tx.run(_LISTED, {"days": prepared.many(tx, days)}) for _ in range(20)]
        assert {len(one.fetchall()) for one in answers} == {len(days)}
    assert len(_days(postgresql)) == len(days)


def test_meanwhile_is_called_while_the_database_works(postgresql: Database) -> None:
    calls: list[int] = []
    with postgresql.write_prepared(lambda: calls.append(1)) as tx:
        _use(tx, *range(5_000))
        tx.run(_DAYS, {}).fetchall()
    assert calls
    before = len(calls)
    _days(postgresql)
    assert len(calls) == before


def test_accounting_prepares_anew_what_the_connection_has_forgotten(postgresql_url: str) -> None:
    with closing(open_database(postgresql_url, pool_size=1, look_ups=True)) as database:
        world = World.make(database)
        world.commit(world.start())
        with database.engine.connect() as conn:  # the only connection there is
            conn.exec_driver_sql("DEALLOCATE ALL")
            conn.commit()
        world.commit(world.record(INTERIM, 60, 60))
        assert [row.seconds for row in world.sessions()] == [60]
