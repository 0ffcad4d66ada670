"""Finish addresses from our own pools, on both databases (R3.1, R3.3)."""

import logging
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from aaa.coa import boundaries
from aaa.commands import door, jobs
from aaa.store.database import Database, open_database
from aaa.store.tables import event, pool, pool_address, pool_wait
from billing import commands
from ledgate.lab.nas import Session
from ledgate.load import BadLoad
from tests.integration.command import Ledgate
from tests.integration.ledger import DAY, NOW, content, example, put, ref, rows, subscriber, timeline_of
from tests.integration.live_change import scene, until

POOLED = {"restrict": {"ip_pool": "finish-ips", "address_list": "overdue"}}
OWES = -900_000


def finish(*ranges: str, **actions: object) -> dict[str, Any]:
    """A file with a pool of these ranges, used by everybody's rule."""
    rule = {"name": "garden", **({"debit": POOLED} | actions)}
    return {"pools": [{"name": "finish-ips", "ranges": list(ranges)}], "finish_rules": [rule]}


def stage(db: Database, ranges: list[str], *subscribers: dict[str, Any], **sections: Any) -> None:
    """The document of the manual with a pool of these ranges; ali, its VIP, owes but is not blocked."""
    document = example(subscribers=list(subscribers))
    put(db, document | finish(*ranges) | sections)


def address(db: Database, name: str, at: int = NOW) -> str | None:
    """The address a subscriber is given."""
    found = dict(timeline_of(db, name)[0].at(at).profile).get("Framed-IP-Address")
    assert found is None or isinstance(found, str)
    return found


def pay(db: Database, name: str, amount: int = 1_000_000, now: int = NOW) -> None:
    commands.pay(db, ref(db, name), amount, external_id=f"{name}-{now}", actor="test", now=now)


def charge(db: Database, name: str, amount: int = 900_000, now: int = NOW) -> None:
    commands.charge(db, ref(db, name), amount, due_at=now, override=True, actor="test", now=now)


def owners(db: Database) -> dict[int, int | None]:
    return {row.address & 0xFF: row.service_id for row in rows(db, pool_address)}


# --- the file --------------------------------------------------------------------------------------------------------


def test_r3_1_a_pool_is_loaded_once(database: Database) -> None:
    stage(database, ["10.99.0.0/30", "10.98.0.5-10.98.0.6", "10.97.0.1"])
    [made] = rows(database, pool)
    assert (made.name, made.ranges) == ("finish-ips", ["10.99.0.0/30", "10.98.0.5-10.98.0.6", "10.97.0.1"])
    assert len(rows(database, pool_address)) == 5
    before = content(database)
    for again in ({"name": "finish-ips", "ranges": made.ranges}, {"name": "finish-ips"}):
        put(database, {"pools": [again]})
        assert content(database) == before


@pytest.mark.parametrize(
    ("pools", "path", "fault"),
    [
        ([{"name": "a"}], "pools[0].ranges", "is missing"),
        ([{"name": "a", "ranges": None}], "pools[0].ranges", "must not be null"),
        ([{"name": "a", "ranges": []}], "pools[0].ranges", "must be a list of 1 to 256 ranges"),
        ([{"name": "a", "ranges": ["10.0.0.1", "ten"]}], "pools[0].ranges[1]", "'ten' is not a range"),
        ([{"name": "a", "ranges": [7]}], "pools[0].ranges[0]", "must be text"),
        ([{"name": "a", "ranges": ["10.0.0.0/13"]}], "pools[0].ranges", "has more than 262144 addresses"),
        (
            [{"name": "a", "ranges": ["10.1.0.0/24", "10.1.0.9"]}],
            "pools[0].ranges[1]",
            "10.1.0.9 is in 10.1.0.0/24 of the pool a already",
        ),
        (
            [{"name": "a", "ranges": ["10.1.0.0/24"]}, {"name": "b", "ranges": ["10.2.0.1", "10.1.0.9-10.1.1.9"]}],
            "pools[1].ranges[1]",
            "10.1.0.9 is in 10.1.0.0/24 of the pool a already",
        ),
        (
            [{"name": "a", "ranges": ["10.98.255.0-10.99.0.1"]}],
            "pools[0].ranges[0]",
            "10.99.0.1 is in 10.99.0.0/30 of the pool finish-ips already",
        ),
        ([{"name": "a", "ranges": ["10.1.0.1"], "size": 1}], "pools[0].size", "unknown key"),
    ],
)
def test_r3_1_a_fault_in_a_pool_is_named_with_its_path(
    sqlite_url: str, pools: list[dict[str, Any]], path: str, fault: str
) -> None:
    database = open_database(sqlite_url)
    stage(database, ["10.99.0.0/30"])
    before = content(database)
    with pytest.raises(BadLoad) as refused:
        put(database, {"pools": pools})
    assert refused.value.path == path
    assert fault in str(refused.value)
    assert content(database) == before
    database.close()


def test_r3_1_a_rule_names_pools_that_exist(sqlite_url: str) -> None:
    database = open_database(sqlite_url)
    stage(database, ["10.99.0.0/30"])
    for actions, path in (
        ({"debit": {"restrict": {"ip_pool": "gone"}}}, "finish_rules[0].debit.restrict.ip_pool"),
        (
            {"suspended": {"non_payer": {"restrict": {"ip_pool": "gone"}}, "*": "deny"}},
            "finish_rules[0].suspended.non_payer.restrict.ip_pool",
        ),
    ):
        with pytest.raises(BadLoad) as refused:
            put(database, {"finish_rules": [{"name": "other", **actions}]})
        assert refused.value.path == path
        assert "there is no pool called 'gone'" in str(refused.value)
    database.close()


# --- giving and taking back ------------------------------------------------------------------------------------------


def test_r3_3_who_is_blocked_has_an_address_of_his_own_as_long_as_he_is(database: Database) -> None:
    stage(database, ["10.99.0.0/29"], subscriber("sara", OWES, static_ip="192.0.2.7"), subscriber("reza", OWES))
    assert address(database, "ali") is None
    mine, other = address(database, "sara"), address(database, "reza")
    assert {mine, other} == {"10.99.0.1", "10.99.0.2"}
    # it stays whatever else changes
    charge(database, "sara", 1_000, NOW + 1)
    put(database, {"finish_rules": [{"name": "garden", "expire": "deny"}]}, NOW + 2)
    put(database, {"pools": [{"name": "finish-ips", "ranges": ["10.99.0.0/29", "10.98.0.1"]}]}, NOW + 3)
    assert (address(database, "sara", NOW + 4), address(database, "reza", NOW + 4)) == (mine, other)
    # paid: the static address again, and the finish address is free
    pay(database, "sara", now=NOW + 5)
    assert address(database, "sara", NOW + 6) == "192.0.2.7"
    assert [row.service_id for row in rows(database, pool_address) if row.service_id] == [
        ref(database, "reza").service_id
    ]
    [freed] = [row for row in rows(database, pool_address) if row.freed_at]
    assert (freed.freed_at, freed.service_id) == (NOW + 5, None)
    # what was freed last is given last: its router may not know yet
    put(database, {"subscribers": [subscriber("new", OWES)]}, NOW + 7)
    assert address(database, "new", NOW + 8) not in (mine, other, None)


def test_r3_3_an_address_is_there_before_the_block_begins(database: Database) -> None:
    """Debt of a VIP-less subscriber in time: blocked in 30 days, which this timeline covers."""
    stage(database, ["10.99.0.0/29"], subscriber("sara", -1_000, last_payment="2026-11-20T00:00:00Z"))
    assert address(database, "sara") is None
    assert address(database, "sara", NOW + 34 * DAY) == "10.99.0.1"


def test_r3_3_a_rule_that_wants_it_no_more_gives_it_back(database: Database) -> None:
    stage(database, ["10.99.0.0/29"], subscriber("sara", OWES))
    assert address(database, "sara") == "10.99.0.1"
    put(database, {"finish_rules": [{"name": "garden", "debit": {"restrict": {"address_list": "overdue"}}}]}, NOW + 1)
    assert address(database, "sara", NOW + 2) is None
    assert set(owners(database).values()) == {None}


def test_r3_1_two_causes_may_use_two_pools(database: Database) -> None:
    ends = {"active_to": "2026-11-30T00:00:00Z", "last_payment": "2026-11-20T00:00:00Z"}
    stage(database, ["10.99.0.0/29"], subscriber("sara", -1_000, **ends))
    more = {"name": "garden", "expire": {"restrict": {"ip_pool": "ended"}}}
    put(database, {"pools": [{"name": "ended", "ranges": ["10.98.0.1"]}], "finish_rules": [more]}, NOW + 1)
    assert address(database, "sara", NOW + 10 * DAY) == "10.98.0.1"
    assert address(database, "sara", NOW + 34 * DAY) == "10.99.0.1", "debit is stronger than expire"


# --- pools that are too small ----------------------------------------------------------------------------------------


def test_r3_1_an_empty_pool_restricts_without_an_address_and_says_so(
    database: Database, database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["sara", "reza", "omid"]
    with caplog.at_level(logging.WARNING):
        stage(database, ["10.99.0.1"], *(subscriber(name, OWES) for name in names))
    served = [name for name in names if address(database, name)]
    assert len(served) == 1
    for name in names:
        assert timeline_of(database, name)[0].at(NOW).verdict.word == "restrict"
    assert len(rows(database, pool_wait)) == 2
    told = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert told == ["pool=finish-ips is used up: 2 more services are restricted without an address of it"]
    # compiled again it is not told again
    caplog.clear()
    put(database, {"finish_rules": [{"name": "garden", "expire": "deny"}]}, NOW + 1)
    assert not caplog.records
    ledgate = Ledgate(database_url, tmp_path / "state")
    assert ledgate.json("pools") == [
        {"name": "finish-ips", "ranges": ["10.99.0.1"], "size": 1, "used": 1, "free": 0, "waiting": 2}
    ]
    assert ledgate("pools").splitlines() == [
        "name        size  used  free  waiting  ranges",
        "finish-ips  1     1     0     2        10.99.0.1",
        "finish-ips is used up: 2 services are restricted without an address of it",
    ]
    # one pays: the engine gives his address to one who waits
    assert not boundaries.fill(database, NOW + 2)
    pay(database, served[0], now=NOW + 3)
    assert boundaries.next_due(database, NOW + 4) == NOW + 4
    boundaries.run(database, NOW + 4)
    waiting = [name for name in names if name != served[0]]
    assert sorted(filter(None, (address(database, name, NOW + 5) for name in waiting))) == ["10.99.0.1"]
    assert len(rows(database, pool_wait)) == 1
    # the last one pays too: nobody waits any more
    still = next(name for name in waiting if not address(database, name, NOW + 5))
    pay(database, still, now=NOW + 6)
    assert rows(database, pool_wait) == []
    assert boundaries.next_due(database, NOW + 7) != NOW + 7


def test_r3_1_a_pool_that_grows_serves_who_waits(database: Database) -> None:
    stage(database, ["10.99.0.1"], *(subscriber(name, OWES) for name in ("sara", "reza", "omid")))
    put(database, {"pools": [{"name": "finish-ips", "ranges": ["10.99.0.1-10.99.0.2"]}]}, NOW + 1)
    while boundaries.fill(database, NOW + 2):
        pass
    found = [address(database, name, NOW + 3) for name in ("sara", "reza", "omid")]
    assert sorted(one for one in found if one) == ["10.99.0.1", "10.99.0.2"]
    assert len(rows(database, pool_wait)) == 1


def test_r3_1_a_pool_that_shrinks_moves_who_had_its_addresses(database: Database) -> None:
    stage(database, ["10.99.0.1-10.99.0.2", "10.99.0.9"], subscriber("sara", OWES), subscriber("reza", OWES))
    assert {address(database, "sara"), address(database, "reza")} == {"10.99.0.1", "10.99.0.2"}
    put(database, {"pools": [{"name": "finish-ips", "ranges": ["10.99.0.2", "10.99.0.9"]}]}, NOW + 1)
    assert {address(database, "sara", NOW + 2), address(database, "reza", NOW + 2)} == {"10.99.0.2", "10.99.0.9"}
    assert sorted(owners(database)) == [2, 9]
    # to too few: one is restricted without
    put(database, {"pools": [{"name": "finish-ips", "ranges": ["10.99.0.9"]}]}, NOW + 3)
    assert sorted([address(database, "sara", NOW + 4) or "", address(database, "reza", NOW + 4) or ""]) == [
        "",
        "10.99.0.9",
    ]
    assert sorted(owners(database)) == [9]
    assert len(rows(database, pool_wait)) == 1


def test_r3_1_an_address_may_move_from_one_pool_to_another(database: Database) -> None:
    stage(database, ["10.99.0.1-10.99.0.2"], subscriber("sara", OWES))
    assert address(database, "sara") == "10.99.0.1"
    moved = [{"name": "ended", "ranges": ["10.99.0.1"]}, {"name": "finish-ips", "ranges": ["10.99.0.2"]}]
    put(database, {"pools": moved}, NOW + 1)
    assert address(database, "sara", NOW + 2) == "10.99.0.2"
    with database.read() as conn:
        names = {row.id: row.name for row in conn.execute(select(pool.c.id, pool.c.name))}
    assert {names[row.pool_id]: row.address & 0xFF for row in rows(database, pool_address)} == {
        "finish-ips": 2,
        "ended": 1,
    }


def test_r3_1_changes_of_a_pool_are_audited(database: Database) -> None:
    stage(database, ["10.99.0.1"])
    put(database, {"pools": [{"name": "finish-ips", "ranges": ["10.99.0.2"]}]}, NOW + 1)
    told = [(row.kind, row.before, row.after) for row in rows(database, event, event.c.subject == "pool:finish-ips")]
    assert told == [
        ("create", None, {"ranges": ["10.99.0.1"]}),
        ("update", {"ranges": ["10.99.0.1"]}, {"ranges": ["10.99.0.2"]}),
    ]


# --- many at once ----------------------------------------------------------------------------------------------------


def at_once(url: str, shares: list[list[str]], work: Any) -> None:
    """Each share in a thread and with connections of its own."""
    together = threading.Barrier(len(shares))
    failed: list[BaseException] = []

    def run(names: list[str], turn: int) -> None:
        db = open_database(url)
        try:
            together.wait()
            for name in names:
                work(db, name, turn)
        except BaseException as error:
            failed.append(error)
        finally:
            db.close()

    threads = [threading.Thread(target=run, args=(names, turn)) for turn, names in enumerate(shares)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_r3_1_no_address_is_given_twice_by_changes_at_once(database: Database, database_url: str) -> None:
    """Four writers block and let go 12 subscribers over 10 addresses; the engine's part is played by a fifth."""
    names = [f"user{number}" for number in range(12)]
    stage(database, ["10.99.0.1-10.99.0.10"], *(subscriber(name) for name in names))

    def work(db: Database, name: str, turn: int) -> None:
        if turn == 4:
            boundaries.fill(db, NOW + 1)
            return
        charge(db, name, now=NOW + 1)
        pay(db, name, 900_000, now=NOW + 2)
        charge(db, name, now=NOW + 3)

    at_once(database_url, [*(names[turn::4] for turn in range(4)), ["fill"] * 5], work)
    while boundaries.fill(database, NOW + 4):
        pass
    given = [address(database, name, NOW + 5) for name in names]
    served = [one for one in given if one is not None]
    assert len(served) == len(set(served)) == 10
    held = {row.service_id: row.address for row in rows(database, pool_address)}
    assert None not in held and len(held) == 10
    assert len(rows(database, pool_wait)) == 2
    for name, one in zip(names, given, strict=True):
        kept = held.get(ref(database, name).service_id)
        assert (one is None) == (kept is None)
        assert kept is None or str(one).endswith(f".{kept & 0xFF}")


def test_r3_1_a_pool_may_shrink_while_others_take_from_it(postgresql_url: str) -> None:
    database = open_database(postgresql_url)
    names = [f"user{number}" for number in range(16)]
    stage(database, ["10.99.0.1-10.99.0.40"], *(subscriber(name) for name in names))

    def work(db: Database, name: str, turn: int) -> None:
        if turn == 2:
            put(db, {"pools": [{"name": "finish-ips", "ranges": [f"10.99.0.{name}-10.99.0.40"]}]}, NOW + int(name))
        else:
            charge(db, name, now=NOW + 1)

    at_once(postgresql_url, [names[:8], names[8:], [str(first) for first in range(2, 12)]], work)
    given = [address(database, name, NOW + 100) for name in names]
    lasts = sorted(int(one.rsplit(".", 1)[1]) for one in given if one)
    assert len(lasts) == len(set(lasts)) == 16
    assert lasts[0] >= 11
    assert sorted(owners(database)) == list(range(11, 41))
    database.close()


# --- the rest of the way ---------------------------------------------------------------------------------------------


def test_r3_1_a_mass_change_gives_addresses_in_batches(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "INLINE", 3)
    monkeypatch.setattr(jobs, "INLINE", 3)
    names = [f"user{number}" for number in range(8)]
    document = example(subscribers=[subscriber(name, OWES) for name in names])
    put(database, document)
    counts = put(database, finish("10.99.0.0/28"), NOW + 1)
    assert len(counts.jobs) == 1
    assert {address(database, name, NOW + 2) for name in names} == {None}
    while jobs.run_batch(database, NOW + 3):
        pass
    assert len({address(database, name, NOW + 4) for name in names} - {None}) == 8


def test_r3_3_a_live_session_enters_and_leaves_with_its_finish_address(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    with scene(database, database_url, tmp_path / "state") as live:
        live.load({"username": "ali", "balance": -700_000})
        live.load(
            pools=[{"name": "finish-ips", "ranges": ["10.99.0.1"]}], finish_rules=[{"name": "garden", "debit": POOLED}]
        )
        live.router.behaviour.redial = True
        with live.engine():
            session = live.log_in("ali")
            assert "Framed-IP-Address" not in session.told
            live.charge("ali", 200_000)
            assert live.change().kind == "disconnect"
            until(lambda: len(live.logins) == 1, "the subscriber dials again")
            [blocked] = live.logins
            assert isinstance(blocked, Session)
            assert blocked.told["Framed-IP-Address"] == "10.99.0.1"
            assert blocked.told["Mikrotik-Address-List"] == "overdue"
            live.pay("ali", 900_000)
            assert live.change(1).kind == "disconnect"
            until(lambda: len(live.logins) == 2, "the subscriber dials again")
            free = live.logins[1]
            assert isinstance(free, Session)
            assert "Framed-IP-Address" not in free.told and free.told["Framed-Pool"] == "pool1"
        assert set(owners(database).values()) == {None}
