"""What becomes due by the clock or by accounting, on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from aaa import clock
from aaa.coa import boundaries
from aaa.commands import door, jobs
from aaa.domain.instant import iso
from aaa.store.database import Database
from aaa.store.tables import access, job, recompile_request, service, timeline_history
from tests.integration.live_change import Live, many, scene, settled, until

DAY = 86_400 * clock.SECOND


@pytest.fixture
def live(database: Database, database_url: str, tmp_path: Path) -> Iterator[Live]:
    with scene(database, database_url, tmp_path / "state") as live:
        yield live


def test_a_boundary_asks_for_each_live_session_once_and_notes_the_next(live: Live) -> None:
    due = clock.now() + 3_600 * clock.SECOND
    live.load({"username": "ali", "balance": 0, "active_to": iso(due)})
    live.log_in("ali")
    assert boundaries.next_due(live.db, clock.now()) == due
    assert not boundaries.run(live.db, due - 1)
    assert live.wishes() == []
    boundaries.run(live.db, due)
    [wish] = live.wishes()
    assert (wish["cause"], wish["requested_at"], wish["not_before"]) == ("boundary", due, due)
    following = boundaries.next_due(live.db, due)
    assert following is not None and following > due + 20 * DAY
    boundaries.run(live.db, due + 1)
    assert len(live.wishes()) == 1


def test_a_boundary_carries_the_mark_of_the_timeline_it_comes_from(live: Live) -> None:
    due = clock.now() + 3_600 * clock.SECOND
    live.load({"username": "ali", "balance": 0, "active_to": iso(due)})
    live.log_in("ali")
    boundaries.cross(live.db, due)
    [wish] = live.wishes()
    [served] = live.rows(access)
    assert wish["feed"] == served["feed"]


def test_what_accounting_asks_for_is_compiled_and_told(live: Live) -> None:
    live.load({"username": "ali", "balance": 0})
    live.log_in("ali")
    [before] = live.rows(access)
    with live.db.write() as conn:
        # What a crossed threshold would change: here, a policy that was changed behind the door.
        conn.execute(update(service).values(active_to=clock.now() - clock.SECOND))
        row = {"service_id": before["service_id"], "kind": "threshold", "requested_at": clock.now()}
        conn.execute(recompile_request.insert(), row)
    with live.engine():
        assert live.change().kind == "disconnect"
        until(lambda: not live.rows(recompile_request), "the request is done")
        assert settled(live)[0]["cause"] == "threshold"


def test_a_mass_change_is_carried_out_in_batches(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "INLINE", 3)
    monkeypatch.setattr(jobs, "INLINE", 3)
    sessions = many(live, 8)
    with live.engine():
        live.load(controls=[{"name": "home", "max_debt": None, "max_delay": None}])
        until(lambda: len(live.changes) == 8, "all sessions are told")
        until(lambda: all(one["done_at"] for one in live.rows(job)), "the job is done")
    assert {id(one.session) for one in live.changes} == {id(one) for one in sessions}
    assert len(live.rows(job)) == 1


def test_a_timeline_is_renewed_before_its_horizon_and_says_the_same(live: Live) -> None:
    live.load({"username": "ali", "balance": 0})
    [before] = live.rows(access)
    due = boundaries.next_due(live.db, clock.now())
    assert due is not None
    boundaries.run(live.db, due)
    [after] = live.rows(access)
    assert after["version"] == before["version"] + 1
    assert after["next_due"] > before["next_due"] + 20 * DAY
    [kept] = live.rows(timeline_history)
    assert kept["record"] == before["record"]
    assert not boundaries.run(live.db, due)
