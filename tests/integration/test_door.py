"""The one door: what a change writes, that nothing else is written, and that no change misses another."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

from aaa.commands import catalogue, services
from aaa.commands.door import change, lock_services
from aaa.domain.standing import Standing
from aaa.domain.timeline import Verdict
from aaa.store import dialect
from aaa.store.database import Database, open_database
from aaa.store.tables import access, account, enforcement, event, nas, timeline_history
from billing.commands import pay
from tests.integration.ledger import (
    DAY,
    EXAMPLE,
    NOW,
    SEALER,
    content,
    example,
    make_live,
    put,
    ref,
    rows,
    service_row,
    timeline_of,
)
from tests.integration.ledger import subscriber as described
from tests.integration.population import add_session, close_session, wish


def _pay(db: Database, name: str, amount: int, identity: str, now: int = NOW) -> int:
    posted = pay(db, ref(db, name), amount, external_id=identity, actor="test", now=now)
    assert posted.event is not None
    return posted.event


def test_a_payment_lifts_the_block_in_its_own_transaction(database: Database) -> None:
    put(database, example(subscribers=[described("bob", -900_000), described("eve", -900_000)]))
    live = make_live(database, ["bob", "eve"])
    stored, version = timeline_of(database, "bob")
    assert (stored.at(NOW).verdict, version) == (Verdict.RESTRICT, 1)
    [old] = rows(database, access, access.c.service_id == ref(database, "bob").service_id)

    paid = _pay(database, "bob", 200_000, "1", NOW + 5)

    fresh, version = timeline_of(database, "bob")
    assert (fresh.at(NOW + 5).verdict, fresh.start, version) == (Verdict.ALLOW, NOW + 5, 2)
    [kept] = rows(database, timeline_history)
    assert (kept.service_id, kept.version, kept.record) == (old.service_id, 1, old.record)
    assert (kept.replaced_at, kept.event_id) == (NOW + 5, paid)
    [wished] = rows(database, enforcement)
    assert (wished.session_id, wished.wanted_version, wished.event_id) == (live["bob"], 2, paid)
    assert (wished.cause, wished.requested_at, wished.not_before) == ("payment", NOW + 5, NOW + 5)
    [row] = rows(database, event, event.c.id == paid)
    assert (row.at, row.actor, row.kind) == (NOW + 5, "test", "payment")
    assert row.subject == f"account:{ref(database, 'bob').account_id}"
    assert (row.before["debt"], row.after["debt"], row.after["amount"]) == (900_000, 700_000, 200_000)


def test_a_newer_wish_overwrites_an_unsent_one(database: Database) -> None:
    put(database, example(subscribers=[described("bob", -900_000)]))
    live = make_live(database, ["bob"])
    with database.write() as conn:
        wish(conn, live["bob"], ref(database, "bob").service_id)
        conn.execute(update(enforcement).values(tries=3))
    paid = _pay(database, "bob", 200_000, "1", NOW + 5)
    [wished] = rows(database, enforcement)
    assert (wished.event_id, wished.tries, wished.requested_at) == (paid, 0, NOW + 5)


def test_a_closed_session_is_not_planned_again(database: Database) -> None:
    put(database, example(subscribers=[described("bob", -900_000)]))
    live = make_live(database, ["bob"])
    with database.write() as conn:
        close_session(conn, live["bob"])
    _pay(database, "bob", 200_000, "1")
    assert rows(database, enforcement) == []


def test_a_recompile_that_says_the_same_writes_no_timeline(database: Database) -> None:
    put(database, example(subscribers=[described("bob")]))
    make_live(database, ["bob"])
    before = content(database)
    _pay(database, "bob", 5, "1", NOW + DAY)  # from no debt to a credit: the verdict is the same
    after = content(database)
    for name in ("access", "timeline_history", "enforcement", "profile"):
        assert after[name] == before[name], name
    assert len(after["event"]) == len(before["event"]) + 1


def test_an_exception_inside_a_change_leaves_nothing(database: Database) -> None:
    put(database, example(subscribers=[described("bob", -900_000)]))
    make_live(database, ["bob"])
    before = content(database)
    with pytest.raises(ZeroDivisionError), change(database, actor="test", now=NOW) as opened:
        services = opened.lock_account(ref(database, "bob").account_id)
        opened.touch(services, cause="test", event=opened.event("test", "server", None, None))
        raise ZeroDivisionError
    assert content(database) == before


def test_an_exception_at_the_end_of_a_change_leaves_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(database, example(subscribers=[described("bob", -900_000)]))
    make_live(database, ["bob"])
    before = content(database)

    def fail(*arguments: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(dialect, "notify", fail)  # the very last thing before the commit
    with pytest.raises(ZeroDivisionError):
        _pay(database, "bob", 200_000, "1")
    assert content(database) == before


def test_a_service_that_several_scopes_reach_is_compiled_once(database: Database) -> None:
    put(database, example(subscribers=[described("bob", -900_000)]))
    make_live(database, ["bob"])
    put(
        database,
        {
            "plans": [{"name": "home20", "visp": "tehran", "reply": {"Idle-Timeout": 60}}],
            "controls": [{"name": "Home-Users", "max_debt": 950_000}],
            "params": [{"scope": "user:bob", "name": "simultaneous-use", "value": 1}],
        },
    )
    assert timeline_of(database, "bob")[1] == 2
    assert len(rows(database, enforcement)) == 1


def test_a_change_of_a_control_reaches_those_under_its_params_only(database: Database) -> None:
    put(database, example(subscribers=[described("bob", -700_000)]))
    put(database, {"controls": [{"name": "Home-Users", "max_debt": 700_000}]})
    assert timeline_of(database, "bob")[0].at(NOW).verdict is Verdict.RESTRICT
    assert [timeline_of(database, name)[1] for name in ("ali", "bob")] == [1, 2]  # ali has a control of his own


# --- at the same moment ----------------------------------------------------------------------------------------------


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def postgresql_database(postgresql_url: str) -> Iterator[Database]:
    opened = open_database(postgresql_url)
    yield opened
    opened.close()


def _somebody_waits(db: Database) -> bool:
    with db.read() as conn:
        return bool(conn.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar())


def _until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_a_new_service_does_not_miss_a_change_of_its_scope_nor_the_other_way_round(
    postgresql_database: Database, background: ThreadPoolExecutor
) -> None:
    db = postgresql_database
    put(db, EXAMPLE)
    ali = service_row(db, "ali")
    new = services.NewService("bob", "x", ali.visp_id, "IRR", {"plan_id": ali.plan_id})
    with change(db, actor="test", now=NOW) as opened:
        services.create(opened, [new], [Standing(0, "IRR")], SEALER)
        reply = {"plans": [{"name": "home20", "visp": "tehran", "reply": {"Framed-Pool": "pool2"}}]}
        changing = background.submit(put, db, reply)
        _until(lambda: _somebody_waits(db))
    changing.result(timeout=20)
    assert dict(timeline_of(db, "bob")[0].at(NOW).profile)["Framed-Pool"] == "pool2"


def test_a_payment_does_not_undo_a_change_of_its_control_nor_the_other_way_round(
    postgresql_database: Database, background: ThreadPoolExecutor
) -> None:
    db = postgresql_database
    put(db, example(subscribers=[described("bob", -500)]))
    with change(db, actor="test", now=NOW) as opened:
        owned = opened.lock_account(ref(db, "bob").account_id)
        stricter = background.submit(put, db, {"controls": [{"name": "Home-Users", "max_debt": 400}]})
        _until(lambda: _somebody_waits(db))
        paid = account.update().where(account.c.id == ref(db, "bob").account_id).values(debt=450, dues=[[1, NOW, 450]])
        opened.conn.execute(paid)
        opened.touch(owned, cause="payment", event=opened.event("payment", "account", None, None))
    stricter.result(timeout=20)
    reason = timeline_of(db, "bob")[0].at(NOW).reason
    assert reason is not None and dict(reason.figures)["debt"] == 450 and dict(reason.figures)["max_debt"] == 400


def test_r2_1_who_joins_an_account_waits_for_a_change_of_its_money(
    postgresql_database: Database, background: ThreadPoolExecutor
) -> None:
    db = postgresql_database
    put(db, example(subscribers=[described("bob", account="home")]))
    with change(db, actor="test", now=NOW) as opened:
        owned = opened.lock_account(ref(db, "bob").account_id)
        joining = background.submit(put, db, {"subscribers": [described("eve", account="home")]})
        _until(lambda: _somebody_waits(db))
        owed = account.update().where(account.c.id == ref(db, "bob").account_id)
        opened.conn.execute(owed.values(debt=900_000, debt_since=NOW, dues=[[1, NOW, 900_000]]))
        opened.touch(owned, cause="charge", event=opened.event("charge", "account", None, None))
    joining.result(timeout=20)
    for name in ("bob", "eve"):
        reason = timeline_of(db, name)[0].at(NOW).reason
        assert reason is not None and dict(reason.figures)["debt"] == 900_000


def test_accounting_goes_on_for_services_and_routers_that_a_change_holds(postgresql_database: Database) -> None:
    db = postgresql_database
    put(db, EXAMPLE)
    ali = ref(db, "ali")
    with change(db, actor="test", now=NOW) as opened:
        opened.lock_account(ali.account_id)
        lock_services(opened.conn, [ali.service_id])
        catalogue.put_nas(opened, "mt1", {"octets": "client"}, SEALER)
        nas_id = opened.conn.execute(select(nas.c.id)).scalar_one()
        with db.write() as accounting:
            accounting.execute(text("SET LOCAL lock_timeout = '5s'"))
            add_session(accounting, nas_id, ali.service_id, 1)


# --- mass changes ----------------------------------------------------------------------------------------------------


def test_kill_9_in_the_middle_of_a_load_leaves_nothing(database: Database, database_url: str, tmp_path: Path) -> None:
    put(database, EXAMPLE)
    before = content(database)
    script = (
        "import sys\n"
        "from ledgate.load import apply, load\n"
        "from aaa.store.database import open_database\n"
        "from tests.integration.ledger import SEALER, NOW, subscriber\n"
        "apply.CHUNK = 50\n"
        "people = [subscriber(f'u{n}', -n) for n in range(200)]\n"
        "def progress(done):\n"
        "    print('chunk', flush=True)\n"
        "    sys.stdin.readline()\n"
        "db = open_database(sys.argv[1])\n"
        "load(db, {'subscribers': people}, SEALER, actor='t', now=NOW, progress=progress)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, database_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as loading:
        assert loading.stdin is not None and loading.stdout is not None
        assert loading.stdout.readline() == "chunk\n"
        loading.stdin.write("\n")
        loading.stdin.flush()
        assert loading.stdout.readline() == "chunk\n"  # a hundred subscribers are written, nothing is committed
        loading.kill()
        loading.wait(timeout=20)
    assert content(database) == before
    put(database, {"subscribers": [described("bob", -1)]})  # and nobody holds a lock any more
    assert timeline_of(database, "bob")[1] == 1
