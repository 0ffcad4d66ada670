"""What is committed is served at once by every process and told to live sessions, on both databases."""

import os
import signal
from typing import Any

from aaa import clock
from aaa.domain.grace import grace
from aaa.domain.instant import iso
from aaa.store.tables import session as session_table
from ledgate.lab.nas import Session
from tests.integration.serving import router, until
from tests.integration.system import AUTH_PROCESSES, PROMPTLY, System


def given(world: System, **one: Any) -> None:
    """Load a subscriber and wait until every process knows him; `balance` 0 unless told."""
    world.load({"balance": 0, **one})
    world.everywhere(lambda process: world.ask(one["username"], process=process)[0] == "Access-Accept", "he is known")


def pool(world: System, name: str, process: int) -> object:
    return world.ask(name, process=process)[1].get("Framed-Pool")


# --- the change feed: every auth process, within a second of the commit ---


def test_a_new_subscriber_and_a_new_password(world: System, name: str) -> None:
    world.load({"username": name})
    assert world.everywhere(lambda at: world.ask(name, process=at)[0] == "Access-Accept", "the subscriber") < PROMPTLY
    world.load({"username": name, "password": "another"})
    took = world.everywhere(lambda at: world.ask(name, "another", process=at)[0] == "Access-Accept", "the password")
    assert took < PROMPTLY
    assert world.ask(name)[0] == "Access-Reject"


def test_a_payment_and_a_charge(world: System, name: str) -> None:
    given(world, username=name, balance=-900_000)
    assert pool(world, name, 0) == "finish"
    world.pay(name, 500_000)
    assert world.everywhere(lambda at: pool(world, name, at) == "pool1", "the payment") < PROMPTLY
    world.charge(name, 500_000)
    assert world.everywhere(lambda at: pool(world, name, at) == "finish", "the charge") < PROMPTLY


def test_a_routers_secret_is_rotated_while_it_is_served(world: System, name: str) -> None:
    given(world, username=name)

    def secrets(**more: Any) -> None:
        world.load(nas=[router("others", "127.0.0.1"), router("turning", "127.0.0.3", **more)])

    def let_in(secret: str, process: int, wait: float = 0.1) -> bool:
        told = world.ask(name, process=process, secret=secret.encode(), source="127.0.0.3", wait=wait)
        return told[0] == "Access-Accept"

    def counted(secret: str, process: int, wait: float = 0.1) -> bool:
        told = (("User-Name", name), ("Acct-Session-Id", f"turn-{name}"), ("Acct-Status-Type", "Start"))
        return world.report(*told, process=process, secret=secret.encode(), source="127.0.0.3", wait=wait)[0] != ""

    secrets(secret="the first")
    assert world.everywhere(lambda at: let_in("the first", at), "the router") < PROMPTLY
    world.everywhere(lambda at: counted("the first", at), "the router's records")
    secrets(secret="the second", previous_secret="the first")
    assert world.everywhere(lambda at: let_in("the second", at), "the new secret") < PROMPTLY
    world.everywhere(lambda at: counted("the second", at), "the new secret's records")
    assert all(let_in("the first", at, wait=2.0) and counted("the first", at, wait=2.0) for at in range(AUTH_PROCESSES))
    secrets(secret="the second", previous_secret=None)
    assert world.everywhere(lambda at: not let_in("the first", at), "no old secret") < PROMPTLY
    world.everywhere(lambda at: not counted("the first", at), "no old secret's records")
    assert all(
        let_in("the second", at, wait=2.0) and counted("the second", at, wait=2.0) for at in range(AUTH_PROCESSES)
    )


def test_a_realm(world: System, name: str) -> None:
    given(world, username=name)
    realm = f"{name}.example"
    assert world.ask(f"{name}@{realm}")[0] == "Access-Reject"
    world.load(visps=[{"name": "tehran", "currency": "IRR", "timezone": "Asia/Tehran", "realm": realm}])
    took = world.everywhere(lambda at: world.ask(f"{name}@{realm}", process=at)[0] == "Access-Accept", "the realm")
    assert took < PROMPTLY


# --- live sessions ---


def restricted(session: Session) -> bool:
    return session.told.get("Framed-Pool") == "finish"


def test_a_payment_lifts_the_garden_and_the_redial_meets_it_then_a_charge_cuts(world: System, name: str) -> None:
    given(world, username=name, balance=-900_000)
    world.router.behaviour.redial = True
    assert restricted(world.log_in(name))
    paid_at = world.pay(name, 500_000)
    lifted = world.change_of(name)
    assert (lifted.kind, lifted.answer) == ("disconnect", "ack")
    assert lifted.at - paid_at < PROMPTLY * clock.SECOND
    # The redial comes 200 ms after the Disconnect, whatever process answers it.
    assert not restricted(world.redial_of(name))
    world.charge(name, 600_000)
    assert world.change_of(name, 1).kind == "disconnect"
    assert restricted(world.redial_of(name, 1))
    until(lambda: not wishes_of(world, name), "peace")
    causes = [one["cause"] for one in world.attempts() if one["session_id"] in sessions_of(world, name)]
    assert causes == ["payment", "charge"]


def wishes_of(world: System, name: str) -> list[dict[str, Any]]:
    service_id = world.ref(name).service_id
    return [one for one in world.wishes() if one["service_id"] == service_id]


def sessions_of(world: System, name: str) -> set[int]:
    return {row["id"] for row in world.rows(session_table, session_table.c.service_id == world.ref(name).service_id)}


def test_a_change_of_the_rate_alone_is_a_coa(world: System, name: str) -> None:
    given(world, username=name)
    session = world.log_in(name)
    world.load({"username": name, "plan": "slow"})
    change = world.change_of(name)
    assert (change.kind, change.answer) == ("coa", "ack")
    assert change.asked == {"Mikrotik-Rate-Limit": "1M/1M"}
    assert world.router.sessions[session.acct_session_id].told["Mikrotik-Rate-Limit"] == "1M/1M"


def control(name: str, max_delay: int) -> dict[str, list[dict[str, Any]]]:
    """Sections that give a subscriber a control of his own, with a delay in seconds."""
    return {
        "controls": [{"name": name, "max_debt": 800_000, "max_delay": max_delay, "anchor": "last_payment"}],
        "params": [{"scope": f"user:{name}", "name": "DebitControl", "value": name}],
    }


def test_a_deadline_acts_by_itself(world: System, name: str) -> None:
    world.router.behaviour.redial = True
    began = clock.now()
    deadline = began + 4 * clock.SECOND
    world.load({"username": name, "balance": -1000, "last_payment": iso(began)}, **control(name, 4))
    world.everywhere(lambda process: world.ask(name, process=process)[0] == "Access-Accept", "he is known")
    session = world.log_in(name)
    assert not restricted(session)
    # Should every CoA be lost, the router ends it a grace after the verdict does.
    left = session.told["Session-Timeout"] - grace(world.ref(name).service_id)
    assert 0 <= left <= 4
    change = world.change_of(name)
    assert change.kind == "disconnect"
    assert deadline <= change.at < deadline + PROMPTLY * clock.SECOND
    assert restricted(world.redial_of(name))


def test_r6_3_who_uses_much_is_slowed_down_then_put_into_the_garden(world: System, name: str) -> None:
    gigabyte = 10**9
    limits: dict[str, list[dict[str, Any]]] = {
        "fup_policies": [{"name": name, "levels": [{"gb": 1, "reduce": "2M/2M"}, {"gb": 2, "suspend": True}]}],
        "finish_rules": [{"name": name, "traffic": {"restrict": {"pool": "finish"}}}],
        "params": [
            {"scope": f"user:{name}", "name": "FupPolicy", "value": name},
            {"scope": f"user:{name}", "name": "FinishRule", "value": name},
        ],
    }
    world.router.behaviour.redial = True
    world.load({"username": name, "balance": 0}, **limits)
    world.everywhere(lambda process: world.ask(name, process=process)[0] == "Access-Accept", "he is known")
    session = world.log_in(name)
    world.router.interim(session, 1, gigabyte)
    told_at = clock.now()
    slowed = world.change_of(name)
    assert (slowed.kind, slowed.asked, slowed.answer) == ("coa", {"Mikrotik-Rate-Limit": "2M/2M"}, "ack")
    assert slowed.at - told_at < PROMPTLY * clock.SECOND
    world.everywhere(lambda at: world.ask(name, process=at)[1].get("Mikrotik-Rate-Limit") == "2M/2M", "the rate")
    world.router.interim(session, 1, 2 * gigabyte)
    assert world.change_of(name, 1).kind == "disconnect"
    assert restricted(world.redial_of(name))


def test_a_later_end_is_pushed(world: System, name: str) -> None:
    began = clock.now() - 300 * clock.SECOND
    world.load({"username": name, "balance": -10_000, "last_payment": iso(began)}, **control(name, 900))
    world.everywhere(lambda process: world.ask(name, process=process)[0] == "Access-Accept", "he is known")
    session = world.log_in(name)
    spared = grace(world.ref(name).service_id)
    assert 590 <= session.told["Session-Timeout"] - spared <= 600
    paid_at = world.pay(name, 1000)
    change = world.change_of(name)
    assert change.kind == "coa"
    # Counted from the session's start: errors run long, never short.
    elapsed = (paid_at - world.session_row(session)["started_at"]) // clock.SECOND
    assert change.asked.keys() == {"Session-Timeout"}
    assert 0 <= change.asked["Session-Timeout"] - (900 + spared + elapsed) <= 2


def test_a_start_with_an_old_class_is_planned_again(world: System, name: str) -> None:
    given(world, username=name)
    late = world.granted(name, "02:00:00:00:0A:0A")
    world.charge(name, 900_000)
    world.router.account(late, "Start")
    change = world.change_of(name)
    assert (change.kind, change.session) == ("disconnect", late)


def test_who_meets_a_replica_that_stands_still_is_not_cut_off_again_and_again(world: System, name: str) -> None:
    given(world, username=name, balance=-900_000)
    world.router.behaviour.redial = True
    world.log_in(name)
    replica = world.made.pid("replica")
    os.kill(replica, signal.SIGSTOP)
    try:
        world.pay(name, 900_000)
        # The Disconnect waits a second for the replica, then goes; the redial meets the old verdict, and is told so.
        world.change_of(name)
        again = world.change_of(name, 1)
        last = world.redial_of(name, 1)
        assert restricted(last)
        [wish] = until(lambda: [one for one in wishes_of(world, name) if one["not_before"] > clock.now()], "a rest")
        assert wish["cause"] == "start"
        assert wish["not_before"] - again.at > 4 * clock.SECOND
    finally:
        os.kill(replica, signal.SIGCONT)
    world.change_of(name, 2)
    assert not restricted(world.redial_of(name, 2))
