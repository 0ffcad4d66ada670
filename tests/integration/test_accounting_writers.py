"""Two accounting processes that get records of the same sessions at the same time (PostgreSQL)."""

import random
import threading

from aaa.domain.session import INTERIM, STOP, Record
from aaa.store.accounting import Accounting
from aaa.store.database import Database, open_database
from tests.integration.population import NOW
from tests.integration.sessions import OTHER_DEVICE, World

SESSIONS = 60


def test_two_writers_count_every_octet_once(postgresql_url: str) -> None:
    """Each gets every record, in an order and in batches of its own."""
    setup = open_database(postgresql_url)
    world = World.make(setup)
    records = [
        one
        for number in range(SESSIONS)
        for one in (
            world.start(session=f"{number}", device=f"d{number}"),
            world.record(INTERIM, 300, 300, 30, 300, session=f"{number}", device=f"d{number}"),
            world.record(INTERIM, 600, 600, 60, 600, session=f"{number}", device=f"d{number}"),
            world.record(STOP, 900, 900, 90, 900, session=f"{number}", device=f"d{number}"),
        )
    ]
    assert _write_at_once(postgresql_url, [_shuffled(records, seed) for seed in (1, 2)]) == [len(records)] * 2
    rows = world.sessions()
    assert {(row.seconds, row.up, row.down, row.closed_by) for row in rows} == {(900, 90, 900, "stop")}
    assert len(rows) == SESSIONS
    used = [sum(values) for values in zip(*world.usage().values(), strict=True)]
    assert used == [SESSIONS * 90, SESSIONS * 900, SESSIONS * 900]
    setup.close()


def test_two_writers_of_sessions_under_way_count_every_octet_once(postgresql_url: str) -> None:
    """Nothing opens, so no service is locked: the sessions' own locks must do."""
    setup = open_database(postgresql_url)
    world = World.make(setup)
    names = [f"{number}" for number in range(SESSIONS)]
    world.commit(*[world.start(session=name, device=f"d{name}") for name in names])
    records = [
        world.record(INTERIM if at < 900 else STOP, at, at, at // 10, at, session=name, device=f"d{name}")
        for name in names
        for at in range(100, 1000, 100)
    ]
    assert _write_at_once(postgresql_url, [_shuffled(records, seed) for seed in (5, 6)]) == [len(records)] * 2
    assert {(row.seconds, row.up, row.down, row.closed_by) for row in world.sessions()} == {(900, 90, 900, "stop")}
    used = [sum(values) for values in zip(*world.usage().values(), strict=True)]
    assert used == [SESSIONS * 90, SESSIONS * 900, SESSIONS * 900]
    setup.close()


def test_two_writers_that_make_the_same_sessions_make_each_once(postgresql_url: str) -> None:
    """Nobody's sessions: no service is locked, so both try to make them."""
    setup = open_database(postgresql_url)
    world = World.make(setup)
    records = [
        world.record(INTERIM, 300, 300, 3, 3, session=f"{number}", username="nobody", authorisation=None)
        for number in range(40 * SESSIONS)
    ]
    assert _write_at_once(postgresql_url, [records, records]) == [len(records)] * 2
    rows = world.sessions()
    assert len(rows) == len(records)
    assert {(row.seconds, row.closed_at) for row in rows} == {(300, None)}
    setup.close()


def test_reused_ids_and_reconnecting_devices_leave_one_open_session_each(postgresql_url: str) -> None:
    setup = open_database(postgresql_url)
    world = World.make(setup)
    records = []
    for number in range(SESSIONS // 2):
        for turn in range(3):
            at = 2000 * turn
            # Every device comes back under its old id and under another's.
            name = f"{(number + turn % 2) % (SESSIONS // 2)}"
            records.append(world.start(at, session=name, device=f"d{number}"))
            records.append(world.record(INTERIM, at + 300, 300, 1, 1, session=name, device=f"d{number}"))
    assert _write_at_once(postgresql_url, [_shuffled(records, seed) for seed in (3, 4)]) == [len(records)] * 2
    open_ones = [row.key for row in world.sessions() if row.closed_at is None]
    assert len(open_ones) == len(set(open_ones))
    setup.close()


def test_of_two_newcomers_at_once_one_is_to_be_disconnected(postgresql_url: str) -> None:
    setup = open_database(postgresql_url)
    world = World.make(setup, simultaneous_use=1)
    for turn in range(10):
        first = world.start(10 * turn, session=f"a{turn}", device=f"a{turn}")
        second = world.start(10 * turn, session=f"b{turn}", device=OTHER_DEVICE)
        _write_at_once(postgresql_url, [[first], [second]])
        live = {row.id for row in world.sessions() if row.closed_at is None}
        assert len(live) == 2
        assert len([wish for wish in world.wishes() if wish.session_id in live]) == 1, turn
        stops = [one._replace(status=STOP, event_at=one.event_at + 1) for one in (first, second)]
        world.commit(*stops)
        world.forget_wishes()
    setup.close()


def _shuffled(records: list[Record], seed: int) -> list[Record]:
    mixed = list(records)
    random.Random(seed).shuffle(mixed)
    return mixed


def _write_at_once(url: str, shares: list[list[Record]]) -> list[int]:
    """Every share by a writer of its own, in small batches; how many records each stored."""
    start = threading.Barrier(len(shares))
    stored = [0] * len(shares)

    def write(which: int, database: Database) -> None:
        accounting = Accounting(database)
        start.wait(10)
        for at in range(0, len(shares[which]), 13):
            stored[which] += accounting.commit(shares[which][at : at + 13], NOW).stored
        database.close()

    writers = [threading.Thread(target=write, args=(which, open_database(url))) for which in range(len(shares))]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    return stored
