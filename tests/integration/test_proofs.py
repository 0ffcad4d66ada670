"""An ACK is a claim: what routers acknowledged is proven, or followed by something stronger, on both databases."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from aaa import clock
from aaa.store.database import Database
from aaa.store.tables import enforcement, proof
from aaa.store.tables import session as session_table
from ledgate.lab.nas import Session
from ledgate.lab.router import Router
from tests.integration.live_change import Live, scene, until


@pytest.fixture
def live(database: Database, database_url: str, tmp_path: Path) -> Iterator[Live]:
    with scene(database, database_url, tmp_path / "state") as live:
        yield live


@pytest.fixture
def peer(database: Database, database_url: str, tmp_path: Path) -> Iterator[Live]:
    """A scene whose router has an API."""
    with scene(database, database_url, tmp_path / "state", _quiet) as live:
        yield live


def _quiet(*arguments: Any, **settings: Any) -> Router:
    """A router that does nothing of its own accord."""
    router = Router(*arguments, **settings)
    router.behaviour.says_hello = router.behaviour.redial = False
    return router


def with_api(live: Live, *subscribers: dict[str, Any]) -> None:
    router = live.router
    assert isinstance(router, Router)
    api = {"host": "127.0.0.1", "port": router.api_port, "user": "ledgate", "password": "ledgate"}
    live.load(*subscribers, nas=[live.nas(api=api, address_list_by="disconnect")])


def slower(live: Live) -> None:
    live.load({"username": "ali", "plan": "slow"})


def proofs(live: Live) -> list[dict[str, Any]]:
    return live.rows(proof)


def awaited(live: Live) -> dict[str, Any]:
    """The proof that is awaited."""
    until(lambda: proofs(live), "something is to be proven")
    [found] = proofs(live)
    return found


def record(live: Live, session: Session, seconds: int, up: int) -> None:
    """An interim record, so many seconds after what was acknowledged; and the look that follows it."""
    row = awaited(live)
    at = row["told_at"] + seconds * clock.SECOND
    with live.db.write() as conn:
        mine = session_table.c.acct_session_id == session.acct_session_id
        conn.execute(update(session_table).where(mine).values(recorded_at=at, heard_at=at, up=up, down=up))
        conn.execute(update(proof).values(look_at=0))


def hurry(live: Live) -> None:
    """Make what was put off due now."""
    with live.db.write() as conn:
        conn.execute(update(enforcement).values(not_before=clock.now(), feed=enforcement.c.feed))


def results(live: Live) -> list[tuple[str, str]]:
    return [(one["kind"], one["result"]) for one in live.attempts()]


def test_a_disconnect_is_proven_by_the_stop_that_follows(live: Live) -> None:
    live.load({"username": "ali", "balance": -900_000})
    with live.engine():
        session = live.log_in("ali")
        live.pay("ali", 500_000)
        assert awaited(live)["rung"] == 1
        until(lambda: not proofs(live), "it is proven")
        assert live.session_row(session)["verified_at"] is not None
    assert results(live) == [("disconnect", "ack")]


def test_a_coa_is_proven_by_what_is_used_from_one_record_to_the_next(live: Live) -> None:
    live.load({"username": "ali", "balance": 0})
    with live.engine():
        session = live.log_in("ali")
        slower(live)
        record(live, session, 60, 10_000_000)
        until(lambda: awaited(live)["seen_at"], "the first record is seen")
        record(live, session, 360, 10_000_000 + 1_000_000 // 8 * 300)
        until(lambda: not proofs(live), "it is proven")
        assert live.session_row(session)["verified_at"] is not None
    assert results(live) == [("coa", "ack")]


def test_a_coa_that_had_no_effect_is_followed_by_a_disconnect(live: Live) -> None:
    live.load({"username": "ali", "balance": 0})
    live.router.behaviour.lie = "coa"
    with live.engine():
        session = live.log_in("ali")
        slower(live)
        record(live, session, 60, 0)
        until(lambda: awaited(live)["seen_at"], "the first record is seen")
        assert results(live) == [("coa", "ack")]
        record(live, session, 360, 5_000_000 // 8 * 300)
        until(lambda: results(live)[-1:] == [("disconnect", "ack")], "the session is ended")
        until(lambda: not proofs(live) and not live.wishes(), "that is proven")
        assert session.acct_session_id not in live.router.sessions
    assert results(live) == [("coa", "ack"), ("coa", "ineffective"), ("disconnect", "ack")]


def test_a_coa_whose_effect_nothing_shows_is_not_waited_for(live: Live) -> None:
    live.load({"username": "ali", "balance": 0})
    with live.engine():
        live.log_in("ali")
        live.load(params=[{"scope": "user:ali", "name": "Idle-Timeout", "value": 600}])
        until(lambda: results(live) == [("coa", "ack")], "it is told")
    assert proofs(live) == []


def test_a_disconnect_that_had_no_effect_is_kept_as_failed_and_tried_again_later(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    live.load({"username": "ali", "balance": -900_000})
    live.router.behaviour.lie = "disconnect"
    with live.engine():
        session = live.log_in("ali")
        live.pay("ali", 500_000)
        record(live, session, 300, 1_000)
        until(lambda: results(live)[-1:] == [("disconnect", "ineffective")], "it is found out")
        [wish] = live.wishes()
        assert wish["not_before"] > clock.now() + 5 * clock.SECOND and wish["tries"] == 1
        assert [one.levelname for one in caplog.records if "ineffective" in one.message] == ["ERROR"]
        live.router.behaviour.lie = "no"
        hurry(live)
        until(lambda: not live.wishes() and not proofs(live), "it is proven at last")
    assert results(live) == [("disconnect", "ack"), ("disconnect", "ineffective"), ("disconnect", "ack")]
    assert session.acct_session_id not in live.router.sessions


def test_a_payment_that_overtakes_a_lie_ends_it(live: Live) -> None:
    live.load({"username": "ali", "balance": 0})
    live.router.behaviour.lie = "disconnect"
    with live.engine():
        session = live.log_in("ali")
        live.charge("ali", 900_000)
        record(live, session, 1, 0)
        live.pay("ali", 900_000)
        until(lambda: not live.wishes(), "nothing is to be told any more")
        record(live, session, 300, 1_000)
        until(lambda: not proofs(live), "the lie is found out")
        hurry(live)
        until(lambda: not live.wishes(), "nothing is left to do")
    assert session.acct_session_id in live.router.sessions
    assert results(live) == [("disconnect", "ack"), ("disconnect", "ineffective")]


# --- a router with an API --------------------------------------------------------------------------------------------


def test_the_api_proves_a_coa_at_once(peer: Live) -> None:
    with_api(peer, {"username": "ali", "balance": 0})
    with peer.engine():
        session = peer.log_in("ali")
        slower(peer)
        until(lambda: peer.session_row(session)["verified_at"], "it is proven")
        assert proofs(peer) == []
    assert ("coa", "ack") in results(peer)


def test_a_lie_about_a_coa_is_found_out_over_the_api(peer: Live) -> None:
    with_api(peer, {"username": "ali", "balance": 0})
    peer.router.behaviour.lie = "coa"
    with peer.engine():
        session = peer.log_in("ali")
        slower(peer)
        until(lambda: session.acct_session_id not in peer.router.sessions, "the session is ended")
        until(lambda: not proofs(peer) and not peer.wishes(), "that is proven")
    assert results(peer) == [("coa", "ack"), ("coa", "ineffective"), ("disconnect", "ack")]


def test_a_session_that_no_disconnect_ends_is_ended_over_the_api(peer: Live) -> None:
    with_api(peer, {"username": "ali", "balance": -900_000})
    peer.router.behaviour.lie = "both"
    with peer.engine():
        session = peer.log_in("ali")
        peer.pay("ali", 500_000)
        until(lambda: session.acct_session_id not in peer.router.sessions, "the session is ended")
        until(lambda: not proofs(peer) and not peer.wishes(), "that is proven")
    assert results(peer) == [("disconnect", "ack"), ("disconnect", "ineffective"), ("api", "ack")]


def test_a_refused_disconnect_is_done_over_the_api(peer: Live) -> None:
    with_api(peer, {"username": "ali", "balance": -900_000})
    peer.router.behaviour.disconnect = "nak"
    peer.router.behaviour.error_cause = 504
    with peer.engine():
        session = peer.log_in("ali")
        peer.pay("ali", 500_000)
        until(lambda: results(peer) == [("disconnect", "nak"), ("api", "ack")], "the API is asked")
        until(lambda: session.acct_session_id not in peer.router.sessions, "the session is ended")


def test_an_api_that_is_away_leaves_it_to_accounting(peer: Live) -> None:
    with_api(peer, {"username": "ali", "balance": 0})
    peer.router.behaviour.api_down = True
    with peer.engine():
        session = peer.log_in("ali")
        slower(peer)
        record(peer, session, 60, 0)
        until(lambda: awaited(peer)["seen_at"], "the first record is seen")
        record(peer, session, 360, 1_000)
        until(lambda: not proofs(peer), "it is proven")
    assert results(peer) == [("coa", "ack")]
