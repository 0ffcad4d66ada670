"""The caller-id lock: learnt from the first device, enforced on all, on both databases (R1.4)."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aaa.domain.session import INTERIM, STOP
from aaa.store.accounting import Accounting
from aaa.store.database import Database, open_database
from aaa.store.record import entry
from aaa.store.tables import access, event, recompile_request, service
from ledgate.lab.nas import Refused, Session, Subscriber
from tests.integration.ledger import rows
from tests.integration.live_change import Live, scene, settled, until
from tests.integration.sessions import DEVICE, OTHER_DEVICE, World
from tests.integration.system import System

LEARN = {"scope": "server", "name": "caller-id-lock", "value": "learn"}
MINE = "02:00:00:00:00:0A"
OTHER = "02:00:00:00:00:0B"


@pytest.fixture
def live(database: Database, database_url: str, tmp_path: Path) -> Iterator[Live]:
    with scene(database, database_url, tmp_path / "state") as live:
        yield live


def noticed(db: Database) -> list[tuple[str, str | None]]:
    return [(row.kind, row.mac) for row in rows(db, recompile_request)]


def lock_of(db: Database) -> tuple[str | None, str, bool]:
    """The only service's own MAC address, and the lock and whether it learns in its access record."""
    [one], [served] = rows(db, service), rows(db, access)
    head = entry(served.record)
    return one.mac, head.caller_lock, head.learns_caller


# --- accounting ------------------------------------------------------------------------------------------------------


def test_r1_4_accounting_notices_the_first_device_of_who_learns(database: Database) -> None:
    world = World.make(database, learns_caller=True)
    world.commit(world.start())
    assert noticed(database) == [("caller-id", DEVICE)]
    # another device, before the engine came to it: the first stays
    world.commit(world.start(1, session="80000002", device=OTHER_DEVICE))
    assert noticed(database) == [("caller-id", DEVICE)]


def test_r1_4_of_one_batch_the_first_device_counts(database: Database) -> None:
    world = World.make(database, learns_caller=True)
    world.commit(world.start(9, session="80000002", device=OTHER_DEVICE), world.start(3, device="0200-0000-0001"))
    assert noticed(database) == [("caller-id", DEVICE)]


def test_r1_4_a_session_whose_start_was_lost_counts_too(database: Database) -> None:
    world = World.make(database, learns_caller=True)
    world.commit(world.record(INTERIM, 300, 300))
    assert noticed(database) == [("caller-id", DEVICE)]


def test_r1_4_what_is_no_mac_address_is_not_learnt(database: Database) -> None:
    world = World.make(database, learns_caller=True)
    world.commit(world.start(device=""), world.start(1, session="80000002", device="198.51.100.7"))
    assert noticed(database) == []


def test_r1_4_who_learns_nothing_asks_for_nothing(database: Database) -> None:
    world = World.make(database)
    world.commit(world.start(), world.record(INTERIM, 300, 300), world.record(STOP, 400, 400))
    assert noticed(database) == []


def test_r1_4_a_request_for_another_reason_keeps_the_device(database: Database) -> None:
    world = World.make(database, learns_caller=True)
    with database.write() as conn:
        row = {"service_id": world.service, "kind": "usage", "requested_at": 1}
        conn.execute(recompile_request.insert(), row)
    world.commit(world.start())
    assert noticed(database) == [("caller-id", DEVICE)]


def test_r1_4_of_two_devices_at_once_one_is_noticed(postgresql_url: str) -> None:
    setup = open_database(postgresql_url)
    world = World.make(setup, learns_caller=True)
    together = threading.Barrier(2)

    def write(device: str, session: str) -> None:
        db = open_database(postgresql_url)
        record = world.start(session=session, device=device)
        together.wait()
        assert Accounting(db).commit([record], record.heard_at).stored == 1
        db.close()

    threads = [threading.Thread(target=write, args=one) for one in ((DEVICE, "80000001"), (OTHER_DEVICE, "80000002"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert noticed(setup) in ([("caller-id", DEVICE)], [("caller-id", OTHER_DEVICE)])
    setup.close()


# --- the engine ------------------------------------------------------------------------------------------------------


def test_r1_4_the_first_device_becomes_the_lock(live: Live) -> None:
    live.load({"username": "ali"}, params=[LEARN])
    assert lock_of(live.db) == (None, "", True)
    with live.engine():
        session = live.log_in("ali", mac=MINE)
        until(lambda: lock_of(live.db) == (MINE, MINE, False), "the lock is learnt")
        until(lambda: not live.wishes(), "the session is planned again")
    [told] = rows(live.db, event, event.c.kind == "learn")
    assert (told.actor, told.before, told.after) == ("engine", {"mac": None}, {"mac": MINE})
    assert live.changes == [], "its own session goes on"
    assert live.session_row(session)["closed_at"] is None
    assert live.rows(recompile_request) == []


def test_r1_4_of_two_devices_that_dialled_at_once_the_second_is_disconnected(live: Live) -> None:
    live.load({"username": "ali"}, params=[LEARN])
    first = live.log_in("ali", mac=MINE)
    second = live.log_in("ali", mac=OTHER)
    with live.engine():
        change = live.change()
        assert change.kind == "disconnect" and change.session is second
        until(lambda: live.session_row(second)["closed_at"] is not None, "its Stop")
        told = settled(live)
    assert lock_of(live.db) == (MINE, MINE, False)
    assert live.session_row(first)["closed_at"] is None
    assert [one["kind"] for one in told if one["result"] == "ack"] == ["disconnect"]
    assert len(live.changes) == 1


def test_r1_4_a_start_that_comes_after_the_lock_was_learnt_is_disconnected(live: Live) -> None:
    """Granted while the lock was open, and started when it was not."""
    live.load({"username": "ali"}, params=[LEARN])
    with live.engine():
        late = live.log_in("ali", mac=OTHER)
        live.router.hang_up(late)
        until(lambda: lock_of(live.db)[0] == OTHER, "the lock is learnt")
        live.load({"username": "ali", "mac": MINE})
        late.acct_session_id = "81ffffff"
        live.router.sessions[late.acct_session_id] = late
        live.router.account(late, "Start")
        assert live.change().kind == "disconnect"
        until(live.attempts, "the result is stored")


def test_r1_4_an_operator_may_give_it_off_and_learn_anew(live: Live) -> None:
    live.load({"username": "ali", "mac": MINE}, params=[LEARN])
    assert lock_of(live.db) == (MINE, MINE, False)
    live.load(params=[{"scope": "user:ali", "name": "caller-id-lock", "value": "off"}])
    assert lock_of(live.db) == (MINE, "", False)
    live.load(params=[{"scope": "user:ali", "name": "caller-id-lock", "value": OTHER}])
    assert lock_of(live.db) == (MINE, MINE, False)
    live.load({"username": "ali", "mac": None})
    assert lock_of(live.db) == (None, OTHER, False)
    live.load(params=[{"scope": "user:ali", "name": "caller-id-lock", "value": None}])
    assert lock_of(live.db) == (None, "", True)


def test_r1_4_what_was_noticed_is_dropped_where_nothing_is_learnt_any_more(live: Live) -> None:
    live.load({"username": "ali"}, params=[LEARN])
    live.log_in("ali", mac=MINE)
    live.load(params=[{**LEARN, "value": "off"}])
    with live.engine():
        until(lambda: not live.rows(recompile_request), "the request is done")
    assert lock_of(live.db) == (None, "", False)
    assert rows(live.db, event, event.c.kind == "learn") == []


# --- the whole server ------------------------------------------------------------------------------------------------


def test_r1_4_a_login_from_another_device_is_refused_and_says_why(world: System, name: str) -> None:
    lock: dict[str, Any] = {"scope": f"user:{name}", "name": "caller-id-lock", "value": "learn"}
    world.load({"username": name}, params=[lock])
    world.everywhere(lambda at: world.ask(name, process=at)[0] == "Access-Accept", "he is known")
    assert isinstance(world.router.login(Subscriber(name, "secret", mac=MINE)), Session)

    def refused(process: int) -> bool:
        return world.ask(name, process=process, more=(("Calling-Station-Id", OTHER),))[0] == "Access-Reject"

    world.everywhere(refused, "the lock")
    code, told = world.ask(name, more=(("Calling-Station-Id", OTHER),))
    assert (code, told["Reply-Message"]) == ("Access-Reject", "This login is bound to another device.")
    outcome = world.router.login(Subscriber(name, "secret", mac=OTHER))
    assert isinstance(outcome, Refused)
    assert world.ask(name, more=(("Calling-Station-Id", MINE),))[0] == "Access-Accept"
    line = f"login user={name} nas=others calling={OTHER} result=reject cause=caller-id locked_to={MINE}"
    until(lambda: line in world.made.log, "the log tells the device it is bound to")
