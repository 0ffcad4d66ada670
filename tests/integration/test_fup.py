"""FUP from the load file to the router: policies, levels that come and go on live sessions, `explain` (R6)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aaa import clock
from aaa.debit.controls.definitions import FUP_POLICY
from aaa.domain.timeline import Cause, Verdict
from aaa.store.accounting import Accounting
from aaa.store.database import Database
from aaa.store.tables import control, nas, param, recompile_request
from ledgate.lab.nas import Refused, Session
from ledgate.load import BadLoad
from ledgate.load.fields import parse_instant
from tests.integration.command import Ledgate
from tests.integration.ledger import content, example, put, ref, rows, subscriber, timeline_of
from tests.integration.live_change import Live, scene, until
from tests.integration.sessions import World

GB = 10**9
FAIR: dict[str, Any] = {
    "name": "fair",
    "direction": "total",
    "levels": [{"gb": 100, "reduce": "5M/5M"}, {"gb": 200, "suspend": True}],
}
LIMITED = {"scope": "server", "name": "FupPolicy", "value": "fair"}
USED_UP = {"name": "garden", "traffic": {"restrict": {"address_list": "used-up"}}}


@pytest.fixture
def live(database: Database, database_url: str, tmp_path: Path) -> Iterator[Live]:
    with scene(database, database_url, tmp_path / "state") as live:
        yield live


# --- the load file ---------------------------------------------------------------------------------------------------


def fair_document(**more: Any) -> dict[str, Any]:
    return example(subscribers=[subscriber("bob")], params=[LIMITED]) | {"fup_policies": [FAIR], **more}


def stored(db: Database) -> dict[str, Any]:
    [found] = rows(db, control, control.c.kind == FUP_POLICY)
    value: dict[str, Any] = found.value
    return value


def test_r6_1_load_keeps_what_a_file_does_not_say(database: Database) -> None:
    assert put(database, fair_document()).sections["fup_policies"] == 1
    assert stored(database) == {"direction": "total", "levels": FAIR["levels"]}
    before = content(database)
    put(database, fair_document())
    assert content(database) == before
    put(database, {"fup_policies": [{"name": "fair", "direction": "upload"}]})
    assert stored(database) == {"direction": "upload", "levels": FAIR["levels"]}
    put(database, {"fup_policies": [{"name": "fair", "levels": [{"hours": 100, "suspend": True}]}]})
    assert stored(database) == {"direction": "upload", "levels": [{"hours": 100, "suspend": True}]}
    put(database, {"fup_policies": [{"name": "fair", "direction": None}]})
    assert stored(database) == {"direction": "total", "levels": [{"hours": 100, "suspend": True}]}


@pytest.mark.parametrize(
    ("document", "path", "message"),
    [
        ({"fup_policies": [{"name": "new"}]}, "fup_policies[0].levels", "must be a list of 1 to 4 levels"),
        ({"fup_policies": [{"name": "fair", "levels": None}]}, "fup_policies[0].levels", "must be a list"),
        ({"fup_policies": [{"name": "fair", "level": []}]}, "fup_policies[0].level", "unknown key"),
        (
            {"fup_policies": [{"name": "fair", "levels": [{"gb": 1, "reduce": "9" * 300}]}]},
            "fup_policies[0].levels[0].reduce",
            "Mikrotik-Rate-Limit: ",
        ),
        (
            {"fup_policies": [{"name": "fair", "levels": [{"gb": 1, "suspend": True}, {"gb": 1, "reduce": "1M"}]}]},
            "fup_policies[0].levels[1]",
            "must have a higher limit than the levels before it",
        ),
        ({"params": [LIMITED | {"value": "unfair"}]}, "params[0].value", "there is no FupPolicy called 'unfair'"),
        ({"params": [LIMITED | {"value": "Home-Users"}]}, "params[0].value", "there is no FupPolicy called"),
        (
            {"params": [{"scope": "server", "name": "gigabyte", "value": 10**6}]},
            "params[0].value",
            "gigabyte must be 1000000000 or 1073741824",
        ),
    ],
)
def test_r6_1_what_is_wrong_is_refused_with_its_path(
    database: Database, document: dict[str, Any], path: str, message: str
) -> None:
    put(database, fair_document())
    before = content(database)
    with pytest.raises(BadLoad) as caught:
        put(database, document)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert content(database) == before


def test_r1_4_a_gigabyte_by_scope(database: Database) -> None:
    put(database, fair_document())
    put(database, {"params": [{"scope": "user:bob", "name": "gigabyte", "value": 2**30}]})
    [found] = rows(database, param, param.c.name == "gigabyte")
    assert (found.level, found.value) == ("user", 2**30)


# --- live sessions ---------------------------------------------------------------------------------------------------


def test_r6_3_a_level_that_reduces_changes_the_rate_by_coa_and_nothing_else(live: Live) -> None:
    live.load({"username": "ali", "static_ip": "10.1.2.3"}, fup_policies=[FAIR], params=[LIMITED])
    with live.engine():
        session = live.log_in("ali")
        told = dict(session.told)
        live.router.interim(session, 1 * GB, 99 * GB)
        assert live.rows(recompile_request) == []
        live.router.interim(session, 1 * GB, 99 * GB + 1)
        change = live.change()
        assert (change.kind, change.asked, change.answer) == ("coa", {"Mikrotik-Rate-Limit": "5M/5M"}, "ack")
        until(lambda: not live.wishes(), "the wish is fulfilled")
    assert {name for name, value in session.told.items() if told.get(name) != value} == {"Mikrotik-Rate-Limit"}
    assert live.session_row(session)["closed_at"] is None
    [attempt] = live.attempts()
    assert attempt["cause"] == "usage"
    # Who dials in now is told the same at once.
    again = live.log_in("ali")
    assert (again.told["Mikrotik-Rate-Limit"], again.told["Framed-IP-Address"]) == ("5M/5M", "10.1.2.3")


def test_r6_3_a_level_that_suspends_puts_the_session_into_the_garden(live: Live) -> None:
    live.load({"username": "ali"}, fup_policies=[FAIR], params=[LIMITED], finish_rules=[USED_UP])
    live.router.behaviour.redial = True
    with live.engine():
        session = live.log_in("ali")
        live.router.interim(session, 0, 201 * GB)
        assert live.change().kind == "disconnect"
        until(lambda: live.logins, "the subscriber dials again")
    [again] = live.logins
    assert isinstance(again, Session)
    assert (again.told["Mikrotik-Address-List"], again.told["Framed-Pool"]) == ("used-up", "pool1")


def test_r6_3_without_a_finish_rule_for_traffic_it_is_refused(live: Live) -> None:
    live.load({"username": "ali"}, fup_policies=[FAIR], params=[LIMITED])
    live.router.behaviour.redial = True
    with live.engine():
        session = live.log_in("ali")
        live.router.interim(session, 0, 201 * GB)
        assert live.change().kind == "disconnect"
        until(lambda: live.logins, "the subscriber dials again")
    assert isinstance(live.logins[0], Refused)


def test_r6_2_at_midnight_of_the_billing_day_the_rate_is_back_by_itself(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    shift = 0
    real = clock.now

    def set_clock(local: str) -> None:
        nonlocal shift
        shift = parse_instant(local, "Asia/Tehran") - real()

    monkeypatch.setattr(clock, "now", lambda: real() + shift)
    set_clock("2026-11-30T23:57:00")
    live.load({"username": "ali"}, fup_policies=[FAIR], params=[LIMITED])
    with live.engine():
        session = live.log_in("ali")
        live.router.interim(session, 0, 101 * GB)
        assert live.change().asked == {"Mikrotik-Rate-Limit": "5M/5M"}
        until(lambda: not live.wishes(), "the wish is fulfilled")
        set_clock("2026-11-30T23:59:59")
        back = live.change(1)
        assert (back.kind, back.asked) == ("coa", {"Mikrotik-Rate-Limit": "20M/20M"})
        assert 0 <= back.at - parse_instant("2026-12-01", "Asia/Tehran") < 2 * clock.SECOND
        # The new period is watched already: 100 GB more.
        live.router.interim(session, 0, 202 * GB)
        assert live.change(2).asked == {"Mikrotik-Rate-Limit": "5M/5M"}


# --- asking ----------------------------------------------------------------------------------------------------------


def use(db: Database, seconds: int, up: int, down: int) -> None:
    """Bob uses that much at present, and what it asks for is carried out."""
    [router] = rows(db, nas)
    bob = ref(db, "bob")
    world = World(db, bob.visp_id, router.id, bob.service_id, 0, Accounting(db))
    now = clock.now()
    record = world.record(3, 0, seconds, up, down, username="bob", authorisation=None, event_at=now, heard_at=now)
    world.commit(record._replace(started_at=now - seconds * clock.SECOND))


def test_r8_3_explain_tells_the_level_its_limit_and_what_was_used(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    ledgate = Ledgate(database_url, tmp_path)
    put(database, fair_document(), clock.now())
    assert ledgate.json("explain", "bob")["used"] == {"up": 0, "down": 0, "seconds": 0}
    use(database, 7_500, 1 * GB, 100 * GB)
    put(database, {"subscribers": [{"username": "bob", "mac_auth": True}]}, clock.now())  # compiles bob
    found = ledgate.json("explain", "bob")
    assert (found["verdict"], found["cause"], found["scope"]) == ("allow", "traffic", "server")
    assert found["used"] == {"up": 1 * GB, "down": 100 * GB, "seconds": 7_500}
    start, end = found["figures"].pop("period_start_at"), found["figures"].pop("period_end_at")
    assert found["figures"] == {
        "policy": "fair",
        "level": 1,
        "direction": "total",
        "limit_octets": 100 * GB,
        "gigabyte": GB,
        "reduce": "5M/5M",
    }
    assert start <= found["at"] < end
    assert found["next"] == [{"from": end, "verdict": "allow", "cause": None}]
    first, second, *_ = ledgate("explain", "bob").splitlines()
    assert f"allow because used more than 100 GB (total) since {start}: level 1 reduces to 5M/5M until {end}" in first
    assert second == "used so far: 100 GB down, 1 GB up, 2 h 5 min online"
    later = ledgate("explain", "bob", "--at", end)
    assert "so far" not in later and "allow" in later


def test_r6_3_a_time_quota(database: Database, database_url: str, tmp_path: Path) -> None:
    ledgate = Ledgate(database_url, tmp_path)
    quota = {"name": "fair", "levels": [{"hours": 2, "suspend": True}]}
    put(database, fair_document(fup_policies=[quota]), clock.now())
    use(database, 7_200, 0, 0)
    assert rows(database, recompile_request) == []
    use(database, 7_201, 0, 0)
    assert len(rows(database, recompile_request)) == 1
    put(database, {"subscribers": [{"username": "bob", "mac_auth": True}]}, clock.now())
    here = timeline_of(database, "bob")[0].segments[0]
    assert here.verdict is Verdict.DENY and here.reason is not None and here.reason.cause is Cause.TIME
    assert "deny because online for more than 2 hours since" in ledgate("explain", "bob")
