"""Routers that are told what is left of a quota: from the load file to the cut at the limit, never too early (R6.3)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aaa import clock
from aaa.domain.allowance import Allowance
from aaa.domain.grace import grace
from aaa.store import record
from aaa.store.database import Database
from aaa.store.tables import access, enforcement, job, nas, recompile_request, session, threshold, timeline_history
from ledgate.lab.nas import Nas, Session, Subscriber
from ledgate.load.fields import parse_instant
from tests.integration import serving
from tests.integration.ledger import example, put, rows
from tests.integration.live_change import Live, scene, until
from tests.integration.sessions import World

GB = 10**9
GIGAWORD = 2**32
CAPPED = {"scope": "server", "name": "FupPolicy", "value": "cap"}
GARDEN = {"name": "garden", "traffic": {"restrict": {"address_list": "used-up"}}}


def cap(**level: Any) -> dict[str, Any]:
    return {"name": "cap", "levels": [{**level, "suspend": True}]}


@pytest.fixture
def live(database: Database, database_url: str, tmp_path: Path) -> Iterator[Live]:
    with scene(database, database_url, tmp_path / "state") as live:
        yield live


def limited(live: Live, policy: dict[str, Any], *, total_limit: bool = True) -> None:
    live.load({"username": "ali"}, fup_policies=[policy], params=[CAPPED], finish_rules=[GARDEN])
    live.load(nas=[live.nas(total_limit=total_limit)])


def limit_of(session: Session) -> int:
    told = session.told
    return int(told["Mikrotik-Total-Limit"]) + GIGAWORD * int(told.get("Mikrotik-Total-Limit-Gigawords", 0))


def settled(live: Live) -> bool:
    return not live.rows(recompile_request) and not live.wishes()


def known(live: Live) -> list[int]:
    """What the record says was used, by quota."""
    [row] = live.rows(access)
    return [one.used for one in record.quotas(record.entry(row["record"]))]


# --- the load file ---------------------------------------------------------------------------------------------------


def test_r6_3_a_router_is_set_to_it_by_the_load_file(database: Database) -> None:
    put(database, example())
    assert [row.total_limit for row in rows(database, nas)] == [False]
    router = {"name": rows(database, nas)[0].name}
    put(database, {"nas": [router | {"total_limit": True}]})
    put(database, {"nas": [router]})
    assert [row.total_limit for row in rows(database, nas)] == [True]
    put(database, {"nas": [router | {"total_limit": None}]})
    assert [row.total_limit for row in rows(database, nas)] == [False]
    assert rows(database, job) == []


def test_r6_3_setting_it_brings_records_of_before_up_to_date(live: Live) -> None:
    limited(live, cap(gb=10), total_limit=False)
    [row] = live.rows(access)
    with live.db.write() as conn:
        conn.execute(access.update().values(record=record_without_quotas(row["record"])))
    assert known(live) == []
    live.load(nas=[live.nas(total_limit=True)])
    assert known(live)[:1] == [0]


def record_without_quotas(packed: bytes) -> bytes:
    head = record.entry(packed)
    begin = head.segments_at - len(head.quotas) - 1
    return bytes((2, packed[1] & ~128)) + packed[2:begin] + packed[head.segments_at :]


# --- live sessions ---------------------------------------------------------------------------------------------------


def test_r6_3_the_router_cuts_at_the_limit_and_the_redial_meets_the_garden(live: Live) -> None:
    limited(live, cap(gb=10))
    live.router.behaviour.redial = True
    [before] = live.rows(access)
    with live.engine():
        first = live.log_in("ali")
        assert limit_of(first) == 10 * GB + 1
        until(lambda: settled(live), "the login is settled")
        live.router.interim(first, GB, 3 * GB)
        live.router.hang_up(first)
        until(lambda: known(live)[0] == 4 * GB, "the record knows what was used")
        # which is no new verdict
        [after] = live.rows(access)
        assert after["version"] == before["version"]
        assert live.rows(timeline_history, timeline_history.c.version == before["version"]) == []
        second = live.log_in("ali")
        assert limit_of(second) == 6 * GB + 1
        live.router.interim(second, 0, 9 * GB)
        assert (second.up, second.down) == (0, 6 * GB + 1)
        assert live.session_row(second)["closed_by"] == "stop"
        until(
            lambda: any(isinstance(one, Session) and "Mikrotik-Address-List" in one.told for one in live.logins),
            "the redial meets the garden",
        )
    garden = live.logins[-1]
    assert isinstance(garden, Session)
    assert garden.told["Mikrotik-Address-List"] == "used-up"
    assert "Mikrotik-Total-Limit" not in garden.told


def test_r6_3_off_by_default_the_router_is_told_nothing(live: Live) -> None:
    limited(live, cap(gb=10), total_limit=False)
    session = live.log_in("ali")
    assert not [name for name in session.told if "Limit" in name and name != "Mikrotik-Rate-Limit"]
    live.router.interim(session, 0, 9 * GB)
    live.router.hang_up(session)
    assert live.rows(recompile_request) == []
    row = live.session_row(session)
    assert (row["limit_octets"], row["limit_kind"], row["limit_seconds"]) == (None, None, None)


def test_r6_3_a_raise_logs_a_session_in_anew_only_within_two_interims_of_its_old_limit(live: Live) -> None:
    limited(live, cap(gb=10))
    live.router.behaviour.redial = True
    with live.engine():
        session = live.log_in("ali")
        session.started -= 250
        live.router.interim(session, 0, GB // 10)
        live.load(fup_policies=[cap(gb=30)])
        until(lambda: settled(live), "the raise is planned")
        assert live.changes == []
        live.router.interim(session, 0, 2 * GB)  # 8.1 GB left, 1.9 since the last record
        until(lambda: settled(live), "it is planned")
        assert live.changes == []
        live.router.interim(session, 0, 6 * GB)
        assert live.change().kind == "disconnect"
        until(lambda: live.logins, "the subscriber dials again")
    [again] = live.logins
    assert isinstance(again, Session)
    # The record may know only what was used when the limit was raised: then it is more, never less.
    assert limit_of(again) in (24 * GB + 1, 30 * GB - GB // 10 + 1)
    [attempt] = live.attempts()
    assert (attempt["cause"], attempt["kind"]) == ("quota", "disconnect")


def test_r6_3_who_is_near_his_old_limit_when_it_is_raised_is_logged_in_anew_at_once(live: Live) -> None:
    limited(live, cap(gb=10))
    with live.engine():
        session = live.log_in("ali")
        session.started -= 250
        live.router.interim(session, 0, 4 * GB)  # 4 GB in 250 s: 9.6 GB in two interims
        assert live.changes == []
        live.load(fup_policies=[cap(gb=30)])
        assert live.change().kind == "disconnect"
        until(lambda: settled(live), "it is settled")
    [attempt] = live.attempts()
    assert attempt["cause"] != "quota"


def test_r6_3_who_uses_up_his_quota_is_left_to_the_router(live: Live) -> None:
    limited(live, cap(gb=10))
    with live.engine():
        session = live.log_in("ali")
        live.router.interim(session, 0, 9 * GB)
        until(lambda: settled(live), "it is planned")
        live.router.interim(session, 0, 10 * GB)
        until(lambda: settled(live), "it is planned")
    assert live.changes == []


def test_r6_3_a_new_billing_period_does_not_leave_the_old_limit(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    shift = 0
    real = clock.now

    def set_clock(local: str) -> None:
        nonlocal shift
        shift = parse_instant(local, "Asia/Tehran") - real()

    monkeypatch.setattr(clock, "now", lambda: real() + shift)
    set_clock("2026-11-30T23:58:00")
    limited(live, cap(gb=10))
    live.router.behaviour.redial = True
    with live.engine():
        session = live.log_in("ali")
        live.router.interim(session, 0, 3 * GB)
        set_clock("2026-12-01T00:00:30")
        live.router.interim(session, 0, 4 * GB)
        until(lambda: settled(live), "it is planned")
        assert live.changes == []
        live.router.interim(session, 0, 8 * GB)  # 2 GB from the old limit, 5 of the new 10 used
        assert live.change().kind == "disconnect"
        until(lambda: live.logins, "the subscriber dials again")
    again = live.logins[-1]
    assert isinstance(again, Session) and limit_of(again) in (5 * GB + 1, 10 * GB + 1)


def test_r6_3_more_hours_are_told_by_coa_an_hour_before_they_are_needed(live: Live) -> None:
    limited(live, cap(hours=2))
    with live.engine():
        one = live.log_in("ali")
        assert one.told["Session-Timeout"] == 7_201
        live.load(fup_policies=[cap(hours=3)])
        until(lambda: [wish for wish in live.wishes() if wish["not_before"] > clock.now()], "it is planned for later")
        [wish] = live.wishes()
        row = live.session_row(one)
        spared = grace(row["service_id"])
        assert wish["not_before"] == row["started_at"] + (7_201 - spared - 3_600) * clock.SECOND
        assert live.changes == []
        with live.db.write() as conn:
            conn.execute(session.update().values(limit_seconds=600))
        one.started -= 250
        live.router.interim(one, 0, GB)  # 350 seconds left, 250 since the last record
        change = live.change()
        assert (change.kind, change.asked) == ("coa", {"Session-Timeout": 10_801})
        until(lambda: live.session_row(one)["limit_seconds"] == 10_801, "it is stored")
    assert live.session_row(one)["closed_at"] is None


def test_r6_3_real_processes_tell_what_is_left_and_learn_what_was_used(database_url: str, tmp_path: Path) -> None:
    made = serving.installation(database_url, tmp_path / "ledgate")
    with Nas(("127.0.0.1", made.auth_port), ("127.0.0.1", made.acct_port), serving.SECRET.encode()) as router:
        told = serving.router("mt1", "127.0.0.1", coa_port=router.coa_port, total_limit=True)
        garden = {"name": "used-up", **{key: value for key, value in GARDEN.items() if key != "name"}}
        params = [CAPPED, {"scope": "server", "name": "FinishRule", "value": "used-up"}]
        made.load(
            serving.document(
                nas=[told],
                fup_policies=[cap(gb=10)],
                finish_rules=[garden],
                params=params,
                subscribers=[serving.subscriber("ali")],
            )
        )

        def login() -> Session:
            outcome = router.login(Subscriber("ali", "secret"))
            assert isinstance(outcome, Session), outcome
            return outcome

        def next_limit() -> int:
            one = login()
            router.hang_up(one)
            return limit_of(one) if "Mikrotik-Total-Limit" in one.told else 0

        with serving.running(made, "replica", "auth", "acct", "engine"):
            first = login()
            assert limit_of(first) == 10 * GB + 1
            router.interim(first, GB, 2 * GB)
            router.hang_up(first)
            until(lambda: next_limit() == 7 * GB + 1, "the login knows what was used", 20)
            last = login()
            router.interim(last, 0, 8 * GB)
            assert last.acct_session_id not in router.sessions  # it was cut at its limit
            until(lambda: next_limit() == 0, "the redial meets the garden", 20)
            assert login().told["Mikrotik-Address-List"] == "used-up"


# --- accounting ------------------------------------------------------------------------------------------------------


def test_r6_3_accounting_notes_what_a_session_was_told_and_when_it_nears_the_end_of_it(database: Database) -> None:
    world = World.make(database)
    told = world.granted()._replace(allowed=Allowance(10 * GB, "download", 7_000))
    world.commit(world.start(authorisation=told))
    [row] = world.sessions()
    assert (row.limit_octets, row.limit_kind, row.limit_seconds) == (10 * GB, "download", 7_000)
    world.commit(world.record(3, 600, 600, 9 * GB, 3 * GB))
    assert world.wishes() == []
    world.commit(world.record(3, 600, 600, 9 * GB, 3 * GB))  # the same again
    assert world.wishes() == []
    world.commit(world.record(3, 1_200, 1_200, 9 * GB, 6 * GB))
    [wish] = world.wishes()
    assert (wish.session_id, wish.cause, wish.wanted_version, wish.tries) == (row.id, "quota", 3, 0)
    assert wish.not_before == wish.requested_at == world.record(3, 1_200).heard_at


def test_r6_3_an_earlier_wish_does_not_put_it_off(database: Database) -> None:
    world = World.make(database)
    world.commit(world.start(authorisation=world.granted()._replace(allowed=Allowance(10 * GB, "total", 0))))
    [row] = world.sessions()
    with database.write() as conn:
        conn.execute(
            enforcement.insert().values(
                session_id=row.id,
                service_id=world.service,
                event_id=None,
                wanted_version=3,
                cause="payment",
                requested_at=1,
                not_before=2**60,
                tries=0,
            )
        )
    world.commit(world.record(3, 600, 600, 0, 9 * GB))
    [wish] = world.wishes()
    assert (wish.cause, wish.not_before) == ("quota", wish.requested_at)


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("watched", [True, False])
@pytest.mark.parametrize("at_once", [True, False])
def test_r6_3_a_session_that_ends_has_its_service_compiled_for_the_next_login(
    database: Database, allowed: bool, watched: bool, at_once: bool
) -> None:
    world = World.make(database)
    if watched:
        with database.write() as conn:
            conn.execute(
                threshold.insert().values(
                    service_id=world.service, kind="total", since_day=0, until_day=10**6, more_than=10 * GB
                )
            )
    told = world.granted()
    if allowed:
        told = told._replace(allowed=Allowance(10 * GB, "total", 0))
    if not at_once:
        world.commit(world.start(authorisation=told))
        assert rows(database, recompile_request) == []
    world.commit(world.record(2, 100, 100, 0, GB, authorisation=told))
    assert [row.kind for row in rows(database, recompile_request)] == (["usage"] if allowed and watched else [])
