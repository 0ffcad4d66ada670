"""What compiling has accounting watch for, and that accounting notices it, on both databases (R6.3)."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, event, insert, select

from aaa.coa import boundaries
from aaa.domain.local_day import local_day
from aaa.domain.session import INTERIM, SECOND, STOP, Record
from aaa.domain.timeline import Cause, Reason
from aaa.domain.usage import DayUsage, Kind, Threshold, used
from aaa.store import tables
from aaa.store.accounting import Accounting
from aaa.store.database import Database, open_database
from aaa.store.thresholds import notice_crossings, store_thresholds
from tests.integration import population
from tests.integration.ledger import DAY, example, put, ref, rows, subscriber, timeline_of
from tests.integration.population import NOW
from tests.integration.sessions import World

GB = 10**9
HOUR = 3600
TODAY = local_day(NOW, "Asia/Tehran")  # 21 September 2026
SEPTEMBER, OCTOBER = (TODAY - 20, TODAY + 10), (TODAY + 10, TODAY + 41)
FAIR: dict[str, Any] = {"name": "fair", "levels": [{"gb": 100, "reduce": "5M/5M"}, {"gb": 200, "suspend": True}]}
LIMITED = {"scope": "user:bob", "name": "FupPolicy", "value": "fair"}


def early(**sections: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The manual's document, loaded before its subscriber's last payment."""
    document = example(**sections)
    document["subscribers"][0]["last_payment"] = None
    return document


def world(db: Database, *people: str, fair: dict[str, Any] = FAIR) -> World:
    """The manual's document with bob, whose use is limited, and these people, whose is not."""
    document = early(subscribers=[subscriber(name) for name in ("bob", *people)], params=[LIMITED])
    put(db, document | {"fup_policies": [fair]}, NOW)
    with db.read() as conn:
        router = conn.execute(select(tables.nas.c.id)).scalar_one()
    bob = ref(db, "bob")
    return World(db, bob.visp_id, router, bob.service_id, 0, Accounting(db))


def used_by(world: World, at: int, seconds: int, up: int, down: int, user: str = "bob", session: str = "1") -> Record:
    """An Interim `at` seconds after NOW with a session's counters."""
    return world.record(INTERIM, at, seconds, up, down, username=user, session=session, authorisation=None)


def thresholds(db: Database, user: str = "bob") -> list[Threshold]:
    service = tables.threshold.c.service_id == ref(db, user).service_id
    found = rows(db, tables.threshold, service)
    return sorted(Threshold(row.kind, row.since_day, row.until_day, row.more_than) for row in found)


def requests(db: Database) -> list[tuple[int, str]]:
    return [(row.service_id, row.kind) for row in rows(db, tables.recompile_request)]


def level(db: Database, at: int, user: str = "bob") -> int:
    """The level that the stored timeline has in force at an instant; 0 for none."""
    reason: Reason | None = timeline_of(db, user)[0].at(at).reason
    if reason is None:
        return 0
    assert reason.cause is Cause.TRAFFIC
    found = dict(reason.figures)["level"]
    assert isinstance(found, int)
    return found


@contextmanager
def statements(db: Database) -> Iterator[list[str]]:
    """The statements that are executed meanwhile."""
    found: list[str] = []

    def note(conn: Connection, cursor: Any, statement: str, *_: Any) -> None:
        found.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    yield found
    event.remove(db.engine, "before_cursor_execute", note)


# --- what is watched -------------------------------------------------------------------------------------------------


def test_r6_3_a_service_with_a_policy_is_watched_and_no_other(database: Database) -> None:
    world(database, "eve")
    assert thresholds(database) == [
        Threshold("total", *SEPTEMBER, 100 * GB),
        Threshold("total", *OCTOBER, 100 * GB),
    ]
    assert thresholds(database, "eve") == []


def test_r6_3_a_change_of_the_policy_or_of_what_a_gigabyte_is_changes_what_is_watched(database: Database) -> None:
    world(database)
    put(database, {"fup_policies": [{"name": "fair", "direction": "upload"}]}, NOW)
    assert {(one.kind, one.more_than) for one in thresholds(database)} == {("upload", 100 * GB)}
    put(database, {"params": [{"scope": "visp:tehran", "name": "gigabyte", "value": 2**30}]}, NOW)
    assert {(one.kind, one.more_than) for one in thresholds(database)} == {("upload", 100 * 2**30)}
    put(database, {"params": [LIMITED | {"value": None}]}, NOW)
    assert thresholds(database) == []


def test_r6_1_who_used_much_before_the_policy_came_is_limited_at_once(database: Database) -> None:
    here = world(database, "eve")
    here.commit(used_by(here, 0, HOUR, GB, 149 * GB, "eve"))
    put(database, {"params": [LIMITED | {"scope": "user:eve"}]}, NOW)
    assert (level(database, NOW, "eve"), level(database, NOW, "bob")) == (1, 0)
    assert Threshold("total", *SEPTEMBER, 200 * GB) in thresholds(database, "eve")


def test_r6_3_who_has_no_policy_pays_nothing_when_he_is_compiled(database: Database) -> None:
    world(database, "eve")
    with statements(database) as executed:
        put(database, {"subscribers": [{"username": "eve", "static_ip": "10.1.1.1"}]}, NOW)
    assert [one for one in executed if "usage_day" in one] == []
    assert len([one for one in executed if "threshold" in one]) == 1
    with statements(database) as executed:
        put(database, {"subscribers": [{"username": "bob", "static_ip": "10.1.1.2"}]}, NOW)
    assert len([one for one in executed if "usage_day" in one]) == 1
    assert len([one for one in executed if "threshold" in one]) == 1  # they are what they were


# --- that it is noticed ----------------------------------------------------------------------------------------------


def test_r6_3_a_crossing_is_noticed_once_and_the_next_level_is_watched(database: Database) -> None:
    here = world(database)
    here.commit(used_by(here, 0, HOUR, 40 * GB, 60 * GB))
    assert requests(database) == []  # reached is not exceeded
    here.commit(used_by(here, 1, HOUR + 1, 40 * GB, 60 * GB + 1))
    assert requests(database) == [(here.service, "usage")]
    at = NOW + SECOND
    assert boundaries.next_due(database, at) == at
    boundaries.run(database, at)
    assert (level(database, at), requests(database)) == (1, [])
    assert thresholds(database) == [Threshold("total", *SEPTEMBER, 200 * GB), Threshold("total", *OCTOBER, 100 * GB)]
    here.commit(used_by(here, 2, HOUR + 2, 50 * GB, 70 * GB))
    assert requests(database) == []
    here.commit(used_by(here, 3, HOUR + 3, 50 * GB, 151 * GB), used_by(here, 4, HOUR + 4, 50 * GB, 152 * GB))
    assert requests(database) == [(here.service, "usage")]
    boundaries.run(database, NOW + 4 * SECOND)
    assert level(database, NOW + 4 * SECOND) == 2
    here.commit(used_by(here, 5, HOUR + 5, 50 * GB, 500 * GB))
    assert requests(database) == []
    assert thresholds(database) == [Threshold("total", *OCTOBER, 100 * GB)]


def test_r6_3_the_last_record_of_a_session_counts_too(database: Database) -> None:
    here = world(database)
    here.commit(here.record(STOP, 9, 9, 0, 101 * GB, username="bob", authorisation=None))
    assert requests(database) == [(here.service, "usage")]


def test_r6_2_a_new_period_is_watched_without_being_compiled_and_counts_anew(database: Database) -> None:
    here = world(database)
    here.commit(used_by(here, 0, HOUR, 0, 250 * GB))
    boundaries.run(database, NOW)
    assert level(database, NOW) == 2
    reset = 10 * DAY // SECOND  # seconds after NOW: well into 1 October
    here.commit(used_by(here, reset, reset + HOUR, 0, 350 * GB))
    assert requests(database) == []
    here.commit(used_by(here, reset + 1, reset + 1 + HOUR, 0, 350 * GB + 1))
    assert requests(database) == [(here.service, "usage")]
    after = NOW + (reset + 1) * SECOND
    boundaries.run(database, after)
    assert level(database, after) == 1
    # What comes late for the last period changes nothing any more.
    late = here.record(STOP, 60, 60, 0, 900 * GB, username="bob", session="2", authorisation=None)
    here.commit(late, now=after)
    assert requests(database) == []


def test_r6_3_who_is_not_watched_is_never_asked_for(database: Database) -> None:
    here = world(database, "eve")
    here.commit(used_by(here, 0, HOUR, 10**15, 10**15, "eve"), used_by(here, 0, HOUR, 2**62, 2**62 + 1, "nobody", "3"))
    assert requests(database) == []


def test_r6_3_octets_beyond_63_bits_in_both_directions(database: Database) -> None:
    here = world(database)
    here.commit(used_by(here, 0, HOUR, 2**63 - 1, 2**63 - 1))
    assert requests(database) == [(here.service, "usage")]
    boundaries.run(database, NOW)
    assert (level(database, NOW), requests(database)) == (2, [])


def test_r6_3_a_request_that_is_there_already_stays_as_it_is(database: Database) -> None:
    here = world(database)
    with database.write() as conn:
        asked = {"service_id": here.service, "kind": "other", "requested_at": NOW - 1}
        conn.execute(insert(tables.recompile_request).values(asked))
    here.commit(used_by(here, 0, HOUR, 0, 101 * GB))
    assert requests(database) == [(here.service, "other")]
    boundaries.run(database, NOW)
    assert level(database, NOW) == 1


def test_r6_3_the_database_finds_what_the_rule_finds(database: Database) -> None:
    """Drawn use and thresholds of every kind; the sum that counts for them is the rule's."""
    chance = random.Random(6)
    kinds: tuple[Kind, ...] = ("total", "download", "upload", "seconds")
    expected = set()
    with database.write() as conn:
        visp = population.add_visp(conn)
        for number in range(60):
            service = population.add_service(conn, visp, f"user{number}", b"")
            days = chance.sample(range(10), 4)
            usage = [DayUsage(day, *[chance.randint(0, 9) for _ in range(3)]) for day in days]
            for one in usage:
                values = {"day": one.day, "up": one.up, "down": one.down, "seconds": one.seconds}
                conn.execute(insert(tables.usage_day).values(service_id=service, **values))
            since = {kind: chance.randint(0, 5) for kind in kinds}
            watched = {Threshold(kind, since[kind], since[kind] + 4, chance.randint(0, 40)) for kind in kinds}
            store_thresholds(conn, {service: chance.sample(sorted(watched), chance.randint(0, 4))})
            found = conn.execute(select(tables.threshold).where(tables.threshold.c.service_id == service)).all()
            for row in found:
                within = [one for one in usage if row.since_day <= one.day < row.until_day]
                if used(row.kind, within) > row.more_than:
                    expected.add(service)
    assert 5 < len(expected) < 55
    with database.read() as conn:
        everybody = list(conn.execute(select(tables.service.c.id)).scalars())
    for _ in range(2):  # the second time they are asked for already
        with database.write_prepared() as tx:
            notice_crossings(tx, [*everybody, *everybody], NOW)
        assert requests(database) == [(service, "usage") for service in sorted(expected)]


def test_r6_1_months_of_drawn_use_and_the_stored_level_is_always_right(database: Database) -> None:
    """Through resets, renewals of the horizon and late records; what is due is done after every record."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    levels = [
        {"gb": 10, "reduce": "5M"},
        {"gb": 6, "direction": "upload", "reduce": "3M"},
        {"hours": 200, "reduce": "2M"},
        {"gb": 60, "suspend": True},
    ]
    zones = {"one": "Asia/Tehran", "two": "Europe/Prague", "three": "America/New_York"}
    visps = [{"name": name, "currency": "IRR", "timezone": zone} for name, zone in zones.items()]
    people = [subscriber(name, visp=name, plan=None) for name in zones]
    param = {"scope": "server", "name": "FupPolicy", "value": "fair"}
    document = early(visps=visps, subscribers=people, params=[param])
    put(database, document | {"fup_policies": [{"name": "fair", "levels": levels}]}, NOW)
    with database.read() as conn:
        router = conn.execute(select(tables.nas.c.id)).scalar_one()
    here = World(database, 0, router, 0, 0, Accounting(database))
    services = {name: ref(database, name).service_id for name in zones}
    at, seen = 0, set()
    for number in range(100):
        at += chance.choice((60, HOUR, 20 * HOUR, 50 * HOUR))
        name = chance.choice(list(zones))
        told_at = at - chance.choice((0, 0, 0, 30 * HOUR, 400 * HOUR))  # some come late
        up, down = chance.randint(0, 2 * GB), chance.randint(0, 4 * GB)
        seconds = chance.randint(0, 30 * HOUR)
        one = here.record(STOP, told_at, seconds, up, down, username=name, session=f"{number}", authorisation=None)
        now = NOW + at * SECOND
        here.commit(one, now=now)
        while boundaries.run(database, now):
            pass
        assert requests(database) == []
        for other, service in services.items():
            expected = _level(database, service, local_day(now, zones[other]))
            reason = timeline_of(database, other)[0].at(now).reason
            assert (dict(reason.figures)["level"] if reason is not None else 0) == expected, (number, other)
            seen.add(expected)
    assert len(seen) > 2


def _level(db: Database, service: int, today: int) -> int:
    """The level of the policy above on a day, straight from the days of its month."""
    month = (date(1970, 1, 1) + timedelta(days=today)).replace(day=1)
    first = (month - date(1970, 1, 1)).days
    following = ((month + timedelta(days=31)).replace(day=1) - date(1970, 1, 1)).days
    day = tables.usage_day.c
    days = rows(db, tables.usage_day, day.service_id == service, day.day >= first, day.day < following)
    up, down, seconds = (sum(getattr(row, name) for row in days) for name in ("up", "down", "seconds"))
    if up + down > 60 * GB:
        return 4
    if seconds > 200 * HOUR:
        return 3
    return 2 if up > 6 * GB else int(up + down > 10 * GB)


# --- several at once -------------------------------------------------------------------------------------------------


def test_r6_3_two_writers_below_the_limit_and_together_above_it(postgresql_url: str) -> None:
    setup = open_database(postgresql_url)
    here = world(setup)
    for turn in range(8):
        start = threading.Barrier(2)

        def write(which: int, turn: int = turn, start: threading.Barrier = start) -> None:
            database = open_database(postgresql_url)
            start.wait(10)
            record = used_by(here, 60, 60, 0, 60 * GB, session=f"{turn}-{which}")
            assert Accounting(database).commit([record], NOW).stored == 1
            database.close()

        writers = [threading.Thread(target=write, args=(which,)) for which in range(2)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(30)
        assert requests(setup) == [(here.service, "usage")], turn
        with setup.write() as conn:
            conn.execute(tables.recompile_request.delete())
            conn.execute(tables.usage_day.delete())
    setup.close()


def test_r6_3_what_two_writers_cannot_see_of_each_other_the_next_record_shows(postgresql_url: str) -> None:
    """One counts for yesterday, the other for today; the one has not committed when the other looks."""
    setup = open_database(postgresql_url)
    here = world(setup)
    with setup.write() as conn:
        values = {"service_id": here.service, "day": TODAY - 1, "up": 0, "down": 60 * GB, "seconds": 1}
        conn.execute(insert(tables.usage_day).values(values))
        here.commit(used_by(here, 60, 60, 0, 60 * GB))
    assert requests(setup) == []
    here.commit(used_by(here, 61, 61, 0, 60 * GB))
    assert requests(setup) == [(here.service, "usage")]
    setup.close()


def test_r6_3_accounting_does_not_wait_for_a_request_that_is_being_carried_out(postgresql_url: str) -> None:
    setup = open_database(postgresql_url)
    here = world(setup)
    here.commit(used_by(here, 0, HOUR, 0, 101 * GB))
    with setup.write() as conn:
        conn.execute(tables.recompile_request.delete())
        done = threading.Event()

        def write() -> None:
            here.commit(used_by(here, 1, HOUR + 1, 0, 201 * GB))
            done.set()

        writer = threading.Thread(target=write)
        writer.start()
        assert done.wait(10), "accounting waits for the engine"
        writer.join()
    assert requests(setup) == []
    here.commit(used_by(here, 2, HOUR + 2, 0, 201 * GB))
    assert requests(setup) == [(here.service, "usage")]
    setup.close()
