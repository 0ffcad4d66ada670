"""The change feed: nothing missed, nothing twice, nobody waited for; on both databases."""

import random
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from sqlalchemy import Connection, literal, select, text

from aaa.store import dialect, feed
from aaa.store.database import Database, open_database
from aaa.store.tables import enforcement
from tests.integration.population import (
    NOW,
    access_rows,
    add_nas,
    add_profile,
    add_service,
    add_session,
    add_visp,
    close_session,
    renew_epoch,
    set_access,
    wish,
)


class Reader:
    """Keeps a position, as the replica does, and gathers what it is told."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.epoch = ""
        self.position = ""
        self.reading: feed.Reading
        self.records: dict[int, bytes | None] = {}

    def read(self) -> dict[str, list[tuple[Any, ...]]]:
        """Table -> the rows read this time."""
        found: dict[str, list[tuple[Any, ...]]] = {}
        with self.database.snapshot() as conn:
            self.reading = feed.look(conn, self.epoch, self.position)
            for table, rows in feed.rows(conn, self.reading):
                found.setdefault(table, []).extend(tuple(row) for row in rows)
        self.epoch, self.position = self.reading.epoch, self.reading.position
        self.records.update((row[0], row[3]) for row in found.get("access", ()))
        return found


@pytest.fixture
def reader(database: Database) -> Reader:
    return Reader(database)


@pytest.fixture
def postgresql_database(postgresql_url: str) -> Iterator[Database]:
    opened = open_database(postgresql_url, pool_size=10)
    yield opened
    opened.close()


def services(database: Database, count: int) -> list[int]:
    with database.write() as conn:
        visp_id = add_visp(conn)
        return [add_service(conn, visp_id, f"user{number}", b"0") for number in range(count)]


def test_first_reading_has_everything_that_is_present(database: Database, reader: Reader) -> None:
    with database.write() as conn:
        visp_id = add_visp(conn)
        kept, removed = (add_service(conn, visp_id, name, b"record") for name in ("ali", "sara"))
        set_access(conn, removed, record=None)
        router, _ = add_nas(conn, "here"), add_nas(conn, "gone", removed=True)
        add_profile(conn, -5, b"encoded")
        opened, closed = (add_session(conn, router, kept, number) for number in range(2))
        close_session(conn, closed)
    found = reader.read()
    assert reader.reading.complete
    assert {table: [row[0] for row in rows] for table, rows in found.items()} == {
        "visp": [visp_id],
        "nas": [router],
        "profile": [-5],
        "access": [kept],
        "session": [kept],
    }
    assert [row[1] for row in found["session"]] == [opened]


def test_a_change_is_read_once(database: Database, reader: Reader) -> None:
    first, second = services(database, 2)
    reader.read()
    assert reader.read() == {}
    with database.write() as conn:
        set_access(conn, second, record=b"1")
    assert {table: [(row[0], row[3]) for row in rows] for table, rows in reader.read().items()} == {
        "access": [(second, b"1")]
    }
    assert reader.read() == {}
    with database.write() as conn:
        set_access(conn, first, record=b"2")
    assert [row[0] for row in reader.read()["access"]] == [first]


def test_nothing_changed_is_known_without_looking_at_any_table(database: Database, reader: Reader) -> None:
    services(database, 1)
    reader.read()
    reader.read()
    found = reader.reading
    # On PostgreSQL the position may still move: other databases of the cluster, and autovacuum, take numbers too.
    assert (found.epoch, found.complete, found.tables, found.wanted) == (reader.epoch, False, (), False)


def test_deletes_are_tombstones(database: Database, reader: Reader) -> None:
    (service_id,) = services(database, 1)
    with database.write() as conn:
        session_id = add_session(conn, add_nas(conn), service_id, 1)
    reader.read()
    with database.write() as conn:
        set_access(conn, service_id, record=None)
        close_session(conn, session_id)
    found = reader.read()
    assert [(row[0], row[3]) for row in found["access"]] == [(service_id, None)]
    assert [row[1:3] for row in found["session"]] == [(session_id, NOW)]


def test_what_is_rolled_back_is_never_read(database: Database, reader: Reader) -> None:
    (service_id,) = services(database, 1)
    reader.read()
    with pytest.raises(LookupError), database.write() as conn:
        set_access(conn, service_id, record=b"never")
        raise LookupError
    assert reader.read() == {}


def test_a_new_epoch_asks_for_a_reload(database: Database, reader: Reader) -> None:
    services(database, 3)
    reader.read()
    with database.write() as conn:
        renew_epoch(conn, "restored")
    assert len(reader.read()["access"]) == 3
    assert reader.reading.complete
    assert not reader.read()


def test_a_database_that_went_back_asks_for_a_reload(sqlite_url: str) -> None:
    database = open_database(sqlite_url)
    reader = Reader(database)
    services(database, 1)
    reader.read()
    with database.write() as conn:
        conn.execute(text("UPDATE feed_counter SET value = value - 2"))
    reader.read()
    assert reader.reading.complete
    database.close()


def test_another_database_with_the_same_rows_asks_for_a_reload(
    postgresql_database: Database, postgresql_admin: Any
) -> None:
    """A dump that was restored without renewing the epoch: its marks mean nothing here."""
    services(postgresql_database, 1)
    reader = Reader(postgresql_database)
    reader.read()
    url = postgresql_database.engine.url
    postgresql_database.close()
    postgresql_admin.execute(f'CREATE DATABASE "{url.database}_copy" TEMPLATE "{url.database}"')
    reader.database = open_database(url.set(database=f"{url.database}_copy").render_as_string(hide_password=False))
    try:
        reader.read()
        assert reader.reading.complete
    finally:
        reader.database.close()
        postgresql_admin.execute(f'DROP DATABASE "{url.database}_copy"')


def test_early_transaction_that_commits_late_is_not_missed(postgresql_database: Database) -> None:
    early_one, late_one, third = services(postgresql_database, 3)
    reader = Reader(postgresql_database)
    reader.read()
    with ExitStack() as early, ExitStack() as late:
        early_conn = early.enter_context(postgresql_database.write())
        set_access(early_conn, early_one, record=b"early")
        late_conn = late.enter_context(postgresql_database.write())
        set_access(late_conn, late_one, record=b"late")
        late.close()
        assert [row[0] for row in reader.read()["access"]] == [late_one]
        with postgresql_database.write() as conn:
            set_access(conn, third, record=b"third")
        assert [row[0] for row in reader.read()["access"]] == [third]
        early.close()
    assert [row[0] for row in reader.read()["access"]] == [early_one]
    assert reader.read() == {}


def test_a_long_writer_stalls_nobody(postgresql_database: Database) -> None:
    held, *others = services(postgresql_database, 6)
    reader = Reader(postgresql_database)
    reader.read()
    with postgresql_database.write() as long_writer:
        set_access(long_writer, held, record=b"long")
        for other in others:
            with postgresql_database.write() as conn:
                set_access(conn, other, record=b"quick")
            assert [row[0] for row in reader.read()["access"]] == [other]
    assert [row[0] for row in reader.read()["access"]] == [held]


def test_a_row_written_under_a_savepoint_is_read(postgresql_database: Database) -> None:
    (service_id,) = services(postgresql_database, 1)
    reader = Reader(postgresql_database)
    reader.read()
    with postgresql_database.write() as conn:
        with conn.begin_nested():
            set_access(conn, service_id, record=b"nested")
        assert reader.read() == {}
    assert [row[0] for row in reader.read()["access"]] == [service_id]


@pytest.mark.parametrize("seed", range(8))
def test_any_interleaving_ends_with_what_the_database_has(postgresql_database: Database, seed: int) -> None:
    """Writers that begin, write, commit and roll back in any order: after each reading the reader has all that is
    committed, and nothing else."""
    chance = random.Random(seed)
    ids = services(postgresql_database, 6)
    reader = Reader(postgresql_database)
    engine = postgresql_database.engine
    open_writers: dict[int, Connection] = {}  # service id -> who holds it
    with ExitStack() as stack:
        for step in range(60):
            action = chance.choice(("write", "write", "commit", "rollback", "read"))
            if action == "write" and len(open_writers) < 5:
                service_id = chance.choice([one for one in ids if one not in open_writers])
                conn = stack.enter_context(engine.connect())
                set_access(conn, service_id, record=b"%d" % step)
                open_writers[service_id] = conn
            elif action in ("commit", "rollback") and open_writers:
                conn = open_writers.pop(chance.choice(list(open_writers)))
                conn.commit() if action == "commit" else conn.rollback()
                conn.close()
            elif action == "read":
                reader.read()
                with postgresql_database.read() as conn:
                    assert reader.records == access_rows(conn)


def test_looking_uses_the_index_even_without_statistics(postgresql_database: Database) -> None:
    services(postgresql_database, 300)
    reader = Reader(postgresql_database)
    reader.read()
    with postgresql_database.snapshot() as conn:
        looking = _plan(conn, feed._WHICH, reader.position)
        dialect.prefer_indexes(conn)
        reading = _plan(conn, feed._CHANGES[3], reader.position)
    for plan in (looking, reading):
        assert "ix_access_feed" in plan
        assert "Seq Scan" not in plan


def _plan(conn: Connection, statement: Any, position: str) -> str:
    compiled = statement.params(since=position).compile(conn.engine, compile_kwargs={"literal_binds": True})
    return "\n".join(conn.execute(text(f"EXPLAIN {compiled}")).scalars())


def _reported(database: Database, machine: str, position: str, now: int) -> None:
    with database.write() as conn:
        feed.report(conn, machine, position, now)


def test_all_replicas_have_waits_for_those_that_lag(database: Database, reader: Reader) -> None:
    (service_id,) = services(database, 1)
    with database.write() as conn:
        session_id = add_session(conn, add_nas(conn), service_id, 1)
    reader.read()
    behind = reader.position
    with database.write() as conn:
        wish(conn, session_id, service_id)
    reader.read()
    assert reader.reading.wanted
    ahead = reader.position

    def sendable(now: int) -> bool:
        with database.read() as conn:
            chosen = (
                conn.execute(
                    select(enforcement.c.session_id).where(feed.replicas_have(literal(now - feed.SEEN_WITHIN)))
                )
                .scalars()
                .all()
            )
        return list(chosen) == [session_id]

    assert sendable(NOW), "no replica, nobody to wait for"
    _reported(database, "a", behind, NOW)
    assert not sendable(NOW)
    _reported(database, "a", ahead, NOW)
    assert sendable(NOW)
    _reported(database, "b", behind, NOW)
    assert not sendable(NOW + feed.SEEN_WITHIN - 1)
    assert sendable(NOW + feed.SEEN_WITHIN), "a machine not heard of for five seconds is not waited for"


def test_a_report_is_not_news(database: Database, reader: Reader) -> None:
    """Else two replicas would keep each other busy for ever."""
    services(database, 1)
    reader.read()
    _reported(database, "a", reader.position, NOW)
    assert reader.read() == {}
    assert not reader.reading.wanted
