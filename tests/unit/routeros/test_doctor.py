"""What the doctor says of a router, and what it says to type."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from aaa.domain.settings import Settings
from aaa.routeros.doctor import Expected, Facts, Finding, judge, names_sent, reminders
from aaa.routeros.operations import Set
from aaa.routeros.wanted import Box, Rules

NOW = int(datetime(2026, 11, 24, 8, 30, tzinfo=UTC).timestamp()) * 1_000_000
PORTAL = "192.0.2.80"
ENTRY = {"address": PORTAL, "service": "ppp,hotspot", "secret": "hush-hush", "timeout": "3s"}
HEALTHY: Mapping[str, Sequence[Mapping[str, str]]] = {
    "/radius": [ENTRY],
    "/radius/incoming": [{"accept": "true", "port": "3799"}],
    "/ppp/aaa": [{"use-radius": "true", "accounting": "true"}],
    "/ip/pool": [{"name": "finish"}],
    "/ppp/profile": [{"name": "slow"}],
    "/system/clock": [{"date": "2026-11-24", "time": "12:00:20", "gmt-offset": "+03:30"}],
}


def expected(**more: Any) -> Expected:
    rules = Rules(more.pop("settings", Settings(server_ip=PORTAL)), ("suspended",), more.pop("https", frozenset()))
    return Expected("mt1", rules, Box(8601, 3799, "hush-hush"), more.pop("reject_delay", 1.0), **more)


def faults(menus: Mapping[str, Any], because: Expected | None = None, **more: Any) -> list[Finding]:
    version = more.pop("version", (7, 16, 2))
    facts = Facts(version, {**HEALTHY, **menus}, more.pop("operations", ()), NOW, more.pop("portal", True), **more)
    return [one for one in judge(facts, because or expected()) if one.level != "ok"]


def test_a_healthy_router() -> None:
    named = {"Framed-Pool": {"finish": "a plan"}, "Mikrotik-Group": {"slow": "a plan"}}
    assert faults({}, expected(named=named)) == []


@pytest.mark.parametrize(
    ("entry", "level", "what"),
    [
        ({"timeout": "300ms"}, "fault", "is too short: an answer may take 2 s"),
        ({"timeout": "00:00:01.100"}, "fault", "timeout 00:00:01.100 is too short"),
        ({"secret": "theirs"}, "fault", "the secret is another than in the load file"),
        ({"secret": "*****"}, "note", "the secret is not shown to us"),
        ({"service": "login"}, "fault", "serves neither ppp nor hotspot"),
        ({"authentication-port": "1645"}, "fault", "authentication-port is 1645, ours is 1812"),
        ({"disabled": "true"}, "fault", f"no enabled /radius entry for {PORTAL}"),
    ],
)
def test_the_radius_entry(entry: dict[str, str], level: str, what: str) -> None:
    [found] = faults({"/radius": [{**ENTRY, **entry}]})
    assert (found.level, what in found.what) == (level, True)
    assert "hush" not in repr(found) and "theirs" not in repr(found)


def test_who_is_asked_before_us() -> None:
    [found] = faults({"/radius": [{**ENTRY, "address": "192.0.2.1"}, ENTRY]})
    assert found == Finding("note", f"/radius asks 192.0.2.1 before {PORTAL}: the first that fits is asked")


@pytest.mark.parametrize(
    ("clock", "version", "what", "mend"),
    [
        ({"date": "2026-11-24", "time": "08:32:00"}, (7, 16, 2), "0:02:00 ahead", "servers="),
        ({"date": "nov/24/2026", "time": "08:32:00"}, (6, 49, 10), "0:02:00 ahead", "server-dns-names="),
        ({"date": "jan/02/1970", "time": "00:00:00", "gmt-offset": "+00:00"}, (6, 49, 10), "behind", "ntp"),
        ({"date": "2026-11-24", "time": "07:00:00", "gmt-offset": "-01:30"}, (7, 16, 2), "", ""),
        ({"date": "someday", "time": "?"}, (7, 16, 2), "", ""),
    ],
)
def test_the_clock(clock: dict[str, str], version: tuple[int, int, int], what: str, mend: str) -> None:
    found = faults({"/system/clock": [clock]}, version=version)
    assert len(found) == bool(what)
    assert all(what in one.what and mend in one.mend for one in found)


def test_r5_5_reminders_without_an_api() -> None:
    told = list(reminders(expected(https=frozenset(("allow",)), without_api=["mt1", "mt9"])))
    assert [one.level for one in told] == ["fault", "note"]
    assert list(reminders(expected(without_api=["mt1"]))) == []
    off = Settings(server_ip=PORTAL, mikrotik_nat_disable_users=False)
    assert [one.level for one in reminders(expected(settings=off, https=frozenset(("allow",))))] == ["fault"]


@pytest.mark.parametrize(
    ("policies", "level"),
    [
        ({"read", "write", "api", "test", "sensitive", "ftp"}, None),
        ({"read", "write", "api", "test"}, "note"),
        ({"read", "api", "test", "sensitive"}, "fault"),
    ],
)
def test_the_policies_of_our_user(policies: set[str], level: str | None) -> None:
    found = faults({}, policies=frozenset(policies))
    assert [one.level for one in found] == ([] if level is None else [level])


def test_what_else_is_said() -> None:
    assert [one.what for one in faults({}, portal=False)] == [f"does not reach the portal at {PORTAL}"]
    assert faults({}, portal=None) == []
    told = faults({}, operations=[Set("/radius", "*1", {}, {})])
    assert told[0].mend == "ledgate routers plan mt1; ledgate routers apply mt1"
    assert faults({"/radius/incoming": [{"accept": "false", "port": "3799"}]})[0].what.startswith(
        "/radius incoming is off"
    )
    hotspots = {"/ip/hotspot": [{"name": "h", "profile": "p"}], "/ip/hotspot/profile": [{"name": "p"}, {"name": "q"}]}
    assert [one.what for one in faults(hotspots)] == ["hotspot profile p does not use RADIUS"]
    nowhere = faults({}, expected(settings=Settings()))
    assert [one.level for one in nowhere] == ["note", "note"]
    unseen = expected(named={"Mikrotik-Delegated-IPv6-Pool": {"six": "a plan"}})
    assert faults({"/ipv6/pool": None}, unseen) == [], "a menu that is not shown is no fault"


def test_names_that_replies_send() -> None:
    sent = names_sent(
        [("the plan a", {"Framed-Pool": "p1", "Mikrotik-Rate-Limit": "1M"}), ("b", {"Framed-Pool": ["p2"]})]
    )
    assert sent == {"Framed-Pool": {"p1": "the plan a", "p2": "b"}}
