"""What a router is to hold, judged by what its rules do to packets (R4.11, R5.1, R5.3)."""

import pytest

from aaa.domain.settings import Settings
from aaa.routeros.rows import ADDRESS_LIST, ADDRESS_LIST_6, FILTER, FILTER_6, NAT, RADIUS, WALLED_GARDEN, Item
from aaa.routeros.wanted import Abilities, Box, Rules, parse_version, wanted
from tests.unit.routeros.model import Packet, verdict

PORTAL = "192.0.2.80"
BOX = Box(portal_port=8601, coa_port=3799, secret="hush-hush")
SETTINGS = Settings(server_ip=PORTAL, allowed_pages=("bank.example", "203.0.113.80", "2001:db8::80"))
ALL = Rules(SETTINGS, ("suspended", "overdue"), frozenset(("allow", "reject", "redirect")))


def held(rules: Rules = ALL, can: Abilities | None = None, box: Box = BOX) -> list[Item]:
    return wanted(rules, box, can or Abilities(hotspot=True))


def of(items: list[Item], menu: str) -> list[dict[str, str]]:
    return [item.written for item in items if item.menu == menu]


def sent(*lists: str, port: str = "443", protocol: str = "tcp", address: str = "198.51.100.1", to: str = "") -> Packet:
    return Packet(protocol, port, address, frozenset(lists), frozenset((to,) if to else ()))


def answered(
    *lists: str, port: str = "443", protocol: str = "tcp", address: str = "198.51.100.1", of: str = ""
) -> Packet:
    return Packet(protocol, port, address, frozenset((of,) if of else ()), frozenset(lists), "established", True)


@pytest.mark.parametrize("name", ["suspended", "overdue"])
@pytest.mark.parametrize("packet", [sent, answered])
def test_r4_11_who_is_restricted_reaches_dns_the_portal_and_allowed_pages_only(name: str, packet: object) -> None:
    assert callable(packet)
    reached = [
        packet(name, port="53", protocol="udp"),
        packet(name, port="53"),
        packet(name, port="8601", address=PORTAL),
        packet(name, **{"to" if packet is sent else "of": "ledgate-allowed"}),
    ]
    stopped = [
        packet(name),
        packet(name, port="80"),
        packet(name, protocol="udp"),
        packet(name, protocol="icmp"),
        packet(name, port="53", protocol="icmp"),
    ]
    for menu in (FILTER, FILTER_6):
        rows = of(held(), menu)
        for one in reached:
            if menu == FILTER or one.address != PORTAL:
                assert verdict(rows, one, "forward") == "accept", (menu, one)
        for one in stopped:
            assert verdict(rows, one, "forward") in ("reject", "drop"), (menu, one)
    assert {verdict(of(held(), FILTER), one, "forward") for one in (sent(name), sent(name, port="80"))} == {"reject"}


def test_r4_11_who_pays_by_card_reaches_the_web_and_dns_though_he_is_restricted() -> None:
    for menu in (FILTER, FILTER_6):
        rows = of(held(), menu)
        for way in (sent, answered):
            for port, protocol in (("443", "tcp"), ("80", "tcp"), ("443", "udp"), ("53", "udp")):
                one = way("suspended", "ledgate-paying", port=port, protocol=protocol)
                assert verdict(rows, one, "forward") == "accept"
            assert verdict(rows, way("suspended", "ledgate-paying", port="25"), "forward") in ("reject", "drop")
    web = sent("suspended", "ledgate-paying", port="80")
    assert verdict(of(held(), NAT), web, "dstnat") == "accept"


def test_answers_pass_only_to_what_was_let_out() -> None:
    """A server that goes on sending to a restricted address: the router takes it for a new connection."""
    rows = of(held(), FILTER)
    for port in ("53", "443"):
        for lists in (("suspended",), ("suspended", "ledgate-paying")):
            started = Packet("tcp", port, "198.51.100.1", frozenset(), frozenset(lists), inbound=True)
            assert verdict(rows, started, "forward") == "drop"


def test_everybody_else_is_left_alone() -> None:
    items = held()
    for menu, chain in ((FILTER, "forward"), (FILTER_6, "forward"), (NAT, "dstnat"), (NAT, "srcnat")):
        for port in ("80", "443", "25"):
            assert verdict(of(items, menu), sent(port=port), chain) == "accept"
            assert verdict(of(items, menu), answered(port=port), chain) == "accept"


@pytest.mark.parametrize(
    ("https", "name", "nat", "tcp", "udp", "over_6"),
    [
        ("allow", "ledgate-overdue", "accept", "accept", "accept", "accept"),
        ("reject", "ledgate-overdue-reject", "accept", "reject", "reject", "reject"),
        ("redirect", "ledgate-overdue-redirect", "dst-nat 18601", "accept", "reject", "reject"),
    ],
)
def test_r5_3_a_reminder_redirects_the_web_and_allows_all_else(
    https: str, name: str, nat: str, tcp: str, udp: str, over_6: str
) -> None:
    items = held(Rules(SETTINGS, (), frozenset((https,))))
    dstnat, forward, forward_6 = of(items, NAT), of(items, FILTER), of(items, FILTER_6)
    assert verdict(dstnat, sent(name, port="80"), "dstnat") == "dst-nat 8601"
    assert verdict(dstnat, sent(name), "dstnat") == nat
    assert verdict(forward, sent(name), "forward") == tcp
    assert verdict(forward, sent(name, protocol="udp"), "forward") == udp
    assert verdict(forward_6, sent(name, port="80"), "forward") == "reject"
    assert verdict(forward_6, sent(name), "forward") == over_6
    for rows in (forward, forward_6):
        for port, protocol in (("25", "tcp"), ("53", "udp"), ("80", "udp")):
            assert verdict(rows, sent(name, port=port, protocol=protocol), "forward") == "accept"
        assert verdict(rows, sent(name, to="ledgate-allowed"), "forward") == "accept"
    assert verdict(forward, sent(name, address=PORTAL), "forward") == "accept"
    for free in (sent(name, port="80", to="ledgate-allowed"), sent(name, port="80", address=PORTAL)):
        assert verdict(dstnat, free, "dstnat") == "accept"


def test_r5_3_who_is_restricted_sees_the_portal_instead_of_any_web_page() -> None:
    rows = of(held(), NAT)
    assert verdict(rows, sent("suspended", port="80"), "dstnat") == "dst-nat 8601"
    assert verdict(rows, sent("suspended"), "dstnat") == "accept", "HTTPS is rejected, never redirected"
    assert verdict(rows, sent(address=PORTAL), "srcnat") == "accept"


def test_r5_1_without_nat_nothing_is_redirected_and_nobody_reminded() -> None:
    for settings in (
        Settings(server_ip=PORTAL, mikrotik_nat_disable_users=False),
        Settings(server_ip=None, allowed_pages=("bank.example",)),
    ):
        items = held(Rules(settings, ("suspended",), ALL.https))
        assert of(items, NAT) == []
        assert not [item for item in items if "overdue" in item.key]
        assert verdict(of(items, FILTER), sent("suspended"), "forward") == "reject"
        assert verdict(of(items, FILTER), sent("suspended", port="53"), "forward") == "accept"
        assert verdict(of(items, FILTER), sent("suspended", to="ledgate-allowed"), "forward") == "accept"


def test_r5_1_remind_pay_0_leaves_nothing_of_reminders() -> None:
    items = held(Rules(SETTINGS))
    assert [item for item in items if item.menu in (NAT, FILTER, FILTER_6)] == []
    assert [item.key for item in held(Rules(SETTINGS, ("suspended",))) if "overdue" in item.key] == []


def test_allowed_pages_are_addresses_of_their_family_and_names() -> None:
    items = held()
    assert [row["address"] for row in of(items, ADDRESS_LIST)] == ["bank.example", "203.0.113.80"]
    assert [row["address"] for row in of(items, ADDRESS_LIST_6)] == ["bank.example", "2001:db8::80"]
    old = held(can=Abilities((6, 49, 10)))
    assert [row["address"] for row in of(old, ADDRESS_LIST_6)] == ["2001:db8::80"], "RouterOS 6 knows no names there"
    assert of(held(can=Abilities(ipv6=False)), ADDRESS_LIST_6) == []
    assert of(held(can=Abilities(ipv6=False)), FILTER_6) == []


def test_a_walled_garden_only_where_there_is_a_hotspot() -> None:
    rows = of(held(), WALLED_GARDEN)
    assert [row.get("dst-host") or row.get("dst-address") for row in rows] == [PORTAL, "bank.example", "203.0.113.80"]
    assert of(held(can=Abilities(hotspot=False)), WALLED_GARDEN) == []


def test_the_radius_entry_is_as_the_version_knows_it_and_gives_way_to_a_foreign_one() -> None:
    [row] = of(held(), RADIUS)
    assert (row["address"], row["secret"], row["timeout"]) == (PORTAL, "hush-hush", "3s")
    assert row["require-message-auth"] == "yes-for-request-resp"
    assert "require-message-auth" not in of(held(can=Abilities((7, 14, 3))), RADIUS)[0]
    assert of(held(can=Abilities(foreign_radius=frozenset((PORTAL,)))), RADIUS) == []
    elsewhere = Settings(server_ip=PORTAL, radius_ip="192.0.2.1")
    assert of(held(Rules(elsewhere)), RADIUS)[0]["address"] == "192.0.2.1"
    assert held(Rules(Settings(server_ip=PORTAL, router_radius=False)), Abilities()) == []


def test_a_mark_tells_what_was_written_but_no_secret() -> None:
    [one] = [item for item in held() if item.menu == RADIUS]
    [other] = [item for item in held(box=Box(8601, 3799, "other")) if item.menu == RADIUS]
    assert one.mark == other.mark
    assert "hush-hush" not in repr(one) + repr(BOX)
    rules = [item for item in held() if item.menu == NAT]
    moved = [item for item in held(box=Box(8602, 3799, "hush-hush")) if item.menu == NAT]
    assert [one.key for one, other in zip(rules, moved, strict=True) if one.mark != other.mark] == [
        one.key for one in rules if one.key.startswith("web-")
    ]


def test_keys_are_unique_whatever_lists_are_called() -> None:
    names = ("from-x", "to-x", "x", "s7", "a:b", "ledgate-allowed")
    items = held(Rules(SETTINGS, names, ALL.https))
    assert len({(item.menu, item.key) for item in items}) == len(items)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("7.16.2 (stable)", (7, 16, 2)),
        ("6.49.10 (long-term)", (6, 49, 10)),
        ("7.18rc1", (7, 18, 0)),
        ("7.1beta4", (7, 1, 0)),
        ("", (0, 0, 0)),
        ("x.y", (0, 0, 0)),
    ],
)
def test_versions(text: str, version: tuple[int, int, int]) -> None:
    assert parse_version(text) == version
