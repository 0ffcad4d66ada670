"""Sessions whose Stop was lost and that nobody replaces: closed after three missing interims, and not otherwise."""

import threading

import pytest
from sqlalchemy import select

from aaa.domain.session import INTERIM, SECOND, Record
from aaa.store import stale, tables
from aaa.store.database import Database, open_database
from aaa.store.stale import close_stale
from tests.integration.population import NOW
from tests.integration.sessions import OTHER_DEVICE, World

INTERVAL = 600  # seconds: what the profile says


@pytest.fixture
def world(database: Database) -> World:
    """Two sessions on one router; ali's is not heard of any more after 600 s, the other's is."""
    world = World.make(database)
    world.commit(world.start(), world.start(session="9", device=OTHER_DEVICE))
    world.commit(world.record(INTERIM, INTERVAL, INTERVAL, 1, 1), _other(world, 1))
    for number in (2, 3, 4):
        world.commit(_other(world, number))
    return world


def test_three_missing_interims_close_a_session_at_its_last_counted_second(world: World) -> None:
    assert close_stale(world.db, _at(4 * INTERVAL) - 1) == 0
    assert close_stale(world.db, _at(4 * INTERVAL)) == 1
    lost, other = world.sessions()
    assert (lost.closed_by, lost.closed_at, other.closed_at) == ("stale", _at(INTERVAL), None)
    assert close_stale(world.db, _at(4 * INTERVAL)) == 0


def test_a_router_that_is_silent_as_a_whole_keeps_its_sessions(world: World) -> None:
    assert close_stale(world.db, _at(6 * INTERVAL) + 1) == 0
    assert close_stale(world.db, _at(6 * INTERVAL)) == 1


def test_a_router_heard_again_has_three_intervals_to_report_its_sessions(world: World) -> None:
    world.commit(_other(world, 7))
    assert close_stale(world.db, _at(7 * INTERVAL)) == 0
    for number in (8, 9, 10):
        world.commit(_other(world, number))
        expected = 1 if number == 10 else 0
        assert close_stale(world.db, _at(number * INTERVAL)) == expected, number
    assert world.sessions()[0].closed_by == "stale"


def test_nothing_is_stale_within_three_intervals_of_our_own_start(world: World) -> None:
    assert close_stale(world.db, _at(4 * INTERVAL), started_at=_at(INTERVAL) + 1) == 0
    assert close_stale(world.db, _at(4 * INTERVAL), started_at=_at(INTERVAL)) == 1


def test_another_identifier_behind_the_same_address_is_another_router(world: World) -> None:
    world.commit(world.start(INTERVAL, session="93", device="d3", identifier="mt2"))
    assert close_stale(world.db, _at(4 * INTERVAL)) == 1
    assert [row.closed_by for row in world.sessions()] == ["stale", None, None]


def test_a_later_interim_reopens_it_and_adds_only_the_difference(world: World) -> None:
    close_stale(world.db, _at(4 * INTERVAL))
    world.commit(world.record(INTERIM, 5 * INTERVAL, 5 * INTERVAL, 9, 9))
    lost, _ = world.sessions()
    assert (lost.closed_at, lost.seconds, lost.up) == (None, 5 * INTERVAL, 9)
    used = [sum(values) for values in zip(*world.usage().values(), strict=True)]
    assert used == [9 + 4, 9 + 4, 5 * INTERVAL + 4 * INTERVAL]


def test_the_feed_is_told(world: World) -> None:
    with world.db.read() as conn:
        before = conn.execute(select(tables.session.c.feed)).scalars().all()
    close_stale(world.db, _at(4 * INTERVAL))
    with world.db.read() as conn:
        after = conn.execute(select(tables.session.c.feed)).scalars().all()
    assert [one != other for one, other in zip(before, after, strict=True)].count(True) == 1


def test_several_batches_and_several_processes_close_each_once(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stale, "_BATCH", 7)
    database = open_database(postgresql_url)
    world = World.make(database)
    world.commit(*[world.start(session=f"{number}", device=f"d{number}") for number in range(60)])
    for number in (1, 2, 3):
        world.commit(_other(world, number, session="0", device="d0"))
    closed: list[int] = []
    jobs = [threading.Thread(target=lambda: closed.append(close_stale(database, _at(3 * INTERVAL)))) for _ in range(3)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(20)
    assert sum(closed) + close_stale(database, _at(3 * INTERVAL)) == 59
    database.close()


def _other(world: World, number: int, session: str = "9", device: str = OTHER_DEVICE) -> Record:
    return world.record(INTERIM, number * INTERVAL, number * INTERVAL, number, number, session=session, device=device)


def _at(seconds: int) -> int:
    return NOW + seconds * SECOND
