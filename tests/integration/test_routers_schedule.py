"""Routers are visited when something changes for them, after a while, and once they are back."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from aaa import clock
from aaa.coa import sweep
from aaa.routeros import lease
from aaa.routeros.known import Ports
from aaa.routeros.rows import ADDRESS_LIST, FILTER, NAT, RADIUS
from aaa.routeros.schedule import Schedule
from aaa.routeros.visit import Outcome, Visitor
from aaa.store.database import Database
from aaa.store.tables import router
from ledgate.load import load
from tests.integration.ledger import SEALER
from tests.integration.live_change import scene, until
from tests.integration.routers import Box, box

SETTINGS = {"server_ip": "192.0.2.80", "allowed_pages": ["bank.example"]}


@pytest.fixture
def made() -> Iterator[Box]:
    with box() as one:
        yield one


def put(db: Database, **document: Any) -> None:
    load(db, document, SEALER, actor="test", now=clock.now())


def add(db: Database, *boxes: Box, **settings: Any) -> None:
    """The routers mt1, mt2, … as a file has them."""
    routers = [
        {"name": f"mt{number}", "address": f"127.0.0.{number}", "secret": "testing123", "api": one.api()}
        for number, one in enumerate(boxes, start=1)
    ]
    put(db, nas=routers, settings=SETTINGS | settings)


def visitor(db: Database, holder: str = "test") -> Visitor:
    return Visitor(db, SEALER, Ports(1812, 1813), holder, partial(sweep.look, db, SEALER, holder))


def stands(db: Database, at: int = 0) -> Any:
    with db.read() as conn:
        return conn.execute(select(router).order_by(router.c.nas_id)).all()[at]


def visit(db: Database, **more: Any) -> Outcome:
    outcome = visitor(db).visit(stands(db).nas_id, **more)
    assert outcome is not None
    return outcome


@contextmanager
def schedule(db: Database, holder: str = "test") -> Iterator[None]:
    running = Schedule(visitor(db, holder), every=0.02)
    running.start()
    try:
        yield
    finally:
        running.stop()


def test_a_visit_mends_and_says_how_the_router_stands(database: Database, made: Box) -> None:
    add(database, made)
    assert stands(database).state == "new"
    began = clock.now()
    outcome = visit(database)
    assert outcome.state == "in_step"
    assert outcome.detail.endswith("added, 1 set")
    row = stands(database)
    assert (row.state, row.version, row.failures) == ("in_step", "7.16.2 (stable)", 0)
    assert began <= row.checked_at == row.in_step_at <= clock.now()
    assert row.due_at == row.checked_at + 15 * 60 * clock.SECOND
    assert row.held_until == 0
    [radius] = made.ours(RADIUS)
    assert (radius["address"], radius["secret"]) == ("192.0.2.80", "testing123")
    assert [row["action"] for row in made.ours(FILTER) if row["chain"] == "forward"] == ["jump"]
    assert visit(database) == Outcome("in_step", "", "7.16.2 (stable)", [])


def test_a_drift_is_mended_or_only_reported(database: Database, made: Box) -> None:
    add(database, made)
    visit(database)
    [jump] = [row for row in made.ours(FILTER) if row["chain"] == "forward"]
    put(database, settings={"router_drift": "report"})
    made.do(FILTER, "remove", **{".id": jump[".id"]})
    outcome = visit(database)
    assert (outcome.state, outcome.detail) == ("drifted", "1 added")
    assert stands(database).state == "drifted"
    assert not [row for row in made.ours(FILTER) if row["chain"] == "forward"]
    put(database, settings={"router_drift": "repair"})
    assert visit(database).state == "in_step"
    assert [row for row in made.ours(FILTER) if row["chain"] == "forward"]


def test_r5_1_what_changes_reaches_routers_at_once(database: Database, made: Box) -> None:
    add(database, made)
    with schedule(database):
        until(lambda: stands(database).state == "in_step", "the router is set up")
        put(database, settings={"allowed_pages": ["bank.example", "203.0.113.80"]})
        until(lambda: len(made.ours(ADDRESS_LIST)) == 2, "the page is allowed")
        assert not [row for row in made.ours(NAT) if "overdue" in str(row)]
        put(database, overdue_policies=[{"name": "remind", "remind_pay": 1}])
        until(lambda: [row for row in made.ours(NAT) if "overdue" in str(row)], "reminders can be shown")
        put(database, overdue_policies=[{"name": "remind", "remind_pay": 0}])
        until(lambda: not [row for row in made.ours(NAT) if "overdue" in str(row)], "nothing of reminders is left")


def test_an_offline_router_gets_its_changes_when_it_is_back(database: Database, made: Box) -> None:
    add(database, made)
    visit(database)
    made.behaviour.api_down = True
    put(database, settings={"allowed_pages": ["203.0.113.80"]})
    pauses = []
    for _ in range(7):
        assert visit(database).state == "offline"
        row = stands(database)
        pauses.append((row.due_at - row.checked_at) // clock.SECOND)
    assert pauses == [10, 20, 40, 80, 160, 300, 300]
    assert (row.state, row.failures, row.version) == ("offline", 7, "7.16.2 (stable)")
    assert "127.0.0.1 port" in row.detail and "hush" not in row.detail
    made.behaviour.api_down = False
    with database.write() as conn:
        conn.execute(router.update().values(due_at=clock.now()))
    with schedule(database):
        until(lambda: stands(database).state == "in_step", "it is back")
    assert [row["address"] for row in made.ours(ADDRESS_LIST)] == ["203.0.113.80"]
    assert stands(database).failures == 0


def test_a_router_that_refuses_us_has_failed(database: Database, made: Box) -> None:
    add(database, made)
    made.behaviour.api_refuses = True
    outcome = visit(database)
    assert outcome.state == "failed"
    assert "refuses user ledgate" in outcome.detail
    assert "hush" not in outcome.detail


def test_one_process_at_a_time_works_on_a_router(database: Database, made: Box) -> None:
    add(database, made)
    nas_id = stands(database).nas_id
    assert lease.take(database, nas_id, "rules", "another", clock.now(), 60)
    assert visitor(database).visit(nas_id) is None
    assert made.events == []
    lease.let_go(database, nas_id, "rules", "another")
    assert visitor(database).visit(nas_id) is not None


def test_many_processes_set_up_many_routers_once(database: Database) -> None:
    with box() as one, box("6.49.10") as two, box("7.18.2") as three:
        boxes = (one, two, three)
        add(database, *boxes)
        with schedule(database, "a"), schedule(database, "b"), schedule(database, "c"):
            until(lambda: all(stands(database, at).state == "in_step" for at in range(3)), "all are set up")
        for at, each in enumerate(boxes):
            comments = [row["comment"] for row in each.ours(FILTER)]
            assert len(comments) == len(set(comments)) > 0
            assert stands(database, at).version.startswith(each.device.version_text)
        assert len({row["to-ports"] for each in boxes for row in each.ours(NAT) if "to-ports" in row}) == 3


def test_a_change_during_a_visit_makes_the_router_due_again(database: Database, made: Box) -> None:
    add(database, made)
    made.behaviour.api_slow_ms = 5
    done = threading.Event()

    def work() -> None:
        visit(database)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: made.writes, "the visit has begun to write")
    put(database, settings={"allowed_pages": ["203.0.113.80"]})
    assert not done.is_set()
    thread.join()
    row = stands(database)
    assert row.state == "in_step"
    assert row.due_at <= clock.now()


def test_what_was_taken_off_is_left_alone_until_it_is_applied_again(database: Database, made: Box) -> None:
    with box() as other:
        add(database, made, other)
        visit(database)
        assert visit(database, work="remove").state == "removed"
        assert made.ours(FILTER) == [] and made.ours(RADIUS) == []
        with schedule(database):
            put(database, nas=[{"name": "mt1", "secret": "other"}])
            put(database, settings={"allowed_pages": ["203.0.113.80"]})
            until(lambda: stands(database, 1).state == "in_step", "the other router has been visited")
            put(database, settings={"allowed_pages": ["203.0.113.81"]})
            until(lambda: "203.0.113.81" in str(other.ours(ADDRESS_LIST)), "it is visited again")
    assert stands(database).state == "removed"
    assert made.ours(ADDRESS_LIST) == []
    assert visit(database, work="repair").state == "in_step"


def test_the_engine_visits_routers(database: Database, database_url: str, tmp_path: Path, made: Box) -> None:
    with scene(database, database_url, tmp_path / "state") as live:
        live.load()
        load(
            live.loads,
            {"nas": [live.nas(api=made.api())], "settings": SETTINGS},
            live.sealer,
            actor="test",
            now=clock.now(),
        )
        with live.engine():
            until(lambda: made.ours(RADIUS), "the engine has been there")
            until(lambda: stands(database).state == "in_step", "it says so")
