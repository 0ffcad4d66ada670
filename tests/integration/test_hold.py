"""Cuts that wait since a clock jumped: what the engine does and what changes do, on both databases (R8.4)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from aaa import clock
from aaa.coa import boundaries, held_ends
from aaa.commands import hold, suspensions
from aaa.commands.hold import StillHeld, Waiting
from aaa.domain.clock_watch import Doubt
from aaa.domain.instant import iso
from aaa.domain.suspension import Suspension
from aaa.domain.timeline import Verdict
from aaa.store import holds, record
from aaa.store.database import Database
from aaa.store.record import HOLD_LEASE
from aaa.store.tables import access, enforcement, event
from tests.integration.following import follow, reading
from tests.integration.live_change import Live, scene, settled, until

HOUR = 3_600 * clock.SECOND
DAY = 24 * HOUR


@pytest.fixture
def live(database: Database, database_url: str, tmp_path: Path) -> Iterator[Live]:
    with scene(database, database_url, tmp_path / "state") as live:
        yield live


def hold_cuts(db: Database, since: int) -> None:
    with db.write() as conn:
        assert holds.place(conn, Doubt(since, "the clock jumped"), "here", since + 2 * DAY)


def served(live: Live, username: str, now: int) -> Verdict:
    """What a login would meet."""
    [row] = live.rows(access, access.c.username == username)
    with live.db.read() as conn:
        since = holds.held_since(conn)
    head = record.entry(row["record"])
    step = record.step_held(row["record"], head, now, since) if since else record.step_at(row["record"], head, now)
    return Verdict(step.verdict)


# --- the engine ---


def test_r8_4_a_jump_cuts_nobody_until_the_operator_says_so(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    began = clock.now()
    live.load({"username": "ali", "balance": 0, "active_to": iso(began + DAY)})
    session = live.log_in("ali")
    real, ahead = clock.now, [0]
    monkeypatch.setattr(clock, "now", lambda: real() + ahead[0])
    with live.engine():
        ahead[0] = 2 * DAY
        change = live.change()
        assert (change.kind, set(change.asked)) == ("coa", {"Session-Timeout"})
        until(lambda: not live.wishes(), "the wish is fulfilled")
        later = live.session_row(session)["given_end"] - clock.now()
        assert HOLD_LEASE - 60 * clock.SECOND < later <= HOLD_LEASE
        with live.db.read() as conn:
            found = holds.read_hold(conn)
        assert found is not None and began < found.since < real() and found.machine == "here"
        hold.release(live.db, None, actor="ana", now=clock.now())
        assert live.change(1).kind == "disconnect"
        assert [one["cause"] for one in settled(live)] == ["boundary", "boundary"]


def test_r8_4_lifting_goes_on_while_cuts_are_held(live: Live) -> None:
    live.load({"username": "ali", "balance": -900_000})
    live.log_in("ali")
    hold_cuts(live.db, clock.now())
    with live.engine():
        live.pay("ali", 900_000)
        assert live.change().kind == "disconnect"  # out of the garden
    assert served(live, "ali", clock.now()) is Verdict.ALLOW


def test_r8_4_sessions_whose_end_is_near_are_planned_again_once(live: Live) -> None:
    now = clock.now()
    live.load(
        {"username": "ali", "balance": 0, "active_to": iso(now + HOUR // 2)},
        {"username": "sara", "balance": 0, "active_to": iso(now + 5 * HOUR)},
        {"username": "reza", "balance": 0},
    )
    for name in ("ali", "sara", "reza"):
        live.log_in(name)
    assert held_ends.extend(live.db, now) == 0
    hold_cuts(live.db, now - 1)
    assert held_ends.extend(live.db, now) == 1
    assert held_ends.extend(live.db, now) == 0
    [wish] = live.wishes()
    assert (wish["cause"], wish["service_id"]) == ("hold", live.ref("ali").service_id)
    with live.db.write() as conn:
        conn.execute(enforcement.delete())
    with live.engine():  # it does so by itself
        assert (live.change().kind, set(live.changes[0].asked)) == ("coa", {"Session-Timeout"})
        [told] = settled(live)
        assert told["cause"] == "hold"
    assert len(live.changes) == 1


def test_r8_4_no_timeline_is_renewed_by_a_clock_that_ran_ahead(live: Live) -> None:
    since = clock.now()
    live.load({"username": "ali", "balance": 0})
    hold_cuts(live.db, since)
    ahead = since + 400 * DAY
    [before] = live.rows(access)
    boundaries.run(live.db, ahead)
    assert not boundaries.run(live.db, ahead)
    assert boundaries.next_due(live.db, ahead) == ahead + HOUR
    [after] = live.rows(access)
    assert after["version"] == before["version"]
    hold.release(live.db, None, actor="ana", now=ahead)
    boundaries.run(live.db, ahead)
    [after] = live.rows(access)
    assert after["version"] == before["version"] + 1


# --- changes meanwhile ---


@pytest.mark.parametrize("off", [2 * DAY, 50 * DAY, -400 * DAY])
def test_r8_4_what_is_compiled_meanwhile_is_compiled_as_of_the_last_good_moment(
    live: Live, monkeypatch: pytest.MonkeyPatch, off: int
) -> None:
    since = clock.now()
    ali = {"username": "ali", "balance": 0, "active_to": iso(since + DAY)}
    live.load(ali)
    hold_cuts(live.db, since)
    wrong, ahead = since + off, since + 2 * DAY
    monkeypatch.setattr(clock, "now", lambda: wrong)
    live.load({**ali, "plan": "slow"})
    assert served(live, "ali", wrong) is Verdict.ALLOW
    assert served(live, "ali", ahead) is Verdict.ALLOW  # the clock is set right
    assert hold.release(live.db, None, actor="ana", now=ahead) is not None
    assert served(live, "ali", ahead) is Verdict.DENY


@pytest.mark.parametrize("off", [2 * DAY, -2 * DAY])
def test_r8_4_an_operators_suspension_acts_at_once(live: Live, off: int) -> None:
    since = clock.now()
    live.load({"username": "ali", "balance": 0})
    hold_cuts(live.db, since)
    now, ref = since + off, live.ref("ali")
    suspensions.suspend(live.db, ref.service_id, ref.account_id, Suspension("profile1", now), actor="ana", now=now)
    assert served(live, "ali", now) is not Verdict.ALLOW
    suspensions.unsuspend(live.db, ref.service_id, ref.account_id, actor="ana", now=now)
    assert served(live, "ali", now) is Verdict.ALLOW


# --- its end ---


def test_r8_4_more_than_the_limit_wait_for_their_number(live: Live) -> None:
    since = clock.now()
    ends = iso(since + DAY)
    live.load(*({"username": f"u{number:02}", "balance": 0, "active_to": ends} for number in range(21)))
    live.load({"username": "bob", "balance": 0})
    assert hold.waiting(live.db, since) is None
    hold_cuts(live.db, since)
    ahead = since + 2 * DAY
    found = hold.waiting(live.db, ahead)
    assert isinstance(found, Waiting) and (found.cut, found.allowed, found.limit) == (21, 22, 20)
    for number in (None, 20, 22):
        with pytest.raises(StillHeld, match="would cut off 21 services"):
            hold.release(live.db, number, actor="ana", now=ahead)
    assert served(live, "u00", ahead) is Verdict.ALLOW
    assert hold.release(live.db, 21, actor="ana", now=ahead) is not None
    assert served(live, "u00", ahead) is Verdict.DENY
    assert served(live, "bob", ahead) is Verdict.ALLOW
    [told] = live.rows(event, event.c.kind == "release-hold")
    assert (told["actor"], told["before"]["why"], told["after"]) == ("ana", "the clock jumped", {"cut": 21})
    assert hold.release(live.db, None, actor="ana", now=ahead) is None


# --- the replica ---


def test_r8_4_the_hold_rides_the_replica(database: Database, tmp_path: Path) -> None:
    follow(database, tmp_path)
    with reading(tmp_path) as replica:
        assert replica.held_since == 0
    hold_cuts(database, 5 * DAY)
    follow(database, tmp_path)
    with reading(tmp_path) as replica:
        assert replica.held_since == 5 * DAY
    follow(database, tmp_path / "other")  # one that starts from nothing
    with reading(tmp_path / "other") as replica:
        assert replica.held_since == 5 * DAY
    with database.write() as conn:
        holds.lift(conn)
    follow(database, tmp_path)
    with reading(tmp_path) as replica:
        assert replica.held_since == 0


def test_r8_4_what_else_changes_leaves_the_hold_in_the_replica(live: Live, tmp_path: Path) -> None:
    hold_cuts(live.db, 5 * DAY)
    follow(live.db, tmp_path)
    live.load({"username": "ali", "balance": 0})
    follow(live.db, tmp_path)
    with reading(tmp_path) as replica:
        assert replica.held_since == 5 * DAY
        assert replica.find(b"ali")
