"""The menus of the firewall (RouterOS manual, Filter, NAT, Mangle, Raw, Address-lists, Connection tracking). Pure."""

from collections.abc import Mapping
from typing import Final

from ledgate.lab.routeros.menus import COMMENT, DISABLED, FLAG_SHOWN, NEVER, SHOWN, Field, Menu
from ledgate.lab.routeros.trap import failure
from ledgate.lab.routeros.values import (
    Reader,
    Version,
    either,
    flag,
    listed4,
    listed6,
    milliseconds,
    name,
    negatable,
    number,
    one_of,
    ports,
    range4,
    range6,
    some_of,
    text,
    time,
)

_PROTOCOLS: Final = {
    "1": "icmp",
    "2": "igmp",
    "4": "ipencap",
    "6": "tcp",
    "17": "udp",
    "33": "dccp",
    "41": "ipv6-encap",
    "47": "gre",
    "50": "ipsec-esp",
    "51": "ipsec-ah",
    "58": "icmpv6",
    "89": "ospf",
    "103": "pim",
    "112": "vrrp",
    "115": "l2tp",
    "132": "sctp",
    "136": "udp-lite",
}


def protocol(value: str, version: Version) -> str:
    """A protocol by name or number; a number that has a name is printed as that."""
    if value.isascii() and value.isdigit():
        return _PROTOCOLS.get(value) or number(0, 255)(value, version)
    return one_of(*_PROTOCOLS.values())(value, version)


_STATES: Final = negatable(some_of("established", "invalid", "new", "related", "untracked"))
_ADDRESS_TYPES: Final = negatable(some_of("unicast", "local", "broadcast", "multicast", "blackhole", "prohibit"))
_HOTSPOT: Final = negatable(some_of("auth", "from-client", "http", "local-dst", "to-client"))
_LIST_TIMEOUT: Final = either("none-dynamic", either("none-static", time))
_MATCH_TEXT: Final = (
    "connection-bytes connection-limit connection-mark connection-rate connection-type content dscp dst-limit "
    "icmp-options in-bridge-port in-bridge-port-list in-interface in-interface-list ingress-priority ipsec-policy "
    "limit nth out-bridge-port out-bridge-port-list out-interface out-interface-list packet-mark packet-size "
    "per-connection-classifier priority random src-mac-address tcp-flags tcp-mss time"
).split()
_UNTRACKED: Final = frozenset(
    ("connection-bytes", "connection-limit", "connection-mark", "connection-rate", "connection-type")
)
"""Matchers that the raw table does not have: it comes before connection tracking."""


def _rule(version6: bool, raw: bool = False) -> dict[str, Field]:
    """What every rule of every table may match, and what it has besides."""
    where: Reader = negatable(range6 if version6 else range4)
    matchers = {word: Field(text) for word in _MATCH_TEXT if not (raw and word in _UNTRACKED)}
    fields = {
        **matchers,
        "chain": Field(name),
        "log": Field(flag, "false"),
        "log-prefix": Field(text, ""),
        "protocol": Field(negatable(protocol)),
        "src-address": Field(where),
        "dst-address": Field(where),
        "src-address-list": Field(text),
        "dst-address-list": Field(text),
        "src-address-type": Field(_ADDRESS_TYPES),
        "dst-address-type": Field(_ADDRESS_TYPES),
        "src-port": Field(negatable(ports)),
        "dst-port": Field(negatable(ports)),
        "port": Field(negatable(ports)),
        "jump-target": Field(name),
        "address-list": Field(text),
        "address-list-timeout": Field(_LIST_TIMEOUT),
        "tls-host": Field(text),
        "disabled": DISABLED,
        "comment": COMMENT,
        "bytes": Field(text, "0", settable=NEVER),
        "packets": Field(text, "0", settable=NEVER),
        "dynamic": FLAG_SHOWN,
        "invalid": FLAG_SHOWN,
    }
    if not raw:
        fields["connection-state"] = Field(_STATES)
    if version6:
        fields |= {"headers": Field(text), "hop-limit": Field(text)}
    else:
        fields |= {
            "fragment": Field(flag),
            "hotspot": Field(_HOTSPOT),
            "ipv4-options": Field(text),
            "psd": Field(text),
            "ttl": Field(text),
        }
        if not raw:
            fields |= {
                "layer7-protocol": Field(text),
                "realm": Field(text),
                "routing-mark": Field(text),
                "p2p": Field(text, until=(7,)),
            }
    return fields


_COMMON_ACTIONS: Final = (
    "accept",
    "add-dst-to-address-list",
    "add-src-to-address-list",
    "drop",
    "jump",
    "log",
    "passthrough",
    "return",
)
_REJECTS4: Final = (
    "icmp-network-unreachable",
    "icmp-host-unreachable",
    "icmp-port-unreachable",
    "icmp-protocol-unreachable",
    "icmp-net-prohibited",
    "icmp-host-prohibited",
    "icmp-admin-prohibited",
    "tcp-reset",
)
_REJECTS6: Final = (
    "icmp-no-route",
    "icmp-admin-prohibited",
    "icmp-not-neighbour",
    "icmp-address-unreachable",
    "icmp-port-unreachable",
    "tcp-reset",
    "icmp-err-src-routing-header",
    "icmp-headers-too-long",
)
_NAT_STATE: Final = Field(negatable(some_of("srcnat", "dstnat")))
_TO_ADDRESSES: Final = Field(range4)


def _actions(*more: str) -> Field:
    return Field(one_of(*_COMMON_ACTIONS, *more), "accept")


_MANGLE: Final = {
    "action": _actions(
        "change-dscp",
        "change-mss",
        "change-ttl",
        "change-hop-limit",
        "clear-df",
        "fasttrack-connection",
        "mark-connection",
        "mark-packet",
        "mark-routing",
        "route",
        "set-priority",
        "sniff-tzsp",
        "strip-ipv4-options",
    ),
    "new-connection-mark": Field(text),
    "new-dscp": Field(number(0, 63)),
    "new-mss": Field(either("clamp-to-pmtu", number(0, 65535))),
    "new-packet-mark": Field(text),
    "new-priority": Field(text),
    "new-routing-mark": Field(text),
    "passthrough": Field(flag, "true"),
    "connection-nat-state": _NAT_STATE,
}

_LIST_FIELDS: Final[Mapping[str, Field]] = {
    "list": Field(name),
    "comment": COMMENT,
    "disabled": DISABLED,
    "timeout": Field(milliseconds),
    # Taken from 7.15 on; before, only a timeout makes an entry dynamic.
    "dynamic": Field(flag, "false", settable=(7, 15)),
    "creation-time": SHOWN,
}


def _address_list(path: str, address: Reader) -> Menu:
    return Menu(
        path,
        "list",
        {"address": Field(address), **_LIST_FIELDS},
        required=("list", "address"),
        unique=("list", "address"),
        indexed=frozenset(("list", "address", "comment")),
        timed=True,
    )


def _rules(path: str, fields: Mapping[str, Field]) -> Menu:
    return Menu(path, "ordered", fields, required=("chain",), indexed=frozenset(("chain", "comment", "action")))


_CONNECTION: Final[Mapping[str, Field]] = {
    **dict.fromkeys(
        (
            "protocol",
            "src-address",
            "dst-address",
            "reply-src-address",
            "reply-dst-address",
            "tcp-state",
            "timeout",
            "connection-mark",
            "orig-bytes",
            "repl-bytes",
        ),
        SHOWN,
    ),
    "assured": FLAG_SHOWN,
    "confirmed": FLAG_SHOWN,
    "seen-reply": FLAG_SHOWN,
    "dying": FLAG_SHOWN,
    "fasttrack": FLAG_SHOWN,
    "srcnat": FLAG_SHOWN,
    "dstnat": FLAG_SHOWN,
}

MENUS: Final = (
    _address_list("/ip/firewall/address-list", listed4),
    _address_list("/ipv6/firewall/address-list", listed6),
    _rules(
        "/ip/firewall/filter",
        {
            **_rule(version6=False),
            "action": _actions("fasttrack-connection", "reject", "tarpit"),
            "reject-with": Field(one_of(*_REJECTS4), None),
            "connection-nat-state": _NAT_STATE,
            "hw-offload": Field(flag, since=(7,)),
        },
    ),
    _rules(
        "/ip/firewall/nat",
        {
            **_rule(version6=False),
            "action": _actions(
                "dst-nat", "masquerade", "netmap", "redirect", "same", "src-nat", "endpoint-independent-nat"
            ),
            "to-addresses": _TO_ADDRESSES,
            "to-ports": Field(ports),
            "same-not-by-dst": Field(flag),
            "randomise-ports": Field(flag),
        },
    ),
    _rules("/ip/firewall/mangle", {**_rule(version6=False), **_MANGLE, "new-ttl": Field(text)}),
    _rules("/ip/firewall/raw", {**_rule(version6=False, raw=True), "action": _actions("notrack")}),
    _rules(
        "/ipv6/firewall/filter",
        {
            **_rule(version6=True),
            "action": _actions("reject"),
            "reject-with": Field(one_of(*_REJECTS6), None),
        },
    ),
    _rules("/ipv6/firewall/mangle", {**_rule(version6=True), **_MANGLE, "new-hop-limit": Field(text)}),
    _rules("/ipv6/firewall/raw", {**_rule(version6=True, raw=True), "action": _actions("notrack")}),
    *(
        Menu(path, "seen", _CONNECTION, indexed=frozenset(("src-address", "dst-address")), timed=True)
        for path in ("/ip/firewall/connection", "/ipv6/firewall/connection")
    ),
)

_RULES: Final = frozenset(menu.path for menu in MENUS if menu.kind == "ordered")
_WITH_PORTS: Final = frozenset(("tcp", "udp", "udp-lite", "dccp", "sctp"))


def complete(path: str, values: dict[str, str]) -> None:
    """Add to a rule what RouterOS adds by itself. Raises Trap where its parts do not go together."""
    if path not in _RULES:
        return
    action = values.get("action", "accept")
    protocol = values.get("protocol")
    if protocol not in _WITH_PORTS and any(name in values for name in ("src-port", "dst-port", "port", "to-ports")):
        raise failure("ports can be specified if proto is tcp,udp,udp-lite,dccp,sctp")
    if action == "jump" and "jump-target" not in values:
        raise failure("jump-target must be specified for action jump")
    if action == "reject":
        values.setdefault("reject-with", "icmp-no-route" if path.startswith("/ipv6") else "icmp-network-unreachable")
        if values["reject-with"] == "tcp-reset" and protocol != "tcp":
            raise failure("reject-with tcp-reset is only for proto tcp")
    if action in ("dst-nat", "src-nat", "netmap") and "to-addresses" not in values and "to-ports" not in values:
        raise failure("to-addresses or to-ports must be specified")
