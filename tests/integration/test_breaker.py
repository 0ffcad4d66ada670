"""Preview and the breaker, on both databases: what counts, what is held, and that looking changes nothing (R8.4)."""

import copy
import re
from typing import Any

import pytest
from sqlalchemy.event import listen

from aaa.commands import breaker, door, jobs
from aaa.commands.breaker import CutsHeld, Preview
from aaa.commands.jobs import run_batch
from aaa.debit.impact import Effect
from aaa.domain.timeline import Verdict
from aaa.store.database import Database
from aaa.store.tables import access, event, job, session
from billing.commands import pay
from ledgate import load
from ledgate.load import BadLoad
from tests.integration.ledger import (
    NOW,
    SEALER,
    SECOND,
    content,
    example,
    make_live,
    put,
    ref,
    rows,
    subscriber,
    timeline_of,
)

HOUR = 3_600 * SECOND
DAY = 24 * HOUR
STRICTER = {"controls": [{"name": "Home-Users", "max_debt": 1}]}


def named(count: int, letter: str = "u") -> list[str]:
    return [f"{letter}{number:04}" for number in range(count)]


def in_debt(count: int, letter: str = "u") -> list[dict[str, Any]]:
    return [subscriber(name, -5) for name in named(count, letter)]


def look(db: Database, document: object, now: int = NOW) -> Preview:
    return load.preview(db, document, SEALER, now=now)


def loaded(db: Database, document: object, confirmed: int | None = None, now: int = NOW) -> load.Counts:
    return load.load(db, document, SEALER, actor="test", now=now, confirmed=confirmed)


def held(db: Database, document: object, confirmed: int | None = None) -> Preview:
    """The preview with which the breaker stops this load; nothing is changed by it."""
    before = content(db)
    with pytest.raises(CutsHeld) as stopped:
        loaded(db, document, confirmed)
    assert content(db) == before
    return stopped.value.preview


def effects(preview: Preview) -> dict[str, int]:
    return {effect.value: preview.count(effect) for effect in Effect}


@pytest.fixture(params=["at once", "by a job"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Changes are compiled with their load, or left to a job."""
    if request.param == "by a job":
        for module in (door, jobs):
            monkeypatch.setattr(module, "INLINE", 7)
        monkeypatch.setattr(breaker, "CHUNK", 5)
    return str(request.param)


# --- preview ---------------------------------------------------------------------------------------------------------


def test_r8_4_a_preview_counts_who_is_cut_slowed_and_restored_and_changes_nothing(database: Database, way: str) -> None:
    second = {"name": "brno", "currency": "CZK", "timezone": "Europe/Prague"}
    plan = {"name": "home", "visp": "brno", "reply": {"Mikrotik-Rate-Limit": "20M/20M"}}
    czech = [{**subscriber(name), "visp": "brno", "plan": "home"} for name in named(9, "c")]
    many = in_debt(12) + [subscriber(name, -900_000) for name in named(3, "b")]
    put(database, example(visps=[second], plans=[plan], subscribers=many + czech))
    make_live(database, ["u0000", "b0000", "c0000"])
    before = content(database)
    change = {
        "params": [{"scope": "server", "name": "DebitControl", "value": "VIP"}],
        "controls": [{"name": "prepaid", "max_debt": 0}],
        "plans": [{**plan, "reply": {"Mikrotik-Rate-Limit": "20M/10M"}}],
        "subscribers": [
            {"username": "u0000", "suspensions": [{"reason": "profile1", "from": None}]},
            {"username": "c0008", "active_to": "2026-11-24T08:59:00Z"},
            subscriber("new", -900_000),
        ],
    }
    found = look(database, change)
    assert content(database) == before
    assert found.groups == [
        ("brno", Effect.CUT, "expire", 1),
        ("brno", Effect.SLOWED, "rate", 8),
        ("tehran", Effect.CUT, "suspended", 1),
        ("tehran", Effect.RESTORED, "debit", 3),
    ]
    assert (found.allowed, found.reached, found.created) == (1 + 12 + 9, 1 + 12 + 3 + 9, 1)
    assert {one.username: one.impact.at for one in found.affected if one.impact.effect is Effect.CUT} == {
        "u0000": NOW,
        "c0008": NOW + 29 * 60 * SECOND,
    }
    # and it is what the load then does
    loaded(database, change)
    while run_batch(database, NOW):
        pass
    assert timeline_of(database, "u0000")[0].at(NOW).verdict is not Verdict.ALLOW
    assert timeline_of(database, "b0001")[0].at(NOW).verdict is Verdict.ALLOW
    assert effects(look(database, change)) == {"cut": 0, "slowed": 0, "restored": 0}


def test_r8_4_a_preview_refuses_what_a_load_refuses(database: Database) -> None:
    before = content(database)
    with pytest.raises(BadLoad, match=r"subscribers\[0\].visp: there is no VISP"):
        look(database, {"subscribers": [subscriber("ali")]})
    assert content(database) == before


def test_r8_4_a_service_that_several_scopes_reach_is_counted_once(database: Database, way: str) -> None:
    put(database, example(subscribers=in_debt(15)))
    twice = {
        **STRICTER,
        "plans": [{"name": "home20", "visp": "tehran", "reply": {"Mikrotik-Rate-Limit": "1M/1M"}}],
        "subscribers": [{"username": "u0003", "static_ip": "10.1.2.3"}],
        "params": [{"scope": "visp:tehran", "name": "Idle-Timeout", "value": 60}],
    }
    found = look(database, twice)
    assert effects(found) == {"cut": 15, "slowed": 1, "restored": 0}  # ali is a VIP
    assert found.reached == 16


def test_r8_4_a_preview_sees_a_plan_and_a_visp_that_only_the_file_has(database: Database, way: str) -> None:
    put(database, example(subscribers=in_debt(15)))
    moved = {
        "plans": [{"name": "slow", "visp": "tehran", "reply": {"Mikrotik-Rate-Limit": "64k"}}],
        "params": [{"scope": "plan:slow", "name": "DebitControl", "value": "tight"}],
        "controls": [{"name": "tight", "max_debt": 3}],
        "subscribers": [{"username": "u0001", "plan": "slow"}, {"username": "ali", "plan": "slow"}],
    }
    assert effects(look(database, moved)) == {"cut": 1, "slowed": 1, "restored": 0}


def test_the_pools_are_not_read_for_every_chunk_that_a_preview_looks_at(
    database: Database, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "CHUNK", 2)
    pool_reads = 0

    def count(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        nonlocal pool_reads
        pool_reads += re.search(r"FROM pool\b", statement) is not None

    put(database, example(subscribers=in_debt(10)) | {"pools": [{"name": "finish-ips", "ranges": ["10.99.0.0/24"]}]})
    listen(database.engine, "before_cursor_execute", count)
    assert look(database, STRICTER).cut == 10
    assert pool_reads == 2  # for what the change compiles itself, and for what a job would


def test_r8_4_nobody_waits_while_the_services_of_a_mass_change_are_looked_at(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "INLINE", 7)
    monkeypatch.setattr(breaker, "CHUNK", 5)
    put(database, example(subscribers=in_debt(12)))
    paid: list[int] = []

    def meanwhile(done: int, total: int) -> None:
        paid.append(done)
        assert total == 13
        # SQLite would give up after ten seconds, PostgreSQL would wait for ever
        pay(database, ref(database, "u0001"), 1, external_id=str(done), actor="test", now=NOW)
        if done == 5:
            make_live(database, ["u0001"])  # as accounting does

    change = {**STRICTER, "subscribers": [{"username": "u0001", "static_ip": "10.1.2.3"}]}
    found = load.preview(database, change, SEALER, now=NOW, looked=meanwhile)
    assert paid == [5, 10, 13]
    assert found.cut == 12


# --- the breaker -----------------------------------------------------------------------------------------------------


def test_r8_4_twenty_may_be_cut_and_one_more_may_not(database: Database, way: str) -> None:
    put(database, example(subscribers=in_debt(20)))
    assert effects(look(database, STRICTER)) == {"cut": 20, "slowed": 0, "restored": 0}
    assert not look(database, STRICTER).trips
    one_more = {**STRICTER, "subscribers": [{"username": "ali", "active_to": "2026-11-24"}]}
    found = held(database, one_more)
    assert (found.cut, found.limit, found.allowed, found.reached) == (21, 20, 21, 21)
    assert held(database, one_more, confirmed=20).cut == 21
    loaded(database, STRICTER)
    assert rows(database, event, event.c.kind == "confirm-cut") == []


def test_r8_4_the_confirmed_number_lets_it_through_and_is_in_the_audit_log(database: Database, way: str) -> None:
    put(database, example(subscribers=in_debt(30)))
    found = held(database, STRICTER)
    counts = loaded(database, STRICTER, confirmed=found.cut)
    assert len(counts.jobs) == (1 if way == "by a job" else 0)
    [told] = rows(database, event, event.c.kind == "confirm-cut")
    assert (told.actor, told.after) == ("test", {"services": 30})
    while run_batch(database, NOW):
        pass
    assert timeline_of(database, "u0029")[0].at(NOW).verdict is Verdict.RESTRICT


def test_r8_4_another_number_stops_again_with_the_new_one(database: Database, way: str) -> None:
    put(database, example(subscribers=in_debt(30)))
    before = held(database, STRICTER).cut
    pay(database, ref(database, "u0007"), 5, external_id="1", actor="test", now=NOW)
    with pytest.raises(CutsHeld, match=r"cut off 29 services, not the 30 that were confirmed.*--yes-cut 29"):
        loaded(database, STRICTER, confirmed=before)
    loaded(database, STRICTER, confirmed=29)


def test_r8_4_a_share_of_those_now_allowed(database: Database) -> None:
    names = named(499)
    put(database, example(subscribers=[subscriber(name) for name in names]))  # 500 with ali

    def ending(count: int) -> dict[str, Any]:
        return {"subscribers": [{"username": name, "active_to": "2026-11-24"} for name in names[:count]]}

    assert (look(database, ending(25)).limit, look(database, ending(25)).trips) == (25, False)
    assert held(database, ending(26)).allowed == 500
    loaded(database, ending(25))
    # a second bite is measured by those who are left
    assert held(database, ending(25 + 24)).allowed == 475
    loaded(database, ending(25 + 23))


def test_r8_4_new_services_do_not_count(database: Database, way: str) -> None:
    put(database, example())
    counts = loaded(database, {**STRICTER, "subscribers": in_debt(40)})
    assert counts.created == 40


def test_r8_4_lifting_never_waits(database: Database, way: str) -> None:
    put(database, example(subscribers=[subscriber(name, -900_000) for name in named(30)]))
    loose = {"params": [{"scope": "server", "name": "DebitControl", "value": "VIP"}]}
    assert effects(look(database, loose)) == {"cut": 0, "slowed": 0, "restored": 30}
    loaded(database, loose)


def test_r8_4_a_lower_rate_and_a_boundary_beyond_the_hour_do_not_wait(database: Database, way: str) -> None:
    put(database, example(subscribers=in_debt(30)))
    slower = {"plans": [{"name": "home20", "visp": "tehran", "reply": {"Mikrotik-Rate-Limit": "1M/1M"}}]}
    assert effects(look(database, slower)) == {"cut": 0, "slowed": 31, "restored": 0}
    loaded(database, slower)
    delayed = {"controls": [{"name": "Home-Users", "max_delay": 3_600}]}
    assert look(database, delayed).cut == 0
    loaded(database, delayed)


def test_r8_4_a_boundary_foreseen_for_a_day_does_not_count(database: Database, way: str) -> None:
    end = "2026-11-26T08:30:00Z"
    put(database, example(subscribers=[subscriber(name, active_to=end) for name in named(30)]))
    early = NOW + 2 * DAY - HOUR // 2
    idle = {"params": [{"scope": "server", "name": "Idle-Timeout", "value": 60}]}
    assert look(database, idle, early).cut == 0
    sooner = {"subscribers": [{"username": name, "active_to": "2026-11-26T08:01:00Z"} for name in named(30)]}
    assert look(database, sooner, early).cut == 0
    assert look(database, sooner, early - HOUR).cut == 0
    now_at_once = {"subscribers": [{"username": name, "active_to": "2026-11-24"} for name in named(30)]}
    assert look(database, now_at_once, early - HOUR).cut == 30


def test_r8_4_the_settings_before_the_change_decide(database: Database) -> None:
    put(database, example(subscribers=in_debt(9)))
    put(database, {"settings": {"cut_off_limit_percent": 50, "cut_off_limit_least": 3}})
    careless = {"settings": {"cut_off_limit_percent": 100}}
    assert held(database, STRICTER).limit == 5
    assert held(database, STRICTER | careless).limit == 5
    four = {"subscribers": [{"username": name, "active_to": "2026-11-24"} for name in named(6)]}
    assert held(database, four).cut == 6
    four["subscribers"].pop()
    loaded(database, four)


def test_r8_4_rules_that_change_while_a_mass_change_is_looked_at_are_looked_at_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "INLINE", 7)
    many = [subscriber(name, -5, reseller="shop") for name in named(30)]
    put(database, example(subscribers=many) | {"resellers": [{"name": "shop"}]})
    spared = {"params": [{"scope": "reseller:shop", "name": "DebitControl", "value": "VIP"}]}
    put(database, spared)
    while run_batch(database, NOW):
        pass
    strict = copy.deepcopy(STRICTER)
    assert look(database, strict).cut == 0
    looks: list[tuple[int, int]] = []

    def meanwhile(done: int, total: int) -> None:
        if not looks:
            put(database, {"params": [{"scope": "reseller:shop", "name": "DebitControl", "value": None}]})
        looks.append((done, total))

    with pytest.raises(CutsHeld, match="cut off 30 services"):
        load.load(database, strict, SEALER, actor="test", now=NOW, looked=meanwhile)
    assert looks == [(31, 31), (31, 31)]
    assert len(rows(database, job)) == 2  # of the two other changes


def test_r8_4_a_change_within_the_least_is_not_looked_at(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    put(database, example(subscribers=in_debt(19)))

    def never(*arguments: Any) -> None:
        raise AssertionError("looked at without need")

    monkeypatch.setattr(breaker.Onlooker, "__call__", never)
    loaded(database, STRICTER)
    assert len(rows(database, access)) == 20


def test_r8_4_a_caller_id_lock_cuts_who_is_online_with_another_device(database: Database) -> None:
    put(database, example(subscribers=[subscriber(name) for name in named(30)]))
    make_live(database, named(24))
    with database.write() as conn:
        conn.execute(session.update().values(calling_station_id="02:00:00:00:00:01"))
    locked = {"params": [{"scope": "visp:tehran", "name": "caller-id-lock", "value": "02:00:00:00:00:02"}]}
    found = look(database, locked)
    assert (found.cut, {one.impact.cause for one in found.affected}) == (24, {"caller-id"})
    assert held(database, locked).cut == 24
    same = {"params": [{"scope": "visp:tehran", "name": "caller-id-lock", "value": "02-00-00-00-00-01"}]}
    assert look(database, same).cut == 0
