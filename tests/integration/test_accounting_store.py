"""Batches of accounting records in both databases."""

import logging
import random
import threading
from typing import Any

import pytest
from sqlalchemy import select, text, update

from aaa.domain.authorisation import Authorisation
from aaa.domain.local_day import local_day
from aaa.domain.session import INTERIM, OFF, ON, SECOND, STOP
from aaa.store import tables
from aaa.store.accounting import Accounting, DatabaseAway
from aaa.store.database import Database, open_database
from tests.integration import population
from tests.integration.population import NOW
from tests.integration.sessions import CUT_AT, DEVICE, HOUR, OTHER_DEVICE, World


@pytest.fixture
def world(database: Database) -> World:
    return World.make(database)


def test_a_session_from_start_to_stop(world: World) -> None:
    world.commit(world.start())
    [row] = world.sessions()
    assert (row.service_id, row.nas_id, row.source, row.identifier) == (world.service, world.nas, "192.0.2.1", "mt1")
    assert (row.acct_session_id, row.username, row.calling_station_id) == ("80000001", "ali", DEVICE)
    assert (row.called_station_id, row.nas_port_id, row.framed_protocol) == ("pppoe-in", "ether2", "ppp")
    assert (row.started_at, row.heard_at, row.closed_at, row.framed_ip) == (NOW, NOW, None, "10.0.0.1")
    world.commit(world.record(INTERIM, 300, 300, 10, 100, delegated_ipv6="2001:db8::/56"))
    [row] = world.sessions()
    assert (row.seconds, row.up, row.down, row.heard_at) == (300, 10, 100, NOW + 300 * SECOND)
    assert row.delegated_ipv6 == "2001:db8::/56"
    world.commit(world.record(STOP, 400, 400, 15, 120, terminate_cause=1))
    [row] = world.sessions()
    assert (row.closed_at, row.closed_by, row.terminate_cause) == (NOW + 400 * SECOND, "stop", 1)
    assert (row.seconds, row.up, row.down) == (400, 15, 120)
    assert world.usage() == {local_day(NOW, "Asia/Tehran"): (15, 120, 400)}
    assert world.wishes() == []


def test_what_a_session_was_authorised_with(world: World) -> None:
    world.commit(world.start())
    [row] = world.sessions()
    assert (row.version, row.applied_profile, row.applied_verdict) == (3, world.profile, 0)
    assert (row.applied_ip, row.given_end, row.applied_at, row.interim) == (0x0A090909, CUT_AT, NOW, 600)


def test_octets_of_one_session_in_any_order_with_repeats_are_counted_once(world: World) -> None:
    records = [world.start(), *[world.record(INTERIM, at, at, 4 * at, 5 * at) for at in (250, 500, 750)]]
    records.append(world.record(STOP, 1000, 1000, 4000, 5000))
    chance = random.Random(5)
    for number in range(25):
        name = f"8{number:07}"
        sent = (*records, *chance.choices(records, k=5))
        order = [one._replace(key=b"%d" % number, acct_session_id=name) for one in sent]
        chance.shuffle(order)
        cut = chance.randint(1, 10)
        for at in range(0, len(order), cut):
            world.commit(*order[at : at + cut])
    rows = world.sessions()
    assert {(row.seconds, row.up, row.down, row.closed_by) for row in rows} == {(1000, 4000, 5000, "stop")}
    assert [sum(values) for values in zip(*world.usage().values(), strict=True)] == [25 * 4000, 25 * 5000, 25 * 1000]


def test_octets_beyond_32_bits(world: World) -> None:
    world.commit(world.record(STOP, 10, 10, 2**63 - 1, 2**40))
    assert [sum(values) for values in zip(*world.usage().values(), strict=True)] == [2**63 - 1, 2**40, 10]


def test_usage_is_kept_by_the_visps_local_day(world: World) -> None:
    midnight = 20780 * 86_400 - 12_600  # in Tehran, 3.5 hours ahead
    at = midnight - NOW // SECOND
    world.commit(world.record(INTERIM, at - 1, 600, 10, 100))
    world.commit(world.record(INTERIM, at, 601, 15, 120))
    assert world.usage() == {20779: (10, 100, 600), 20780: (5, 20, 1)}


def test_the_next_start_of_the_same_device_closes_a_session_whose_stop_was_lost(world: World) -> None:
    world.commit(world.start(), world.record(INTERIM, 300, 300, 1, 1))
    world.commit(world.start(900, session="80000002", source="198.51.100.7"))
    old, new = world.sessions()
    assert (old.closed_by, old.closed_at, new.closed_at) == ("replaced", NOW + 300 * SECOND, None)


def test_a_router_that_repeats_an_id_opens_another_session(world: World) -> None:
    world.commit(world.start(), world.record(INTERIM, 300, 300, 1, 1))
    world.commit(world.start(4000, device=OTHER_DEVICE), world.record(INTERIM, 4300, 300, 7, 7, device=OTHER_DEVICE))
    old, new = world.sessions()
    assert (old.closed_by, old.closed_at) == ("reused", NOW + 300 * SECOND)
    assert (new.closed_at, new.up, new.seconds) == (None, 7, 300)
    assert [sum(values) for values in zip(*world.usage().values(), strict=True)] == [8, 8, 600]


@pytest.mark.parametrize("status", [ON, OFF])
def test_on_and_off_close_their_own_identifiers_sessions_that_began_before(world: World, status: int) -> None:
    world.commit(
        world.start(),
        world.record(INTERIM, 300, 300, 1, 1),
        world.start(1, session="2", identifier="mt2", device=OTHER_DEVICE),
        world.start(2, session="3", source="192.0.2.2", device="d3"),
        world.start(1000, session="4", device="d4"),
    )
    world.commit(world.record(status, 1000, session="", username="", device="", key=b""))
    first, *others = world.sessions()
    assert (first.closed_by, first.closed_at) == ("nas", NOW + 300 * SECOND)
    assert [row.closed_at for row in others] == [None, None, None]


def test_a_batch_keeps_its_order_around_an_accounting_on(world: World) -> None:
    on = world.record(ON, 600, session="", username="", device="", key=b"")
    world.commit(world.start(), on, world.start(700, session="2"), world.record(INTERIM, 300, 300, 1, 1))
    first, second = world.sessions()
    assert (first.closed_by, first.closed_at, second.closed_at) == ("nas", NOW + 300 * SECOND, None)


def test_a_later_interim_reopens_a_stale_session_and_has_it_planned(world: World) -> None:
    world.commit(world.start(), world.record(INTERIM, 300, 300, 10, 100))
    with world.db.write() as conn:
        conn.execute(update(tables.session).values(closed_at=NOW + 300 * SECOND, closed_by="stale"))
    world.commit(world.record(INTERIM, 3000, 3000, 11, 105))
    [row] = world.sessions()
    assert (row.closed_at, row.closed_by, row.seconds) == (None, None, 3000)
    assert world.usage() == {local_day(NOW, "Asia/Tehran"): (11, 105, 3000)}
    assert [(wish.session_id, wish.cause) for wish in world.wishes()] == [(row.id, "start")]


def test_an_interim_of_after_an_accounting_on_reopens_the_session_and_one_of_before_does_not(world: World) -> None:
    on = world.record(ON, 600, session="", username="", device="", key=b"")
    world.commit(world.start(), on, world.record(INTERIM, 500, 500, 1, 1))
    assert [row.closed_by for row in world.sessions()] == ["nas"]
    world.commit(world.record(INTERIM, 900, 900, 5, 7))
    [row] = world.sessions()
    assert (row.closed_at, row.closed_by, row.seconds) == (None, None, 900)
    assert [wish.cause for wish in world.wishes()] == ["start"]


# --- whose session it is ---


@pytest.mark.parametrize("name", ["ali", "ali@tehran.example", "ali@TEHRAN.example", "HOME\\ali"])
def test_without_our_class_the_service_is_found_by_name_and_planned(world: World, name: str) -> None:
    world.commit(world.start(username=name, authorisation=None))
    [row] = world.sessions()
    assert (row.service_id, row.version, row.applied_profile, row.given_end) == (world.service, None, None, None)
    assert [(wish.cause, wish.wanted_version) for wish in world.wishes()] == [("start", 3)]


@pytest.mark.parametrize("name", ["nobody", "ali@elsewhere.example", ""])
def test_a_name_that_means_no_service_belongs_to_nobody(world: World, name: str) -> None:
    world.commit(world.record(STOP, 100, 100, 5, 5, username=name, authorisation=None))
    [row] = world.sessions()
    assert (row.service_id, row.up, world.usage()) == (None, 5, {})


def test_a_name_that_several_visps_know_needs_its_realm(world: World) -> None:
    with world.db.write() as conn:
        visp = population.add_visp(conn, "brno", "brno.example")
        other = population.add_service(conn, visp, "ali", b"")
    world.commit(world.start(authorisation=None))
    world.commit(world.start(1, session="2", username="ali@brno.example", authorisation=None))
    assert [row.service_id for row in world.sessions()] == [None, other]


def test_a_class_that_names_another_users_service_is_not_believed(world: World) -> None:
    with world.db.write() as conn:
        other = population.add_service(conn, world.visp, "sara", b"")
    forged = Authorisation(other, 1, 0, 0, 0)
    unknown = forged._replace(service_id=99)
    world.commit(world.start(authorisation=forged), world.start(session="2", authorisation=unknown))
    assert [(row.service_id, row.version) for row in world.sessions()] == [(world.service, None)] * 2


def test_an_interim_that_opens_a_session_finds_its_service_too(world: World) -> None:
    world.commit(world.record(INTERIM, 300, 300, 1, 1))
    world.commit(world.record(INTERIM, 301, 300, 1, 1, session="2", authorisation=None))
    assert [(row.service_id, row.interim) for row in world.sessions()] == [(world.service, 600), (world.service, 300)]


@pytest.mark.parametrize("spelling", ["02-00-00-00-00-0a", "02000000000A", "0200:0000:000a"])
def test_a_mac_address_is_a_name_in_any_spelling(world: World, spelling: str) -> None:
    with world.db.write() as conn:
        other = population.add_service(conn, world.visp, "02:00:00:00:00:0A", b"")
    world.commit(world.start(username=spelling, authorisation=Authorisation(other, 1, 0, 0, 0)))
    assert world.sessions()[0].service_id == other


# --- what must be planned again ---


def test_a_start_with_an_older_version_is_planned_again(world: World) -> None:
    world.commit(world.start(authorisation=world.granted(version=2)))
    [wish] = world.wishes()
    assert (wish.session_id, wish.service_id, wish.wanted_version) == (world.sessions()[0].id, world.service, 3)
    assert (wish.cause, wish.requested_at, wish.not_before, wish.tries) == ("start", NOW, NOW, 0)
    [row] = world.sessions()
    assert (row.version, row.applied_verdict, row.applied_ip) == (2, None, None)


def test_a_start_in_a_segment_that_has_ended_is_planned_again(world: World) -> None:
    world.commit(world.start(HOUR // SECOND + 1))
    assert [wish.cause for wish in world.wishes()] == ["start"]


def test_a_start_just_before_a_boundary_is_planned_when_it_comes(world: World) -> None:
    world.commit(world.start(HOUR // SECOND - 5))
    assert [(wish.cause, wish.not_before) for wish in world.wishes()] == [("start", CUT_AT)]


def test_a_repeated_start_asks_for_nothing_new(world: World) -> None:
    old = world.start(authorisation=world.granted(version=2))
    world.commit(old)
    world.forget_wishes()
    world.commit(old)
    assert world.wishes() == []


def test_a_session_that_ended_in_the_same_batch_is_not_planned(world: World) -> None:
    old = world.granted(version=2)
    world.commit(world.start(authorisation=old), world.record(STOP, 5, 5, authorisation=old))
    assert world.wishes() == []


def test_a_change_that_commits_while_a_start_is_stored_is_not_missed(postgresql_url: str) -> None:
    database = open_database(postgresql_url)
    world = World.make(database)
    locked, done = threading.Event(), threading.Event()

    def change() -> None:
        with world.db.write() as conn:
            conn.execute(select(tables.service.c.id).where(tables.service.c.id == world.service).with_for_update())
            locked.set()
            _until_blocked(world.db)
            population.set_access(conn, world.service, version=4)
        done.set()

    changer = threading.Thread(target=change)
    changer.start()
    assert locked.wait(10)
    world.commit(world.start())
    changer.join(10)
    assert done.is_set()
    assert [(wish.cause, wish.wanted_version) for wish in world.wishes()] == [("start", 4)]
    database.close()


def test_a_session_that_another_process_makes_meanwhile_is_taken_up(postgresql_url: str) -> None:
    database = open_database(postgresql_url)
    world = World.make(database)
    interim = world.record(INTERIM, 300, 300, 3, 3, username="nobody", authorisation=None)
    with world.db.write() as conn:
        made = population.add_session(conn, world.nas, None, 1)
        ours = tables.session.c.id == made
        conn.execute(update(tables.session).where(ours).values(key=interim.key, seconds=200, up=5))
        writer = threading.Thread(target=world.commit, args=(interim,))
        writer.start()
        _until_blocked(world.db)
    writer.join(10)
    assert [(row.id, row.seconds, row.up, row.down) for row in world.sessions()] == [(made, 300, 5, 3)]
    database.close()


def test_an_access_record_of_another_format_stops_no_accounting(world: World) -> None:
    with world.db.write() as conn:
        population.set_access(conn, world.service, record=b"\xff" * 64)
    world.commit(world.start(), world.record(STOP, 10, 10, 1, 1))
    assert world.sessions()[0].service_id == world.service


# --- simultaneous use ---


def test_the_newcomer_beyond_the_limit_is_to_be_disconnected(database: Database) -> None:
    world = World.make(database, simultaneous_use=1)
    world.commit(world.start())
    assert world.wishes() == []
    world.commit(world.start(10, session="2", device=OTHER_DEVICE, source="198.51.100.7"))
    _, newcomer = world.sessions()
    assert [(wish.session_id, wish.cause) for wish in world.wishes()] == [(newcomer.id, "simultaneous-use")]


def test_the_first_interim_of_a_newcomer_counts_like_its_start(database: Database) -> None:
    world = World.make(database, simultaneous_use=1)
    world.commit(world.start(), world.record(INTERIM, 300, 300, session="2", device=OTHER_DEVICE))
    assert [wish.cause for wish in world.wishes()] == ["simultaneous-use"]


def test_the_same_device_replaces_its_own_session(database: Database) -> None:
    world = World.make(database, simultaneous_use=1)
    world.commit(world.start())
    world.commit(world.start(10, session="2"))
    assert ([row.closed_by for row in world.sessions()], world.wishes()) == (["replaced", None], [])


def test_a_device_that_has_gone_leaves_its_place(database: Database) -> None:
    world = World.make(database, simultaneous_use=1)
    world.commit(world.start())
    world.commit(world.record(STOP, 9, 9), world.start(10, session="2", device=OTHER_DEVICE))
    assert world.wishes() == []


# --- what is cheap, and what the replica is told ---


def test_only_openings_and_closings_are_told_to_the_feed(world: World) -> None:
    marks = [_mark(world, record) for record in (world.start(), world.record(INTERIM, 300, 300, 1, 1))]
    assert marks[0] == marks[1]
    late = world.record(INTERIM, 600, 600, 2, 2, framed_ip="10.0.0.2")
    assert (_mark(world, late), world.sessions()[0].framed_ip) == (marks[0], "10.0.0.2")
    assert _mark(world, world.record(STOP, 700, 700, 2, 2)) != marks[0]


def test_an_interim_touches_no_index(postgresql_url: str) -> None:
    """HOT updates: else every interim would write to all the indexes of the largest table."""
    database = open_database(postgresql_url)
    world = World.make(database)
    world.commit(world.start())
    for number in range(1, 9):
        world.commit(world.record(INTERIM, 300 * number, 300 * number, number, number))
    with database.write() as conn:
        conn.execute(text("SELECT pg_stat_force_next_flush()"))
    with database.read() as conn:
        counts = text("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'session'")
        assert conn.execute(counts).one() == (8, 8)
    database.close()


# --- routers ---


def test_a_router_heard_again_after_a_long_silence_is_heard_anew(world: World) -> None:
    world.commit(world.start())
    world.commit(world.record(INTERIM, 1200, 1200, 1, 1))
    contact = world.contact()
    assert (contact.nas_id, contact.heard_since, contact.heard_at) == (world.nas, NOW, NOW + 1200 * SECOND)
    world.commit(world.record(INTERIM, 2401, 2401, 2, 2))
    contact = world.contact()
    assert (contact.heard_since, contact.heard_at) == (NOW + 2401 * SECOND, NOW + 2401 * SECOND)


# --- when things go wrong ---


def test_a_record_that_the_database_refuses_stands_alone(world: World, caplog: pytest.LogCaptureFixture) -> None:
    records = [world.start(at, session=f"{at}", device=f"d{at}") for at in range(20)]
    records[7] = records[7]._replace(up=2**63)
    records[13] = records[13]._replace(up=2**64)
    with caplog.at_level(logging.ERROR):
        result = world.accounting.commit(records, NOW)
    assert (result.stored, result.poison) == (18, (7, 13))
    assert len(world.sessions()) == 18
    assert len(caplog.messages) == 2
    assert "session='7' user='ali'" in caplog.messages[0]


def test_without_the_database_nothing_is_stored(
    postgresql_url: str, postgresql_away: Any, caplog: pytest.LogCaptureFixture
) -> None:
    database = open_database(postgresql_url)
    world = World.make(database)
    world.commit(world.start())
    with postgresql_away(postgresql_url):
        with pytest.raises(DatabaseAway):
            world.accounting.commit([world.record(INTERIM, 300, 300, 1, 1)], NOW)
        with pytest.raises(DatabaseAway):
            world.accounting.check()
    world.accounting.check()
    world.commit(world.record(INTERIM, 300, 300, 1, 1))
    assert (world.sessions()[0].seconds, caplog.messages) == (300, [])
    database.close()


def test_a_database_without_its_tables_is_away_and_no_record_is_refused(empty_database_url: str) -> None:
    database = open_database(empty_database_url)
    world = World(database, 1, 1, 1, 1, Accounting(database))
    with pytest.raises(DatabaseAway):
        world.accounting.commit([world.start()], NOW)
    database.close()


def test_a_batch_that_comes_again_changes_nothing(world: World) -> None:
    batch = [world.start(), world.record(INTERIM, 300, 300, 1, 1), world.start(5, session="2", device=OTHER_DEVICE)]
    world.commit(*batch)
    before = (world.sessions(), world.usage())
    world.commit(*batch)
    assert (world.sessions(), world.usage()) == before


def _mark(world: World, record: Any) -> Any:
    world.commit(record)
    with world.db.read() as conn:
        return conn.execute(text("SELECT CAST(feed AS text) FROM session")).scalar_one()


def _until_blocked(db: Database) -> None:
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    for _ in range(2000):
        with db.engine.connect() as conn:
            if conn.execute(waiting).scalar_one():
                return
    raise AssertionError("nobody waited for the lock")
