"""What a router is to hold, from the settings, the policies and what the router can do (R4.11, R5.1, R5.3). Pure.

All of it stands in chains of our own; of the router's chains only one rule each is ours, a jump, first among its rules.

Why FastTrack cannot make a rule here be missed. RouterOS takes a connection past the firewall once a rule of `forward`
said so of one of its packets, which it does of established connections. (1) A redirect is decided in `dstnat` by the
first packet of a connection, and the first packet is never past the firewall; connections that were open when the
reminder began go on, as R5.3 has it for all else. (2) What is restricted is judged in both directions before the rule
that says so, so no packet to or from a listed address ever reaches that rule: neither can a connection that the router
picks up in its middle, from a server that goes on sending, become one that passes. What passed before is ended by
whoever puts the address onto the list (it clears the address's connections).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Final

from aaa.domain.router import ALLOWED, HTTPS_OFFSET, OVERDUE_LISTS, PAYING, overdue_list
from aaa.domain.settings import Settings
from aaa.routeros.rows import (
    ADDRESS_LIST,
    ADDRESS_LIST_6,
    FILTER,
    FILTER_6,
    INCOMING,
    NAT,
    PPP_AAA,
    RADIUS,
    SECRET,
    WALLED_GARDEN,
    Item,
)

DSTNAT: Final = "ledgate-dstnat"
SRCNAT: Final = "ledgate-srcnat"
FORWARD: Final = "ledgate-forward"
RESTRICTED: Final = "ledgate-restricted"
ANSWERS: Final = "ledgate-restricted-in"
CHAINS: Final = frozenset((DSTNAT, SRCNAT, FORWARD, RESTRICTED, ANSWERS))

RADIUS_TIMEOUT: Final = "3s"
"""Longer than a Reject is held back, and than an old session takes to end before its successor is let in."""
_WEB_AND_DNS: Final = "53,80,443"
_OWN_LISTS: Final = frozenset((PAYING, ALLOWED, *OVERDUE_LISTS))

Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts for all routers: the settings, every address-list that a FinishRule restricts to, and what happens to
    the HTTPS of those reminded, by the OverduePolicies that are on."""

    settings: Settings
    restricted: Sequence[str] = ()
    https: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Box:
    """What we know of one router. `portal_port` is where its redirects lead."""

    portal_port: int | None
    coa_port: int
    secret: str = field(repr=False)
    auth_port: int = 1812
    acct_port: int = 1813


@dataclass(frozen=True, slots=True)
class Abilities:
    """What the router says of itself. `foreign_radius`: servers of enabled RADIUS entries that are not ours."""

    version: Version = (7, 16, 0)
    hotspot: bool = False
    ipv6: bool = True
    foreign_radius: frozenset[str] = frozenset()

    # Everything that differs between versions of RouterOS stands here.

    @property
    def names_in_ipv6_lists(self) -> bool:
        return self.version >= (7, 0, 0)

    @property
    def require_message_auth(self) -> bool:
        return self.version >= (7, 15, 0)


def wanted(rules: Rules, box: Box, can: Abilities) -> list[Item]:
    """Every row that the router is to hold; those of a chain in their order."""
    lists = [name for name in dict.fromkeys(rules.restricted) if name not in _OWN_LISTS]
    overdue = sorted(rules.https) if rules.settings.reminders else []
    found = list(_allowed(rules.settings, can))
    found += _walled_garden(rules.settings) if can.hotspot else ()
    if rules.settings.router_radius:
        found += _radius(rules.settings, box, can)
    if rules.settings.reminders and box.portal_port is not None:
        found += _nat(str(rules.settings.server_ip), box.portal_port, lists, overdue)
    found += _filter(rules.settings.server_ip, lists, overdue)
    if can.ipv6:
        found += _filter_6(lists, overdue)
    return found


def parse_version(text: str) -> Version:
    """`7.16.2 (stable)`, `6.49.10 (long-term)`, `7.18rc1`. What is no version is taken for the oldest."""
    parts = [_number(part) for part in text.split(" ")[0].split(".")[:3]]
    return (parts[0], *parts[1:], 0, 0)[:3]  # type: ignore[return-value]


def _number(text: str) -> int:
    digits = text[: len(text) - len(text.lstrip("0123456789"))]
    return int(digits or "0")


def _is_name(page: str) -> bool:
    try:
        ip_network(page)
    except ValueError:
        return True
    return False


def _allowed(settings: Settings, can: Abilities) -> Iterator[Item]:
    for page in settings.allowed_pages:
        is_6 = ":" in page
        menus = [ADDRESS_LIST_6] if is_6 else [ADDRESS_LIST]
        if _is_name(page) and can.names_in_ipv6_lists:
            menus.append(ADDRESS_LIST_6)
        for menu in menus:
            if menu == ADDRESS_LIST or can.ipv6:
                yield Item(menu, f"allowed-{page}", (("list", ALLOWED), ("address", page)))


def _walled_garden(settings: Settings) -> Iterator[Item]:
    """Who has not logged in to a hotspot reaches the portal and the allowed pages, too; a hotspot is IPv4 only."""
    pages = [] if settings.server_ip is None else [settings.server_ip]
    for page in dict.fromkeys((*pages, *settings.allowed_pages)):
        if ":" not in page:
            yield _rule(WALLED_GARDEN, page, action="accept", **{"dst_host" if _is_name(page) else "dst_address": page})


def _radius(settings: Settings, box: Box, can: Abilities) -> Iterator[Item]:
    server = settings.radius_ip or settings.server_ip
    if server is not None and server not in can.foreign_radius:
        fields = [
            ("service", "ppp,hotspot"),
            ("address", server),
            (SECRET, box.secret),
            ("authentication-port", str(box.auth_port)),
            ("accounting-port", str(box.acct_port)),
            ("timeout", RADIUS_TIMEOUT),
        ]
        if can.require_message_auth:
            fields.append(("require-message-auth", "yes-for-request-resp"))
        yield Item(RADIUS, "server", tuple(fields))
    yield Item(INCOMING, "", (("accept", "yes"), ("port", str(box.coa_port))))
    yield Item(PPP_AAA, "", (("use-radius", "yes"), ("accounting", "yes")))


def _nat(server_ip: str, port: int, restricted: Sequence[str], overdue: Sequence[str]) -> Iterator[Item]:
    """Redirects to the portal; on the way there nobody's address is replaced, so that it sees who asks."""
    lists = [*map(overdue_list, overdue), *restricted]
    if not lists:
        return
    yield _rule(NAT, "portal", chain=SRCNAT, dst_address=server_ip, action="accept")
    yield _jump(NAT, "srcnat", SRCNAT)
    yield _rule(NAT, "paying", chain=DSTNAT, src_address_list=PAYING, action="return")
    yield _rule(NAT, "to-portal", chain=DSTNAT, dst_address=server_ip, action="return")
    yield _rule(NAT, "allowed", chain=DSTNAT, dst_address_list=ALLOWED, action="return")
    web = [(name, "80", port) for name in lists]
    if "redirect" in overdue:
        web.append((overdue_list("redirect"), "443", port + HTTPS_OFFSET))
    for name, asked, to in web:
        yield _rule(
            NAT,
            f"web-{asked}-{name}",
            chain=DSTNAT,
            src_address_list=name,
            protocol="tcp",
            dst_port=asked,
            action="dst-nat",
            to_addresses=server_ip,
            to_ports=str(to),
        )
    yield _jump(NAT, "dstnat", DSTNAT)


def _filter(server_ip: str | None, restricted: Sequence[str], overdue: Sequence[str]) -> list[Item]:
    """IPv4: those reminded lose HTTPS where the policy says so, and QUIC wherever HTTPS is not simply allowed."""
    rules: list[Item] = []
    reminded = {"dst_address_list": f"!{ALLOWED}"} | ({} if server_ip is None else {"dst_address": f"!{server_ip}"})
    for https in overdue:
        name = overdue_list(https)
        if https == "reject":
            rules.append(_reject(FILTER, name, "tcp", "443", reminded))
        if https != "allow":
            rules.append(_reject(FILTER, name, "udp", "443", reminded))
    return _forward(FILTER, "icmp", [server_ip] if server_ip else [], restricted, rules)


def _filter_6(restricted: Sequence[str], overdue: Sequence[str]) -> list[Item]:
    """IPv6 knows no portal: what IPv4 redirects is rejected, so that browsers fall back to IPv4."""
    rules: list[Item] = []
    reminded = {"dst_address_list": f"!{ALLOWED}"}
    for https in overdue:
        name = overdue_list(https)
        rules.append(_reject(FILTER_6, name, "tcp", "80", reminded))
        if https != "allow":
            rules += [_reject(FILTER_6, name, protocol, "443", reminded) for protocol in ("tcp", "udp")]
    return _forward(FILTER_6, "icmpv6", [], restricted, rules)


def _forward(
    menu: str, icmp: str, portal: Sequence[str], restricted: Sequence[str], reminders: Sequence[Item]
) -> list[Item]:
    """Our part of `forward`, in this order: who is paying, who is restricted, who is reminded.

    Who pays by card is let out to the web wherever his bank sends him, though he is still on a restricted list. Answers
    are judged like what they answer (see above), and only those to connections that were let out pass.
    """
    if not restricted and not reminders:
        return []
    found: list[Item] = []
    if restricted:
        found += _restricted(menu, icmp, portal)
    for way, list_of, port_of, state in _WAYS:
        for protocol in ("tcp", "udp"):
            match = {list_of: PAYING, "protocol": protocol, port_of: _WEB_AND_DNS}
            found.append(_rule(menu, f"paying-{way}-{protocol}", chain=FORWARD, **match, **state, action="accept"))
    for name in restricted:
        for (way, list_of, _, _), chain in zip(_WAYS, (RESTRICTED, ANSWERS), strict=True):
            key = f"restrict-{way}-{name}"
            found.append(_rule(menu, key, chain=FORWARD, **{list_of: name}, action="jump", jump_target=chain))
    return [*found, *reminders, _jump(menu, "forward", FORWARD)]


_WAYS: Final[tuple[tuple[str, str, str, dict[str, str]], ...]] = (
    ("from", "src_address_list", "dst_port", {}),
    ("to", "dst_address_list", "src_port", {"connection_state": "established"}),
)
"""From the subscriber, and back to him: of keys, whose address, which port, and what the connection is."""


def _restricted(menu: str, icmp: str, portal: Iterable[str]) -> Iterator[Item]:
    """What is restricted reaches DNS, the portal and allowed pages (R4.11), and is told at once what it does not reach.

    Errors about these connections pass as well: without `packet too big` a portal behind PPPoE never loads.
    """
    for way, chain, side in (("from", RESTRICTED, "dst"), ("to", ANSWERS, "src")):
        answers = {"connection_state": "established"} if way == "to" else {}
        yield _rule(menu, f"errors-{way}", chain=chain, protocol=icmp, connection_state="related", action="accept")
        for protocol in ("udp", "tcp"):
            match = {"protocol": protocol, f"{side}_port": "53"}
            yield _rule(menu, f"dns-{way}-{protocol}", chain=chain, **match, **answers, action="accept")
        for address in portal:
            yield _rule(menu, f"portal-{way}", chain=chain, **{f"{side}_address": address}, action="accept")
        match = {f"{side}_address_list": ALLOWED}
        yield _rule(menu, f"allowed-{way}", chain=chain, **match, **answers, action="accept")
        if way == "from":
            yield _rule(menu, "reset", chain=chain, protocol="tcp", action="reject", reject_with="tcp-reset")
        yield _rule(menu, f"drop-{way}", chain=chain, action="drop")


def _reject(menu: str, name: str, protocol: str, port: str, unless: dict[str, str]) -> Item:
    how = "tcp-reset" if protocol == "tcp" else "icmp-port-unreachable"
    match = {"src_address_list": name, "protocol": protocol, "dst_port": port, **unless}
    return _rule(menu, f"reject-{protocol}-{port}-{name}", chain=FORWARD, **match, action="reject", reject_with=how)


def _jump(menu: str, chain: str, target: str) -> Item:
    return _rule(menu, f"jump-{chain}", chain=chain, action="jump", jump_target=target)


def _rule(menu: str, key: str, **fields: str) -> Item:
    return Item(menu, key, tuple((name.replace("_", "-"), value) for name, value in fields.items()))
