"""Live change end to end, on both databases: a payment, a charge or the clock, and what reaches the router."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from aaa import clock
from aaa.domain.grace import grace
from aaa.domain.instant import iso
from aaa.store.database import Database, open_database
from ledgate.lab.nas import Refused, Session
from tests.integration.live_change import Live, scene, until

DAY = 86_400 * clock.SECOND


@pytest.fixture
def live(database: Database, database_url: str, tmp_path: Path) -> Iterator[Live]:
    with scene(database, database_url, tmp_path / "state") as live:
        yield live


def test_a_payment_disconnects_from_the_walled_garden_and_the_redial_is_allowed(live: Live) -> None:
    live.load({"username": "ali", "balance": -900_000})
    live.router.behaviour.redial = True
    with live.engine():
        session = live.log_in("ali")
        assert session.told["Mikrotik-Address-List"] == "overdue"
        paid = live.pay("ali", 500_000)
        change = live.change()
        assert (change.kind, change.answer, change.asked) == ("disconnect", "ack", {})
        assert change.at - paid < clock.SECOND
        until(lambda: live.logins, "the subscriber dials again")
        [again] = live.logins
        assert isinstance(again, Session) and again.told["Framed-Pool"] == "pool1"
        until(lambda: not live.wishes(), "the wish is fulfilled")
    [told] = live.attempts()
    assert (told["kind"], told["result"], told["cause"], told["sends"]) == ("disconnect", "ack", "payment", 1)
    assert 0 < told["latency"] < clock.SECOND
    assert told["event_id"] is not None


def test_a_charge_puts_a_live_session_into_the_garden(live: Live) -> None:
    live.load({"username": "ali", "balance": -700_000})
    live.router.behaviour.redial = True
    with live.engine():
        live.log_in("ali")
        live.charge("ali", 200_000)
        assert live.change().kind == "disconnect"
        until(lambda: live.logins, "the subscriber dials again")
        [again] = live.logins
        assert isinstance(again, Session) and again.told["Mikrotik-Address-List"] == "overdue"


def test_a_change_of_rate_goes_by_coa_and_is_remembered(live: Live) -> None:
    live.load({"username": "ali", "balance": 0})
    with live.engine():
        session = live.log_in("ali")
        before = live.session_row(session)
        live.load({"username": "ali", "plan": "slow"})
        change = live.change()
        assert (change.kind, change.asked, change.answer) == ("coa", {"Mikrotik-Rate-Limit": "1M/1M"}, "ack")
        until(lambda: not live.wishes(), "the wish is fulfilled")
    assert session.told["Mikrotik-Rate-Limit"] == "1M/1M"
    row = live.session_row(session)
    assert row["applied_profile"] != before["applied_profile"]
    assert row["closed_at"] is None and row["applied_at"] is not None
    [told] = live.attempts()
    assert (told["kind"], told["result"]) == ("coa", "ack")
    assert told["attributes"] == '[["Mikrotik-Rate-Limit","1M/1M"]]'


def test_a_hotspot_is_slowed_down_by_coa_whatever_the_pool(live: Live) -> None:
    rate_only = {"name": "slow-garden", "debit": {"restrict": {"pool": "finish", "rate_limit": "128k/128k"}}}
    live.load(
        {"username": "ali", "balance": -700_000},
        finish_rules=[rate_only],
        params=[{"scope": "user:ali", "name": "FinishRule", "value": "slow-garden"}],
    )
    with live.engine():
        live.log_in("ali", access="hotspot")
        live.charge("ali", 200_000)
        change = live.change()
        assert change.kind == "coa" and change.asked["Mikrotik-Rate-Limit"] == "128k/128k"


def test_a_boundary_that_comes_due_disconnects(live: Live) -> None:
    due = clock.now() + 3 * clock.SECOND
    live.load({"username": "ali", "balance": -100, "last_payment": iso(due - 30 * DAY)})
    live.router.behaviour.redial = True
    with live.engine():
        session = live.log_in("ali")
        assert "Mikrotik-Address-List" not in session.told
        assert session.told["Session-Timeout"] >= grace(live.ref("ali").service_id)
        change = live.change()
        assert change.kind == "disconnect"
        assert 0 <= change.at - due < clock.SECOND
        until(lambda: live.logins, "the subscriber dials again")
        [again] = live.logins
        assert isinstance(again, Session) and again.told["Mikrotik-Address-List"] == "overdue"
    # So near the login, accounting asks for a look at the same instant: either may be first, or overtake the other.
    told = live.attempts()
    assert {one["cause"] for one in told} <= {"boundary", "start"}
    assert [one["kind"] for one in told if one["result"] == "ack"] == ["disconnect"]


def test_the_end_of_a_service_disconnects_and_the_redial_is_refused(live: Live) -> None:
    ends = clock.now() + 3 * clock.SECOND
    live.load({"username": "ali", "balance": 0, "active_to": iso(ends)})
    live.router.behaviour.redial = True
    with live.engine():
        live.log_in("ali")
        change = live.change()
        assert change.kind == "disconnect" and change.at >= ends
        until(lambda: live.logins, "the subscriber dials again")
        assert isinstance(live.logins[0], Refused)
        until(lambda: not live.wishes(), "the wish is fulfilled")


def test_a_later_end_is_told_within_the_last_hour_only(live: Live) -> None:
    ends = clock.now() + 3 * DAY
    live.load({"username": "ali", "balance": 0, "active_to": iso(ends)})
    with live.engine():
        session = live.log_in("ali")
        live.load({"username": "ali", "active_to": iso(ends + 9 * DAY)})
        given = live.session_row(session)["given_end"]
        told_at = given - 3600 * clock.SECOND
        until(lambda: [one["not_before"] for one in live.wishes()] == [told_at], "the wish is put off")
        assert live.router.received == []
        live.load({"username": "ali", "active_to": iso(ends - 2 * DAY)})
        change = live.change()
        assert change.kind == "coa" and list(change.asked) == ["Session-Timeout"]
        until(lambda: not live.wishes(), "the wish is fulfilled")
    assert live.session_row(session)["given_end"] // clock.SECOND == (ends - 2 * DAY) // clock.SECOND


def test_a_session_that_began_with_an_older_verdict_is_planned_again(live: Live) -> None:
    live.load({"username": "ali", "balance": -700_000})
    with live.engine():
        session = live.log_in("ali")
        live.router.hang_up(session)
        live.charge("ali", 200_000)
        session.acct_session_id = "81ffffff"  # as if the login had been answered before the charge, and not its Start
        live.router.sessions[session.acct_session_id] = session
        live.router.account(session, "Start")
        assert live.change().kind == "disconnect"
        [told] = until(live.attempts, "the result is stored")
    assert told["cause"] == "start"


def test_the_engine_outlives_an_outage_of_the_database(
    postgresql_url: str,
    postgresql_away: Callable[[str], AbstractContextManager[None]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    database = open_database(postgresql_url)
    with scene(database, postgresql_url, tmp_path / "state") as live:
        live.load({"username": "ali", "balance": -900_000})
        live.log_in("ali")
        with live.engine():
            with postgresql_away(postgresql_url):
                until(lambda: caplog.text.count("database=away") >= 3, "all threads notice the outage")
            until(lambda: caplog.text.count("database=back") >= 3, "all threads are back at work")
            live.db.close()
            live.pay("ali", 500_000)
            assert live.change().kind == "disconnect"
    database.close()
