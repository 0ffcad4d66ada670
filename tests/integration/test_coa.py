"""What the dispatcher does when routers, replicas and other engines are difficult, on both databases."""

import selectors
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from aaa import clock
from aaa.coa import exchange
from aaa.coa.claims import LEASE
from aaa.coa.dispatcher import Dispatcher
from aaa.coa.pace import Pace
from aaa.coa.teller import REPLICA_PATIENCE
from aaa.coa.wish import Outcome
from aaa.coa.wishes import Wishes
from aaa.radius.counters import Counters
from aaa.radius.dictionary import load as load_dictionary
from aaa.routeros.work import Kept, Work
from aaa.store.database import Database, open_database
from aaa.store.tables import enforcement, replica_position
from aaa.store.tables import nas as nas_table
from aaa.store.tables import session as session_table
from ledgate.lab.nas import Nas
from tests.integration.live_change import SECRET, Live, many, scene, settled, until

DAY = 86_400 * clock.SECOND


@pytest.fixture
def live(database: Database, database_url: str, tmp_path: Path) -> Iterator[Live]:
    with scene(database, database_url, tmp_path / "state") as live:
        yield live


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are given up after three quarters of a second, so that even a busy machine's router can answer."""
    monkeypatch.setattr(exchange, "FIRST_WAIT", 50_000)
    monkeypatch.setattr(exchange, "LONGEST_WAIT", 200_000)


def owing(live: Live, **more: Any) -> None:
    live.load({"username": "ali", "balance": -900_000, **more})


def slower(live: Live) -> None:
    """A change that goes by CoA."""
    live.load({"username": "ali", "plan": "slow"})


def test_rfc5176_2_3_a_lost_request_is_sent_again_unchanged_from_the_same_port(live: Live) -> None:
    owing(live)
    live.router.behaviour.lose_requests = 1
    with live.engine():
        live.log_in("ali")
        live.pay("ali", 500_000)
        live.change()
        [told] = settled(live)
    assert [one.data for one in live.router.received] == [live.router.received[0].data] * 2
    assert live.router.received[0].source == live.router.received[1].source
    assert (told["result"], told["sends"]) == ("ack", 2)


def test_a_lost_answer_is_given_again_and_the_change_made_once(live: Live) -> None:
    live.load({"username": "ali", "balance": 0})
    live.router.behaviour.lose_answers = 1
    with live.engine():
        live.log_in("ali")
        slower(live)
        [told] = settled(live)
    assert (told["kind"], told["result"], told["sends"]) == ("coa", "ack", 2)
    assert len(live.changes) == 1


def test_a_refused_coa_becomes_a_disconnect(live: Live) -> None:
    live.load({"username": "ali", "balance": 0})
    live.router.behaviour.coa = "nak"
    live.router.behaviour.error_cause = 401
    with live.engine():
        live.log_in("ali")
        slower(live)
        assert live.change(1).kind == "disconnect"
        first, second = settled(live)
        until(lambda: not live.wishes(), "the wish is fulfilled")
    assert (first["kind"], first["result"], first["error_cause"]) == ("coa", "nak", 401)
    assert (second["kind"], second["result"], second["error_cause"]) == ("disconnect", "ack", None)


def test_a_session_that_the_router_does_not_know_is_looked_at_again_until_it_is_closed(live: Live) -> None:
    owing(live)
    with live.engine():
        session = live.log_in("ali")
        live.router.sessions.clear()
        live.pay("ali", 500_000)
        [told] = settled(live)
        assert (told["result"], told["error_cause"]) == ("nak", 503)
        hurry(live)
        until(lambda: len(live.attempts()) == 2 and not live.wishes()[0]["claimed_until"], "it is asked once more")
        [wish] = live.wishes()
        assert wish["not_before"] > clock.now() + 2 * 300 * clock.SECOND - 5 * clock.SECOND
        live.router.sessions[session.acct_session_id] = session
        live.router.hang_up(session)
        hurry(live)
        until(lambda: not live.wishes(), "the closed session's wish is gone")
    assert len(live.attempts()) == 2


@pytest.mark.usefixtures("impatient")
def test_a_silent_router_is_tried_again_later_until_it_answers(live: Live) -> None:
    owing(live)
    live.router.behaviour.disconnect = "silent"
    with live.engine():
        live.log_in("ali")
        live.pay("ali", 500_000)
        [told] = settled(live)
        assert (told["result"], told["sends"], told["latency"]) == ("timeout", exchange.SENDS, None)
        [wish] = live.wishes()
        assert wish["tries"] == 1 and wish["not_before"] > clock.now()
        live.router.behaviour.disconnect = "ack"
        hurry(live)
        assert live.change().kind == "disconnect"
        until(lambda: not live.wishes(), "the wish is fulfilled")
    assert [one["result"] for one in live.attempts()] == ["timeout", "ack"]
    datagrams = [one.data for one in live.router.received]
    assert len(set(datagrams[: exchange.SENDS])) == 1 and datagrams[-1] != datagrams[0]


@pytest.mark.usefixtures("impatient")
def test_an_unanswered_coa_that_is_taken_back_is_told_all_the_same(live: Live) -> None:
    live.load({"username": "ali", "balance": 0})
    live.router.behaviour.lose_answers = 100
    with live.engine():
        session = live.log_in("ali")
        slower(live)
        settled(live)
        assert session.told["Mikrotik-Rate-Limit"] == "1M/1M"
        live.router.behaviour.lose_answers = 0
        live.load({"username": "ali", "plan": "home20"})
        until(lambda: not live.wishes(), "the wish is fulfilled")
    assert session.told["Mikrotik-Rate-Limit"] == "20M/20M"


def test_a_newer_wish_overtakes_one_that_is_being_sent(live: Live) -> None:
    live.load({"username": "ali", "balance": 0})
    live.router.behaviour.coa = "silent"
    with live.engine():
        session = live.log_in("ali")
        slower(live)
        until(lambda: live.router.received, "the first request reaches the router")
        live.router.behaviour.coa = "ack"
        reply = {"Mikrotik-Rate-Limit": "90M/90M", "Framed-Pool": "pool1"}
        fast = {"name": "fast", "visp": "tehran", "price": 1, "reply": reply}
        live.load({"username": "ali", "plan": "fast"}, plans=[fast])
        until(lambda: session.told["Mikrotik-Rate-Limit"] == "90M/90M", "the newer wish is told")
        until(lambda: not live.wishes(), "the wish is fulfilled")
    assert [one["result"] for one in live.attempts()] == ["superseded", "ack"]


def test_a_newer_wish_overwrites_an_unsent_one(live: Live) -> None:
    owing(live)
    live.log_in("ali")
    live.pay("ali", 500_000)
    live.charge("ali", 600_000)
    [wish] = live.wishes()
    assert (wish["cause"], wish["tries"]) == ("charge", 0)
    with live.engine():
        until(lambda: not live.wishes(), "the wish is planned")
    assert live.attempts() == [] and live.router.received == []  # it has what is wanted: nothing was ever sent


def test_a_session_closed_meanwhile_is_told_nothing(live: Live) -> None:
    owing(live)
    session = live.log_in("ali")
    live.pay("ali", 500_000)
    live.router.hang_up(session)
    with live.engine():
        until(lambda: not live.wishes(), "the wish is gone")
    assert live.attempts() == []


# --- replicas --------------------------------------------------------------------------------------------------------


def lag(live: Live, position: str) -> None:
    """A live replica that is only so far; it reports again and again until the scene ends."""
    with live.db.write() as conn:
        row = {"machine": "other", "position": position, "seen_at": clock.now() + 60 * clock.SECOND}
        conn.execute(replica_position.insert(), row)


def test_a_disconnect_waits_for_a_lagging_replica_but_not_for_long(live: Live) -> None:
    owing(live)
    live.log_in("ali")
    lag(live, "3:3:" if live.db.is_postgresql else "0")
    with live.engine():
        asked = clock.now()
        paid = live.pay("ali", 500_000)
        change = live.change()
        assert change.at - asked >= REPLICA_PATIENCE
        assert change.at - paid < REPLICA_PATIENCE + 500_000


def test_a_disconnect_goes_as_soon_as_the_replica_has_the_verdict(live: Live) -> None:
    owing(live)
    live.log_in("ali")
    lag(live, "3:3:" if live.db.is_postgresql else "0")
    with live.engine():
        paid = live.pay("ali", 500_000)
        with live.db.write() as conn:
            far = "4000000000:4000000000:" if live.db.is_postgresql else "1000000"
            conn.execute(update(replica_position).values(position=far))
        change = live.change()
        assert change.at - paid < REPLICA_PATIENCE // 2


def test_a_coa_does_not_wait_for_replicas(live: Live) -> None:
    live.load({"username": "ali", "balance": 0})
    live.log_in("ali")
    lag(live, "3:3:" if live.db.is_postgresql else "0")
    with live.engine():
        asked = clock.now()
        slower(live)
        assert live.change().at - asked < REPLICA_PATIENCE // 2


# --- routers ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("impatient")
def test_during_a_rotation_the_other_secret_is_tried(live: Live) -> None:
    owing(live)
    live.load(nas=[live.nas(secret="the new one", previous_secret=SECRET.decode())])
    with live.engine():
        live.log_in("ali")
        live.pay("ali", 500_000)
        assert live.change().kind == "disconnect"
        assert [one["result"] for one in settled(live)] == ["timeout", "ack"]
        live.router.behaviour.redial = True
        again = live.log_in("ali")
        live.charge("ali", 700_000)
        live.change(1)
        settled(live)
    assert [one["result"] for one in live.attempts()] == ["timeout", "ack", "ack"]  # it remembers which one works
    assert again.acct_session_id not in live.router.sessions


def test_coa_address_overrides_the_source(live: Live) -> None:
    owing(live)
    with Nas(("127.0.0.1", 9), ("127.0.0.1", 9), SECRET, coa=("127.0.0.2", 0)) as other:
        live.load(nas=[live.nas(coa_address="127.0.0.2", coa_port=other.coa_port)])
        with live.engine():
            live.log_in("ali")
            live.pay("ali", 500_000)
            until(lambda: other.received, "the request reaches the other address")
    assert live.router.received == []


def test_a_router_with_a_broken_secret_does_not_hold_up_the_others(live: Live) -> None:
    owing(live)
    live.load({"username": "eva", "balance": -900_000}, nas=[live.nas(name="mt2", identifier="mt2")])
    one, other = live.log_in("ali"), live.log_in("eva")
    [broken] = live.rows(nas_table.c.id, nas_table.c.name == "mt2")
    with live.db.write() as conn:
        conn.execute(update(nas_table).where(nas_table.c.id == broken["id"]).values(secret=b"damaged"))
        mine = session_table.c.acct_session_id == one.acct_session_id
        conn.execute(update(session_table).where(mine).values(nas_id=broken["id"]))
    with live.engine():
        live.pay("ali", 500_000)
        live.pay("eva", 500_000)
        change = live.change()
        until(lambda: [one["tries"] for one in live.wishes()] == [1], "one is told, the other put off")
    assert change.session is other


def test_simultaneous_use_beyond_the_limit_disconnects_the_newcomer(live: Live) -> None:
    live.load(
        {"username": "ali", "balance": 0},
        params=[{"scope": "user:ali", "name": "simultaneous-use", "value": 1}],
    )
    with live.engine():
        live.log_in("ali", mac="02:00:00:00:00:01")
        newcomer = live.log_in("ali", mac="02:00:00:00:00:02")
        change = live.change()
        assert change.kind == "disconnect" and change.session is newcomer
        until(lambda: not live.wishes(), "the wish is fulfilled")
    assert live.attempts()[0]["cause"] == "simultaneous-use"


# --- several engines, and none ---------------------------------------------------------------------------------------


def hurry(live: Live) -> None:
    """Make what was put off due now."""
    with live.db.write() as conn:
        conn.execute(update(enforcement).values(not_before=clock.now(), feed=enforcement.c.feed))


def test_two_dispatchers_never_claim_one_row_at_once(live: Live, database_url: str) -> None:
    sessions = many(live, 40)
    for one in sessions:
        live.pay(one.subscriber.username, 500_000)
    claimed: list[list[int]] = [[], []]
    start = threading.Barrier(2)

    def claim(which: int) -> None:
        db = open_database(database_url)
        wishes = Wishes(db, live.sealer)
        start.wait()
        while found := wishes.claim(clock.now(), 3, []):
            claimed[which] += [wish.session_id for wish in found]
        db.close()

    threads = [threading.Thread(target=claim, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed[0]) + len(claimed[1]) == len({*claimed[0], *claimed[1]}) == 40
    if live.db.is_postgresql:
        assert claimed[0] and claimed[1]


def test_two_engines_send_each_disconnect_once(live: Live) -> None:
    sessions = many(live, 20)
    with live.engine(), live.engine():
        for one in sessions:
            live.pay(one.subscriber.username, 500_000)
        until(lambda: len(live.changes) >= 20 and not live.wishes(), "all wishes are fulfilled")
    assert len(live.changes) == len(live.attempts()) == 20
    assert len({one.data for one in live.router.received}) == 20  # but for retransmissions on a slow machine


def test_the_claims_of_a_dead_engine_run_out(live: Live) -> None:
    owing(live)
    live.log_in("ali")
    live.pay("ali", 500_000)
    wishes = Wishes(live.db, live.sealer)
    now = clock.now()
    [taken] = wishes.claim(now, 10, [])
    assert wishes.claim(now + LEASE - 1, 10, []) == []
    assert [wish.session_id for wish in wishes.claim(now + LEASE, 10, [])] == [taken.session_id]


def test_a_wish_that_was_overwritten_in_hand_is_kept(live: Live) -> None:
    owing(live)
    live.log_in("ali")
    live.pay("ali", 500_000)
    wishes = Wishes(live.db, live.sealer)
    [taken] = wishes.claim(clock.now(), 10, [])
    live.charge("ali", 600_000)
    assert wishes.look([taken], [], clock.now()) == {}
    wishes.store([Outcome(taken)])
    [kept] = live.wishes()
    assert (kept["cause"], kept["claimed_until"]) == ("charge", 0)


def test_what_a_killed_engine_may_have_told_is_told_again(live: Live) -> None:
    """It told the payment's rate and was killed before it could say so; by the database all is as the debt wants it."""
    live.load({"username": "ali"})
    one = live.log_in("ali")
    slower(live)
    [taken] = Wishes(live.db, live.sealer).claim(clock.now(), 10, [])
    assert taken.session.doubtful == frozenset()
    one.told["Mikrotik-Rate-Limit"] = "1M/1M"
    live.load({"username": "ali", "plan": "home20"})
    later = clock.now() + LEASE + clock.SECOND
    [again] = Wishes(live.db, live.sealer).claim(later, 10, [])
    assert "Mikrotik-Rate-Limit" in again.session.doubtful
    [lost] = live.attempts()
    assert (lost["kind"], lost["result"], lost["at"]) == ("coa", "lost", later)
    with live.db.write() as conn:
        conn.execute(update(enforcement).values(claimed_until=1))
    with live.engine():
        until(lambda: one.told["Mikrotik-Rate-Limit"] == "20M/20M", "he has his rate again")


def test_claiming_keeps_the_mark_that_replicas_are_compared_with(live: Live) -> None:
    owing(live)
    live.log_in("ali")
    live.pay("ali", 500_000)
    [before] = live.wishes()
    Wishes(live.db, live.sealer).claim(clock.now(), 10, [])
    [after] = live.wishes()
    assert after["claimed_until"] > 0 and after["feed"] == before["feed"]


class Nobody:
    """A Keeper whom nobody asks for anything."""

    def submit(self, token: int, nas_id: int, work: Work) -> None:
        raise AssertionError(f"asked for {work}")

    def cancel(self, token: int) -> None:
        raise AssertionError(f"asked to forget {token}")

    def finished(self) -> list[Kept]:
        return []


def test_outcomes_outlast_an_outage(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    owing(live)
    live.log_in("ali")
    live.pay("ali", 500_000)
    wishes = Wishes(live.db, live.sealer)
    selector = selectors.DefaultSelector()
    dispatcher = Dispatcher(wishes, Pace(live.db), load_dictionary(), selector, clock.now, Counters(), Nobody())

    def turn() -> bool:
        dispatcher.turn()
        return bool(live.attempts())

    until(lambda: turn() or live.changes, "the router is told")
    for ready, _ in selector.select(1.0):
        dispatcher.receive(ready.fileobj, ready.data)  # type: ignore[arg-type]
    with monkeypatch.context() as away:
        away.setattr(wishes, "exchange", lambda *_: (_ for _ in ()).throw(ConnectionError()))
        with pytest.raises(ConnectionError):
            until(turn, "it hands in what came of it")
    assert live.attempts() == []
    until(turn, "it is stored")
    assert [one["result"] for one in live.attempts()] == ["ack"]
    assert live.wishes() == []
    dispatcher.close()
    selector.close()
