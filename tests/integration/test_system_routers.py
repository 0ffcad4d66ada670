"""Routers and their sessions before the whole server: radclient's shapes, simultaneous use, addresses, learnt proof."""

import os
import signal
from functools import partial
from typing import Any

import pytest

from aaa import clock
from aaa.radius.integrity import Secret, access_request
from aaa.radius.packet import MESSAGE_AUTHENTICATOR, USER_NAME, encode_attribute, parse
from aaa.radius.peer import pap_attributes
from aaa.store.tables import session as session_table
from aaa.store.tables import usage_day
from ledgate.lab.client import NoAnswer
from ledgate.lab.nas import Nas, Session, Subscriber
from tests.integration.following import reading
from tests.integration.live_change import SECRET
from tests.integration.serving import Reply, router, until
from tests.integration.system import AUTH_PROCESSES, PROMPTLY, Pairs, System
from tests.integration.test_system_changes import given

ONE_AT_A_TIME = {"name": "simultaneous-use", "value": 1}


def radclient(world: System, attributes: str, command: str = "auth", **more: Any) -> Reply | None:
    port = world.made.acct_port if command == "acct" else world.made.auth_port
    return world.made.radclient(attributes, command=command, **({"port": port} | more))


def rows_of(world: System, name: str) -> list[dict[str, Any]]:
    service_id = world.ref(name).service_id
    return sorted(world.rows(session_table, session_table.c.service_id == service_id), key=lambda row: int(row["id"]))


def reported(world: System, secret: bytes, source: str, *pairs: tuple[str, object]) -> bool:
    """Whether a record was answered, soon."""
    return world.report(*pairs, secret=secret, source=source, wait=0.5)[0] == "Accounting-Response"


# --- radclient, as a stranger would try ---


def test_radclient_login_and_its_accounting(world: System, name: str) -> None:
    given(world, username=name, balance=-900_000)
    about = f"User-Name={name},NAS-IP-Address=127.0.0.1,Calling-Station-Id=02-00-00-00-0B-0B"
    ppp, hotspot = f"{about},Service-Type=Framed-User,Framed-Protocol=PPP", f"{about},Mikrotik-Host-IP=10.5.50.7"
    for proof in ("User-Password", "CHAP-Password", "MS-CHAP-Password"):
        accepted = radclient(world, f"{ppp},{proof}=secret,Message-Authenticator=0x00")
        assert accepted is not None and accepted.code == "Access-Accept", proof
        refused = radclient(world, f"{ppp},{proof}=wrong,Message-Authenticator=0x00")
        assert refused is not None and refused.code == "Access-Reject", proof
    # This router's requests were signed, so an unsigned one is none of its own (CVE-2024-3596).
    assert radclient(world, f"{ppp},User-Password=secret", wait=0.5) is None
    dialled = radclient(world, f"{ppp},User-Password=secret,Message-Authenticator=0x00")
    assert dialled is not None
    garden = {"Framed-Pool": "finish", "Mikrotik-Address-List": "overdue", "Mikrotik-Rate-Limit": "128k/128k"}
    assert dialled.attributes.items() >= garden.items()
    # A pool would force a hotspot into a new login (R3.3).
    browsed = radclient(world, f"{hotspot},User-Password=secret,Message-Authenticator=0x00")
    assert browsed is not None
    assert "Framed-Pool" not in browsed.attributes
    assert browsed.attributes["Mikrotik-Address-List"] == "overdue"

    classed = f"{ppp},Acct-Session-Id={name}-1,Class={dialled.attributes['Class']}"
    plain = f"{about},Acct-Session-Id={name}-2"
    counted = "Acct-Input-Octets=1000,Acct-Output-Octets=7,Acct-Output-Gigawords=1"
    for told in (
        f"{classed},Acct-Status-Type=Start",
        f"{classed},Acct-Status-Type=Interim-Update,Acct-Session-Time=0,{counted}",
        f"{classed},Acct-Status-Type=Stop,Acct-Session-Time=0,{counted},Acct-Terminate-Cause=User-Request",
        f"{plain},Acct-Status-Type=Start",
        f"{plain},Acct-Status-Type=Stop,Acct-Session-Time=0,{counted}",
    ):
        answered = radclient(world, told, "acct")
        assert answered is not None and answered.code == "Accounting-Response", told
    with_class, without = rows_of(world, name)
    assert (with_class["closed_by"], with_class["up"], with_class["down"]) == ("stop", 1000, (1 << 32) + 7)
    assert with_class["version"] is not None and without["version"] is None
    assert without["closed_by"] == "stop"
    [day] = world.rows(usage_day, usage_day.c.service_id == world.ref(name).service_id)
    assert (day["up"], day["down"]) == (2000, 2 * ((1 << 32) + 7))


def test_radclient_status_server_on_both_ports(world: System) -> None:
    for port, code in ((world.made.auth_port, "Access-Accept"), (world.made.acct_port, "Accounting-Response")):
        answered = radclient(world, "Message-Authenticator=0x00", "status", port=port)
        assert answered is not None and answered.code == code


def test_radclient_accounting_on_closes_its_own_identifiers_sessions(world: System, name: str) -> None:
    world.load({"username": name}, nas=[router("others", "127.0.0.1"), router("tower", "127.0.0.4")])
    ids = [f"{name}-a", f"{name}-b"]

    def report(identifier: str, status: str, *more: tuple[str, object]) -> None:
        about: Pairs = (("NAS-Identifier", identifier), ("Acct-Status-Type", status), *more)
        until(partial(reported, world, SECRET, "127.0.0.4", *about), f"{status} is answered")

    for one in ids:
        begun = clock.now() // clock.SECOND - 5
        report(one, "Start", ("User-Name", name), ("Acct-Session-Id", "81000001"), ("Event-Timestamp", begun))
    assert [row["closed_by"] for row in rows_of(world, name)] == [None, None]
    report(ids[0], "Accounting-On")
    assert {row["identifier"]: row["closed_by"] for row in rows_of(world, name)} == {ids[0]: "nas", ids[1]: None}
    report(ids[1], "Accounting-Off")
    assert {row["closed_by"] for row in rows_of(world, name)} == {"nas"}


# --- simultaneous use ---


def test_simultaneous_use_across_processes_until_the_stop(world: System, name: str) -> None:
    world.load({"username": name}, params=[{"scope": f"user:{name}", **ONE_AT_A_TIME}])

    def let_in(device: str, process: int) -> bool:
        return world.ask(name, process=process, more=(("Calling-Station-Id", device),))[0] == "Access-Accept"

    mine, other = "02:00:00:00:0C:01", "02:00:00:00:0C:02"
    world.everywhere(partial(let_in, mine), "he is known")
    # Nobody has told of a session yet: it is the login that holds the seat.
    assert not any(let_in(other, at) for at in range(AUTH_PROCESSES))
    session = world.log_in(name, mac=mine)
    assert not any(let_in(other, at) for at in range(AUTH_PROCESSES))
    # The same device comes again after a lost Stop: its new session takes the place of the old one.
    again = world.log_in(name, mac=mine)
    assert [row["closed_by"] for row in rows_of(world, name)] == ["replaced", None]
    del world.router.sessions[session.acct_session_id]
    # From here on the session itself holds the seat, not the login, and its end frees it at once.
    with reading(world.made.state) as replica:
        service_id = world.ref(name).service_id

        def known() -> set[str]:
            replica.renew()
            return {one.acct_session_id for one in replica.live(service_id)}

        until(lambda: known() == {again.acct_session_id}, "the replica knows the session")
    world.router.hang_up(again)
    assert world.everywhere(partial(let_in, other), "a free seat") < PROMPTLY


# --- addresses ---


@pytest.mark.parametrize("source", ["::1", "127.0.7.9"])
def test_a_router_by_ipv6_and_by_prefix(world: System, name: str, source: str) -> None:
    world.load(
        {"username": name, "balance": 0},
        nas=[router("others", "127.0.0.1"), router("six", "::1"), router("net", "127.0.7.0/24", secret="of the net")],
    )
    secret = SECRET if source == "::1" else b"of the net"
    told: Pairs = (("User-Name", name), ("Acct-Session-Id", name))
    world.everywhere(
        lambda at: world.ask(name, process=at, secret=secret, source=source, wait=0.2)[0] == "Access-Accept", "login"
    )
    for status in ("Start", "Stop"):
        until(partial(reported, world, secret, source, *told, ("Acct-Status-Type", status)), status)
    [row] = rows_of(world, name)
    assert (row["source"], row["closed_by"]) == (source, "stop")
    assert world.ask(name, secret=b"another", source=source, wait=0.2) == ("", {})


def test_routers_behind_one_address_have_their_own_sessions_and_secrets(world: System, name: str) -> None:
    towers = ("east", "west")
    world.load(
        {"username": name, "balance": 0},
        nas=[router("others", "127.0.0.1")]
        + [router(f"tower-{one}", "127.0.0.5", identifier=one, secret=f"of {one}") for one in towers],
    )

    def started(tower: str, secret: str) -> bool:
        about: Pairs = (("NAS-Identifier", tower), ("User-Name", name), ("Acct-Session-Id", "81000001"))
        return reported(world, secret.encode(), "127.0.0.5", *about, ("Acct-Status-Type", "Start"))

    for one in towers:
        until(partial(started, one, f"of {one}"), f"the Start of {one}")
    assert not started("east", "of west")
    assert {row["identifier"] for row in rows_of(world, name)} == set(towers)


# --- proof that is learnt (CVE-2024-3596) ---


def test_a_router_that_has_signed_once_must_always_sign(world: System, name: str) -> None:
    given(world, username=name)

    def login(process: int, signed: bool) -> bool:
        key, authenticator = Secret(SECRET), os.urandom(16)
        attributes = encode_attribute(USER_NAME, name.encode()) + encode_attribute(32, name.encode())
        whole = access_request(process, authenticator, key, attributes + pap_attributes(b"secret", key, authenticator))
        if not signed:
            assert whole[20] == MESSAGE_AUTHENTICATOR
            whole = whole[:2] + (len(whole) - 18).to_bytes(2, "big") + whole[4:20] + whole[38:]
        reply = world.made.exchange(whole, wait=1.0 if signed else 0.3)
        return bool(reply) and parse(reply).code == 2

    processes = range(AUTH_PROCESSES)
    until(lambda: all(login(at, signed=False) for at in processes), "unsigned logins")
    assert login(0, signed=True)
    world.everywhere(lambda at: not login(at, signed=False), "what one has learnt")
    before = [world.made.pid("auth", at) for at in processes]
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not {0, *before} & {world.made.pid("auth", at) for at in processes}, "the successors", 45)
    until(lambda: login(0, signed=True), "signed logins")
    assert not any(login(at, signed=False) for at in processes)


def test_the_same_device_moves_between_routers(world: System, name: str) -> None:
    """Its Stop is lost with the first router; the second's Start ends that session at its last counted second."""
    given(world, username=name)
    with world.fake_router("127.0.0.6", "mt6") as other:
        world.load(nas=[router("others", "127.0.0.1"), router("mt6", "127.0.0.6", coa_port=other.coa_port)])
        world.log_in(name, mac="02:00:00:00:0D:01")
        until(partial(moved_to, other, name), "the other router is known")
    assert [row["closed_by"] for row in rows_of(world, name)] == ["replaced", None]


def moved_to(other: Nas, name: str) -> bool:
    """Whether the other router's login was answered, and granted."""
    try:
        return isinstance(other.login(Subscriber(name, "secret", mac="02:00:00:00:0D:01")), Session)
    except NoAnswer:
        return False
