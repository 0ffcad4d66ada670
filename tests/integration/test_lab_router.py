"""The whole fake router: sessions in its menus, CoA, ends, reboots, and how it misbehaves."""

import socket
import time
from typing import Any

import librouteros
import pytest
from librouteros.exceptions import LibRouterosError

from aaa.radius.packet import COA_ACK, COA_NAK, DISCONNECT_ACK
from ledgate.lab.routeros.words import encode_sentence
from ledgate.lab.session import Subscriber
from tests.integration.lab import Bench, bench
from tests.integration.serving import until

PLAN = {"Mikrotik-Rate-Limit": "2M/10M", "Acct-Interim-Interval": 300}
EVE = Subscriber("eve", "secret", mac="02:00:00:00:0E:0E")
LEA = Subscriber("lea", "secret", "chap", mac="02:00:00:00:0A:0A", access="hotspot", address="192.168.88.77")
LIST = "/ip/firewall/address-list"


def test_a_pppoe_session_is_seen_in_the_menus() -> None:
    with bench({"eve": PLAN | {"Framed-IP-Address": "10.0.0.5", "Mikrotik-Address-List": "negative"}}, EVE) as made:
        session = made.session("eve")
        (active,) = made.rows("/ppp/active")
        wanted = {
            "name": "eve",
            "service": "pppoe",
            "caller-id": "02:00:00:00:0E:0E",
            "address": "10.0.0.5",
            "session-id": session.acct_session_id,
            "radius": True,
        }
        assert {name: str(value) for name, value in active.items()}.items() >= {
            n: str(v) for n, v in wanted.items()
        }.items()
        assert "uptime" in active
        (queue,) = made.rows("/queue/simple", "?name=<pppoe-eve>")
        assert (queue["max-limit"], queue["dynamic"], queue["target"]) == ("2000000/10000000", True, "<pppoe-eve>")
        (listed,) = made.rows(LIST, "?list=negative")
        assert (listed["address"], listed["dynamic"]) == ("10.0.0.5", True)
        assert made.refused(f"{LIST}/remove", f"=.id={listed['.id']}") == "failure: can not remove dynamic"
        assert (
            made.refused("/queue/simple/set", f"=.id={queue['.id']}", "=max-limit=1M/1M")
            == "failure: can not change dynamic"
        )
        made.router.behaviour.redial = False
        made.router.hang_up(session)
        assert [made.rows(menu) for menu in ("/ppp/active", "/queue/simple", LIST)] == [[], [], []]


def test_a_hotspot_session_is_seen_in_the_menus() -> None:
    with bench({"lea": PLAN | {"Session-Timeout": 3600}}, LEA) as made:
        made.session("lea")
        (active,) = made.rows("/ip/hotspot/active")
        (host,) = made.rows("/ip/hotspot/host")
        assert (active["user"], active["address"], active["mac-address"]) == (
            "lea",
            "192.168.88.77",
            "02:00:00:00:0A:0A",
        )
        assert active["session-time-left"].startswith("59m") and host["authorized"]
        (queue,) = made.rows("/queue/simple")
        assert (queue["name"], queue["target"]) == ("<hotspot-lea>", "192.168.88.77/32")
        assert made.rows("/ppp/active") == []


def test_two_sessions_of_one_name_have_queues_of_two_names() -> None:
    twin = Subscriber("eve", "secret", mac="02:00:00:00:0E:0F")
    with bench({"eve": PLAN}, EVE, twin) as made:
        made.session("eve", 2)
        assert sorted(row["name"] for row in made.rows("/queue/simple")) == ["<pppoe-eve-1>", "<pppoe-eve>"]


def test_a_coa_changes_the_rate_that_is_applied() -> None:
    with bench({"eve": PLAN}) as made:
        session = made.session("eve")
        burst = "512k/1M 1M/2M 256k/512k 8/8 5 128k/128k"
        assert made.change(session, Mikrotik_Rate_Limit=burst) == (COA_ACK, None)
        (queue,) = made.rows("/queue/simple")
        assert (queue["max-limit"], queue["burst-limit"], queue["priority"], queue["limit-at"]) == (
            "512000/1000000",
            "1000000/2000000",
            "5/5",
            "128000/128000",
        )
        assert made.change(session, Mikrotik_Rate_Limit="1M/1M") == (COA_ACK, None)
        (queue,) = made.rows("/queue/simple")
        assert (queue["max-limit"], queue["burst-limit"], queue["priority"]) == ("1000000/1000000", "0/0", "8/8")


def test_a_coa_with_an_address_list_is_refused_unless_the_switch_is_on() -> None:
    with bench({"eve": PLAN}) as made:
        session = made.session("eve")
        assert made.change(session, Mikrotik_Address_List="overdue") == (COA_NAK, "Unsupported-Attribute")
        assert made.rows(LIST) == []
        made.router.behaviour.takes_address_list = True
        assert made.change(session, Mikrotik_Address_List="overdue") == (COA_ACK, None)
        assert [row["list"] for row in made.rows(LIST)] == ["overdue"]


def test_a_router_that_lies_says_ack_and_does_nothing() -> None:
    with bench({"eve": PLAN}) as made:
        session = made.session("eve")
        made.router.behaviour.lie = "both"
        assert made.change(session, Mikrotik_Rate_Limit="1M/1M") == (COA_ACK, None)
        assert made.change(session, disconnect=True) == (DISCONNECT_ACK, None)
        assert [row["max-limit"] for row in made.rows("/queue/simple")] == ["2000000/10000000"]
        assert made.router.sessions == {session.acct_session_id: session}


def test_radius_incoming_says_whether_coa_is_heard() -> None:
    with bench({"eve": PLAN}) as made:
        session = made.session("eve")
        made.run("/radius/incoming/set", "=accept=no")
        assert made.change(session, wait=0.3, Mikrotik_Rate_Limit="1M/1M") is None
        made.run("/radius/incoming/set", "=accept=yes")
        assert made.change(session, Mikrotik_Rate_Limit="1M/1M") == (COA_ACK, None)


def test_a_removed_session_stops_and_the_device_dials_again() -> None:
    with bench({"eve": PLAN, "lea": PLAN}, EVE, LEA) as made:
        first = made.session("eve")
        made.session("lea")
        for menu in ("/ppp/active", "/ip/hotspot/active"):
            (row,) = made.rows(menu)
            made.run(f"{menu}/remove", f"=.id={row['.id']}")
            assert row[".id"] not in [one[".id"] for one in made.rows(menu)]
        for name in ("eve", "lea"):
            made.session(name, 2)
            (stop,) = made.counter.of(name, "Stop")
            assert stop["Acct-Terminate-Cause"] == "Admin-Reset"
        assert made.counter.of("eve", "Stop")[0]["Acct-Session-Id"] == first.acct_session_id


def test_interims_come_at_their_interval_and_count_at_the_rate() -> None:
    with bench({"eve": PLAN | {"Acct-Interim-Interval": 1}}, traffic=1.0) as made:
        made.session("eve")
        until(lambda: len(made.counter.of("eve", "Interim-Update")) >= 2, "two interim records")
        one, two = made.counter.of("eve", "Interim-Update")[:2]
        assert two["Acct-Session-Time"] > one["Acct-Session-Time"]
        for name, rate in (("Acct-Input-Octets", 250_000), ("Acct-Output-Octets", 1_250_000)):
            assert 0.5 * rate < two[name] - one[name] < 3 * rate


def test_a_session_ends_by_itself_when_it_was_told_to() -> None:
    with bench({"eve": PLAN | {"Session-Timeout": 1}, "idle": {"Idle-Timeout": 1}}, traffic=0.0) as made:
        made.session("eve", 2)
        made.session("idle", 2)
        assert made.counter.of("eve", "Stop")[0]["Acct-Terminate-Cause"] == "Session-Timeout"
        assert made.counter.of("idle", "Stop")[0]["Acct-Terminate-Cause"] == "Idle-Timeout"


@pytest.mark.parametrize("base", ["start", "now"])
def test_a_session_timeout_of_a_coa_takes_effect(base: Any) -> None:
    with bench({"eve": PLAN | {"Session-Timeout": 3600}}) as made:
        session = made.session("eve")
        made.router.behaviour.counts_timeout_from = base
        session.started -= 100
        assert made.change(session, Session_Timeout=101) == (COA_ACK, None)
        if base == "start":
            made.session("eve", 2)
            assert made.counter.of("eve", "Stop")[0]["Acct-Terminate-Cause"] == "Session-Timeout"
        else:
            time_left = made.router._online[session.acct_session_id][0].ends_at - time.monotonic()
            assert 95 < time_left <= 101


def test_a_limit_of_volume_ends_the_session_exactly_there() -> None:
    with bench({"eve": PLAN | {"Mikrotik-Total-Limit": 1_000_000}}, traffic=1.0) as made:
        made.session("eve", 2)
        stop = made.counter.of("eve", "Stop")[0]
        assert stop["Acct-Terminate-Cause"] == "NAS-Request"
        assert stop["Acct-Input-Octets"] + stop["Acct-Output-Octets"] == 1_000_000


def test_pools_of_the_router_give_addresses_and_prefixes() -> None:
    plan = {"Framed-Pool": "finish", "Mikrotik-Delegated-IPv6-Pool": "homes"}
    with bench({"eve": plan}, Subscriber("nobody", "x")) as made:
        made.run("/ip/pool/add", "=name=finish", "=ranges=100.64.0.2-100.64.0.9")
        made.run("/ipv6/pool/add", "=name=homes", "=prefix=2001:db8::/48", "=prefix-length=56")
        made.router.dial(EVE)
        made.router.dial(Subscriber("eve", "secret", mac="02:00:00:00:0E:0F"))
        made.session("eve", 2)
        starts = made.counter.of("eve", "Start")
        assert {one["Framed-IP-Address"] for one in starts} == {"100.64.0.2", "100.64.0.3"}
        assert {one["Delegated-IPv6-Prefix"] for one in starts} == {"2001:db8::/56", "2001:db8:0:100::/56"}


def test_a_device_that_is_refused_goes_on_dialling() -> None:
    with bench({"eve": None}) as made:
        until(lambda: len(made.counter.requests) >= 2, "a second login")
        made.counter.replies["eve"] = PLAN
        made.session("eve")


def test_a_reboot_forgets_sessions_without_a_stop() -> None:
    with bench({"eve": PLAN | {"Mikrotik-Address-List": "negative"}}) as made:
        first = made.session("eve")
        kept = made.run(f"{LIST}/add", "=list=overdue", "=address=10.1.1.1")
        made.run(f"{LIST}/add", "=list=paying", "=address=10.1.1.2", "=timeout=5m")
        api = made.api()
        made.router.reboot(0.3)
        with pytest.raises((LibRouterosError, OSError)):
            tuple(api.path("ip", "pool"))
        api.close()
        second = made.session("eve", 2)
        assert first.acct_session_id[:2] != second.acct_session_id[:2]
        made.close()
        made._api = None
        assert made.counter.of("eve", "Stop") == []
        hello = [one for one in made.counter.records if one["Acct-Status-Type"] == "Accounting-On"]
        assert len(hello) == 2
        assert [(row["list"], row[".id"] == kept[0]["ret"]) for row in made.rows(LIST)] == [
            ("overdue", True),
            ("negative", False),
        ]


def test_a_router_that_drops_much_gets_through_in_the_end() -> None:
    with bench({"eve": PLAN}, EVE, seed=7, timeout=0.1) as made:
        made.router.behaviour.drop = 0.3
        session = made.session("eve")
        answers = [made.change(session, wait=0.05, Mikrotik_Rate_Limit=f"{n}M/1M") for n in range(1, 31)]
        lost = answers.count(None)
        assert 5 <= lost <= 25


def test_a_slow_router_answers_late_but_keeps_its_pace() -> None:
    with bench({"eve": PLAN}) as made:
        session = made.session("eve")
        made.router.behaviour.slow_ms = 200
        began = time.monotonic()
        assert made.change(session, Mikrotik_Rate_Limit="1M/1M") == (COA_ACK, None)
        assert time.monotonic() - began >= 0.2


def test_the_clock_may_be_wrong() -> None:
    with bench({"eve": PLAN}, Subscriber("nobody", "x")) as made:
        made.router.behaviour.clock_offset = -86400
        made.router.dial(EVE)
        made.session("eve")
        (start,) = made.counter.of("eve", "Start")
        assert abs(start["Event-Timestamp"] - (time.time() - 86400)) < 30


def test_the_name_in_system_identity_is_the_nas_identifier() -> None:
    with bench({"eve": PLAN}) as made:
        session = made.session("eve")
        made.run("/system/identity/set", "=name=mt7")
        assert made.change(session, NAS_Identifier="mt1") == (COA_NAK, "NAS-Identification-Mismatch")
        assert made.change(session, disconnect=True, NAS_Identifier="mt7") == (DISCONNECT_ACK, None)
        made.session("eve", 2)
        assert [one["NAS-Identifier"] for one in made.counter.of("eve", "Start")] == ["mt1", "mt7"]


def cut_off(made: Bench) -> bool:
    """Whether the API ends a connection as soon as it stands."""
    with socket.create_connection(("127.0.0.1", made.router.api_port)) as out:
        try:
            out.sendall(encode_sentence(["/login"]))
            return out.recv(100) == b""
        except ConnectionError:
            return True


def test_the_api_can_be_down_refuse_close_and_be_slow() -> None:
    with bench({}, Subscriber("nobody", "x")) as made:
        behaviour = made.router.behaviour
        open_before = made.api()
        behaviour.api_down = True
        assert cut_off(made)
        with pytest.raises((LibRouterosError, OSError)):
            tuple(open_before.path("interface"))
        open_before.close()
        behaviour.api_down = False
        assert not cut_off(made)
        behaviour.api_refuses = True
        with pytest.raises(librouteros.exceptions.TrapError, match="invalid user name or password"):
            made.api()
        behaviour.api_refuses = False
        behaviour.api_close_after = 3
        cut = made.api()
        assert len(tuple(cut.path("interface"))) == 3 == len(tuple(cut.path("interface")))
        with pytest.raises((LibRouterosError, OSError)):
            tuple(cut.path("interface"))
        cut.close()
        behaviour.api_close_after = None
        behaviour.api_slow_ms = 150
        began = time.monotonic()
        made.api().close()
        assert time.monotonic() - began >= 0.15
