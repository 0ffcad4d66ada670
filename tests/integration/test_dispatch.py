"""In which order, how fast and to whom live changes go, on both databases."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select, update

from aaa import clock
from aaa.coa import boundaries, breaker, claims, exchange
from aaa.coa.pace import Pace
from aaa.coa.turns import Wanted
from aaa.coa.wishes import Wishes
from aaa.domain.instant import iso
from aaa.domain.rank import CUT, LIFT, NEITHER
from aaa.store.database import Database, open_database
from aaa.store.tables import enforcement
from aaa.store.tables import nas as nas_table
from aaa.store.tables import session as session_table
from ledgate.lab.nas import Nas, Subscriber
from ledgate.lab.session import Session
from tests.integration.live_change import SECRET, Live, many, scene, until


@pytest.fixture
def live(database: Database, database_url: str, tmp_path: Path) -> Iterator[Live]:
    with scene(database, database_url, tmp_path / "state") as live:
        yield live


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request is given up after 350 ms, and a silent router asked again half a second later."""
    monkeypatch.setattr(exchange, "FIRST_WAIT", 20_000)
    monkeypatch.setattr(exchange, "LONGEST_WAIT", 100_000)
    monkeypatch.setattr(breaker, "FIRST_REST", clock.SECOND // 2)


# --- order -----------------------------------------------------------------------------------------------------------


def ranks(live: Live) -> dict[str, int]:
    rows = select(session_table.c.username, enforcement.c.rank).join(
        enforcement, enforcement.c.session_id == session_table.c.id
    )
    with live.db.read() as conn:
        return {row.username: row.rank for row in conn.execute(rows)}


def test_who_asks_for_a_change_knows_whether_it_lifts_or_cuts(live: Live) -> None:
    live.load(
        {"username": "debtor", "balance": -900_000},
        {"username": "good", "balance": 0},
        {"username": "other", "balance": 0},
    )
    for name in ("debtor", "good", "other"):
        live.log_in(name)
    live.pay("debtor", 500_000)
    live.charge("good", 900_000)
    live.load({"username": "other", "plan": "slow"})
    assert ranks(live) == {"debtor": LIFT, "good": CUT, "other": NEITHER}


def test_a_boundary_knows_it_too(live: Live) -> None:
    now = clock.now()
    live.load({"username": "ends", "balance": 0, "active_to": iso(now + 2 * clock.SECOND)})
    live.log_in("ends")
    with live.db.write() as conn:
        conn.execute(delete(enforcement))
    until(lambda: (boundaries.cross(live.db, clock.now()), ranks(live))[1], "it ends")
    assert ranks(live) == {"ends": CUT}


def wish_rows(live: Live, count: int, **values: Any) -> list[int]:
    """So many sessions, each with a row of these values; nobody ever sees them but the database."""
    with live.db.write() as conn:
        one = dict(conn.execute(select(session_table)).mappings().first() or {})
        start = int(conn.execute(select(func.max(session_table.c.id))).scalar_one()) + 1
        ids = list(range(start, start + count))
        made = [{**one, "id": id, "key": id.to_bytes(16, "big"), "acct_session_id": f"{id:08x}"} for id in ids]
        for row in made:
            del row["feed"]
        conn.execute(insert(session_table), made)
        row = {"service_id": one["service_id"], "wanted_version": 1, "cause": "test", "requested_at": 1}
        conn.execute(insert(enforcement), [{**row, "session_id": id, **values} for id in ids])
    return ids


def test_lifts_are_claimed_first_and_others_are_not_forgotten(live: Live) -> None:
    live.load({"username": "ali", "balance": 0})
    live.log_in("ali")
    cuts = set(wish_rows(live, 40, rank=CUT, not_before=1))
    neither = set(wish_rows(live, 40, rank=NEITHER, not_before=2))
    lifts = set(wish_rows(live, 40, rank=LIFT, not_before=3))
    claimed = [wish.session_id for wish in Wishes(live.db, live.sealer).claim(clock.now(), 32, [])]
    assert len(claimed) == 32
    assert set(claimed[:24]) <= lifts
    assert set(claimed[24:30]) <= neither
    assert set(claimed[30:]) <= cuts


def test_what_is_due_later_costs_nothing_however_much_it_is(live: Live) -> None:
    live.load({"username": "ali", "balance": 0})
    live.log_in("ali")
    far = clock.now() + 86_400 * clock.SECOND
    for rank in (LIFT, NEITHER):
        wish_rows(live, 10_000, rank=rank, not_before=far)
    [due] = wish_rows(live, 1, rank=CUT, not_before=1)
    with live.db.write() as conn:
        conn.exec_driver_sql("ANALYZE")
    db = open_database(live.url, look_ups=True)
    try:
        assert [wish.session_id for wish in Wishes(db, live.sealer).claim(clock.now(), 256, [])] == [due]
        for prepared, names in ((claims._DUE, True), (claims._NEXT, False)):
            given = {"of_rank": LIFT, "now": clock.now(), "busy": "{}" if live.db.is_postgresql else []}
            if names:
                given["most"] = 256
            assert_cheap(live, prepared, given)
    finally:
        db.close()


def assert_cheap(live: Live, prepared: Any, given: dict[str, Any]) -> None:
    """The plan reads the index of ranks, and no rows in vain."""
    with live.db.write() as conn:
        if live.db.is_postgresql:
            compiled = prepared.compiled()
            conn.exec_driver_sql("SET LOCAL enable_seqscan = off")
            conn.exec_driver_sql("PREPARE cheap AS " + compiled.text.decode().replace("%", "%%"))
            values = ", ".join(f"'{one.decode()}'" for one in compiled.values(given))
            explain = f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) EXECUTE cheap({values})"
            plan = "\n".join(row[0] for row in conn.exec_driver_sql(explain))
            conn.exec_driver_sql("DEALLOCATE cheap")
            assert "Rows Removed" not in plan, plan
        else:
            bound = prepared.core().params(given)
            sql = str(bound.compile(conn, compile_kwargs={"literal_binds": True}))
            plan = "\n".join(row[3] for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}"))
        assert "ix_enforcement_rank_not_before" in plan and "SCAN enforcement" not in plan, plan


# --- pace ------------------------------------------------------------------------------------------------------------


def told_at(live: Live, kind: str = "disconnect") -> list[int]:
    """When each came to the router."""
    return sorted(one.at for one in live.changes if one.kind == kind)


def ended(live: Live) -> int:
    """How many sessions were told to end, be it twice."""
    return len({one.session.acct_session_id for one in live.changes if one.session is not None})


def assert_paced(instants: list[int], per_second: int) -> None:
    """No more than that in any second, but for what a busy machine delivers late."""
    for first in range(len(instants) - per_second - 1):
        window = instants[first + per_second + 1] - instants[first]
        assert window > 0.85 * clock.SECOND, f"{per_second + 2} Disconnects within {window / 1e6} s"


def test_turns_are_shared_by_all_who_take_them(live: Live, database_url: str) -> None:
    wanted = {"10.0.0.1": Wanted(clock.SECOND // 20, 100), "10.0.0.2": Wanted(clock.SECOND, 1)}
    other = open_database(database_url)
    now = clock.now()
    later = now + clock.SECOND
    taken = [Pace(live.db).take(wanted, now), Pace(other).take(wanted, now), Pace(live.db).take(wanted, later)]
    other.close()
    instants = [at for one in taken for at in one.get("10.0.0.1", [])]
    assert len(instants) == len(set(instants)) == 22
    assert_paced(sorted(instants), 20)
    assert [one.get("10.0.0.2") for one in taken] == [[now], [], [now + clock.SECOND]]


def test_two_engines_together_disconnect_no_faster_than_the_router_may_be_told(live: Live) -> None:
    live.load(nas=[live.nas(disconnects_per_second=10)])
    sessions = many(live, 30)
    live.load(nas=[live.nas(disconnects_per_second=10)])
    for one in sessions:
        live.pay(one.subscriber.username, 500_000)
    with live.engine(), live.engine():
        until(lambda: len(live.changes) >= 30, "all are told", 20)
        until(lambda: not live.wishes(), "all is stored")
    assert len(live.changes) == len(live.attempts()) == 30
    assert_paced(told_at(live), 10)


_ENGINE = """
import sys, threading
from aaa.coa import engine
url, folder, keys = sys.argv[1:]
engine.run(database_url=url, state_dir=folder, key_file=keys, machine="there", stop=threading.Event(),
           ready=lambda: print("ready", flush=True))
"""


def test_an_engine_that_is_killed_lets_the_others_go_on_at_the_same_pace(live: Live, tmp_path: Path) -> None:
    live.load(nas=[live.nas(disconnects_per_second=10)])
    sessions = many(live, 30)
    live.load(nas=[live.nas(disconnects_per_second=10)])
    for one in sessions:
        live.pay(one.subscriber.username, 500_000)
    (tmp_path / "other").mkdir()
    command = [sys.executable, "-c", _ENGINE, live.url, str(tmp_path / "other"), str(live.key_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "ready\n"
        until(lambda: live.changes, "it tells some")
        with live.engine():
            other.kill()
            other.wait()
            until(lambda: ended(live) == 30, "all are told", 40)
            until(lambda: not live.wishes(), "all is stored", 40)
    assert_paced(told_at(live), 10)


def test_a_disconnect_whose_turn_has_not_come_keeps_no_coa_waiting(live: Live) -> None:
    sessions = many(live, 10)
    live.load({"username": "fast", "balance": 0}, nas=[live.nas(disconnects_per_second=1)])
    live.log_in("fast")
    for one in sessions:
        live.pay(one.subscriber.username, 500_000)
    with live.engine():
        until(lambda: live.changes, "the first is told")
        live.load({"username": "fast", "plan": "slow"}, nas=[live.nas(disconnects_per_second=1)])
        until(lambda: told_at(live, "coa"), "the CoA is told")
        assert len(told_at(live)) < 8


def test_a_router_is_told_to_wait_with_those_whose_turn_comes_after_its_own_strike(live: Live) -> None:
    end = clock.now() + 6 * clock.SECOND
    names = [f"user{number}" for number in range(60)]
    live.load(*({"username": name, "balance": 0, "active_to": iso(end)} for name in names))
    live.load(nas=[live.nas(disconnects_per_second=1)])
    sessions = {name: live.log_in(name, mac=f"02:00:00:00:02:{number:02X}") for number, name in enumerate(names)}
    assert clock.now() < end, "logging in took too long"
    strikes = {name: one.told["Session-Timeout"] for name, one in sessions.items()}
    with live.engine():
        until(lambda: len(told_at(live, "coa")) >= 15, "routers are told of later ends", 20)
        until(lambda: len(told_at(live)) >= 3, "the first are cut off", 20)
    longer = [name for name, one in sessions.items() if int(one.told["Session-Timeout"]) > int(strikes[name])]
    assert len(longer) >= 15
    assert_paced(told_at(live), 1)
    told = {row["username"]: row for row in live.rows(session_table)}
    prolonged = [name for name in longer if told[name]["given_end"] > end + clock.SECOND]
    assert prolonged and all(told[name]["applied_verdict"] == 0 for name in prolonged), "it is cut off yet to be"


# --- breaker ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("impatient")
def test_a_silent_router_is_probed_and_keeps_nobody_waiting(live: Live) -> None:
    sessions = many(live, 30)
    with Nas(("127.0.0.1", 9), ("127.0.0.1", 9), SECRET, coa=("127.0.0.2", 0)) as other:
        live.load({"username": "eva", "balance": -900_000}, nas=[live.nas()])
        eva = live.router.login(Subscriber("eva", "secret", mac="02:00:00:00:03:01"))
        assert isinstance(eva, Session)
        live.load(nas=[{"name": "mt2", "address": "127.0.0.2", "secret": SECRET.decode(), "coa_port": other.coa_port}])
        with live.db.write() as conn:
            mine = session_table.c.acct_session_id == eva.acct_session_id
            mt2 = conn.execute(select(nas_table.c.id).where(nas_table.c.name == "mt2")).scalar_one()
            conn.execute(update(session_table).where(mine).values(source="127.0.0.2", nas_id=mt2))
        other.identifier = "mt1"
        other.sessions[eva.acct_session_id] = eva
        live.router.behaviour.disconnect = "silent"
        for one in sessions:
            live.pay(one.subscriber.username, 500_000)
        with live.engine():
            until(lambda: [one for one in live.attempts() if one["result"] == "timeout"], "it is found silent")
            live.pay("eva", 500_000)
            until(lambda: other.received, "another router is told meanwhile", 2)
            until(lambda: min(one["not_before"] for one in live.wishes()) > clock.now(), "all are put off")
            live.router.behaviour.disconnect = "ack"
            until(lambda: ended(live) == 30, "all are told at once", 20)
