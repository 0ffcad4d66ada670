"""A fake router's firewall as a ruleset for nft: what its tables say is what real packets meet. Pure.

Of RouterOS it has filter and NAT of IPv4 and IPv6 with the matchers that access control uses; a rule with any other is
refused, for leaving it out would change what the rest means. FastTrack is as in RouterOS: a connection so marked is
past the filter from then on.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from ledgate.lab.routeros.device import Device

_FASTTRACK: Final = "0x0fa57000"
_FAMILIES: Final = {4: ("ip", "ipv4_addr", "/ip/firewall"), 6: ("ip6", "ipv6_addr", "/ipv6/firewall")}
_HOOKS: Final = {
    "filter": {"input": "input", "forward": "forward", "output": "output"},
    "nat": {"dstnat": "prerouting", "srcnat": "postrouting"},
}
_PRIORITIES: Final = {"input": 0, "forward": 0, "output": 0, "prerouting": -100, "postrouting": 100}
_NOT_MATCHERS: Final = frozenset(
    (
        *("chain", "action", "comment", "disabled", "log", "log-prefix", "bytes", "packets", "dynamic", "invalid"),
        *("jump-target", "to-addresses", "to-ports", "reject-with", "passthrough", "hw-offload"),
    )
)
_REJECTS: Final = {
    "tcp-reset": "tcp reset",
    "icmp-network-unreachable": "icmp type net-unreachable",
    "icmp-host-unreachable": "icmp type host-unreachable",
    "icmp-port-unreachable": "{icmp} type port-unreachable",
    "icmp-admin-prohibited": "{icmp} type admin-prohibited",
    "icmp-no-route": "icmpv6 type no-route",
}


class CannotTranslate(ValueError):
    """A rule that has no counterpart here: which, and what of it."""


@dataclass(frozen=True, slots=True)
class _Family:
    version: int
    lists: Mapping[str, str]
    """What an address-list is called, by its name: nft takes letters and digits only."""


def ruleset(device: Device) -> str:
    """A script for `nft -f` that replaces everything of before. Raises CannotTranslate."""
    lines = ["flush ruleset"]
    for version, (family, kind, path) in _FAMILIES.items():
        lists = _lists(device, path)
        names = {name: f"list{number}" for number, name in enumerate(sorted(lists))}
        for menu in ("filter", "nat"):
            rules = _rules(device, f"{path}/{menu}")
            for name in {name for rule in rules for name in _lists_of(rule)} - names.keys():
                names[name] = f"list{len(names)}"
            known = _Family(version, names)
            lines.append(f"table {family} {menu} {{")
            for name, called in sorted(names.items()):
                lines += _set(called, kind, lists.get(name, []))
            lines += _chains(known, menu, rules)
            lines.append("}")
    return "\n".join(lines) + "\n"


def _rules(device: Device, path: str) -> list[dict[str, str]]:
    table = device.table(path)
    return [] if table is None else [row.values for row in table if row.values.get("disabled") != "true"]


def _lists(device: Device, path: str) -> dict[str, list[str]]:
    """Addresses by list; a DNS name is there by what it resolves to."""
    table = device.table(f"{path}/address-list")
    found: dict[str, list[str]] = {}
    for row in table or ():
        if row.values.get("disabled") != "true" and _is_address(row.values["address"]):
            found.setdefault(row.values["list"], []).append(row.values["address"])
    return found


def _lists_of(rule: Mapping[str, str]) -> Iterator[str]:
    for name in ("src-address-list", "dst-address-list"):
        if name in rule:
            yield rule[name].removeprefix("!")


def _is_address(text: str) -> bool:
    try:
        for part in text.split("-"):
            ip_network(part, strict=False)
    except ValueError:
        return False
    return True


def _set(called: str, kind: str, addresses: list[str]) -> list[str]:
    elements = f" elements = {{ {', '.join(addresses)} }}" if addresses else ""
    return [f"  set {called} {{ type {kind}; flags interval; auto-merge;{elements} }}"]


def _chains(family: _Family, menu: str, rules: list[dict[str, str]]) -> list[str]:
    """Regular chains first declared, then filled: they may jump to each other."""
    named = {rule["chain"] for rule in rules} | {rule["jump-target"] for rule in rules if "jump-target" in rule}
    named |= _HOOKS[menu].keys()
    lines = [f"  chain {_chain(name)} {{ }}" for name in sorted(named)]
    for name in sorted(named):
        body = [f"    {line}" for rule in rules if rule["chain"] == name for line in _rule(family, menu, rule)]
        lines += [f"  chain {_chain(name)} {{", *body, "  }"]
    for name, hook in _HOOKS[menu].items():
        past = f" ct mark {_FASTTRACK} accept;" if name == "forward" else ""
        kind = f"type {menu} hook {hook} priority {_PRIORITIES[hook]};"
        lines.append(f"  chain base_{hook} {{ {kind}{past} jump {_chain(name)}; }}")
    return lines


def _chain(name: str) -> str:
    return "c_" + re.sub(r"[^a-z0-9]", lambda found: f"_{ord(found[0]):x}_", name)


def _rule(family: _Family, menu: str, rule: Mapping[str, str]) -> Iterator[str]:
    matchers = [_match(family, rule, name) for name in rule if name not in _NOT_MATCHERS]
    if "protocol" in rule and not any(name.endswith("port") for name in rule):
        matchers.insert(0, _protocol(family, rule["protocol"]))
    action = _action(family, rule)
    if action is not None:
        yield " ".join([*(one for one in matchers if one), action])


def _match(family: _Family, rule: Mapping[str, str], name: str) -> str:
    word, _, _ = _FAMILIES[family.version]
    value = rule[name].removeprefix("!")
    differs = "!= " if rule[name].startswith("!") else ""
    side = "saddr" if name.startswith("src") else "daddr"
    match name:
        case "protocol":
            return ""  # with the ports, or by itself
        case "src-address" | "dst-address":
            return f"{word} {side} {differs}{value}"
        case "src-address-list" | "dst-address-list":
            return f"{word} {side} {differs}@{family.lists[value]}"
        case "src-port" | "dst-port":
            port = "sport" if name == "src-port" else "dport"
            return f"{rule['protocol']} {port} {differs}{{ {value} }}"
        case "in-interface" | "out-interface":
            return f"{'iifname' if name == 'in-interface' else 'oifname'} {differs}{value}"
        case "connection-state":
            return f"ct state {differs}{{ {value} }}"
        case "connection-nat-state":
            return f"ct status {differs.replace('!= ', '! ')}{'dnat' if value == 'dstnat' else 'snat'}"
    raise CannotTranslate(f"{rule.get('comment') or rule['chain']}: {name}={rule[name]} has no counterpart here")


def _protocol(family: _Family, value: str) -> str:
    differs = "!= " if value.startswith("!") else ""
    return f"meta l4proto {differs}{value.removeprefix('!').replace('icmpv6', 'ipv6-icmp')}"


def _action(family: _Family, rule: Mapping[str, str]) -> str | None:
    """The verdict; None for a rule that only looks."""
    match rule.get("action", "accept"):
        case "accept" | "drop" | "return" as verdict:
            return verdict
        case "jump":
            return f"jump {_chain(rule['jump-target'])}"
        case "fasttrack-connection":
            return f"ct mark set {_FASTTRACK}"
        case "reject":
            how = _REJECTS[rule["reject-with"]].format(icmp="icmp" if family.version == 4 else "icmpv6")
            return f"reject with {how}"
        case "masquerade":
            return "masquerade"
        case "dst-nat" | "src-nat" as kind:
            to = rule.get("to-addresses", "") + (f":{rule['to-ports']}" if "to-ports" in rule else "")
            return f"{kind[0]}nat to {to}"
        case "log" | "passthrough":
            return None
    raise CannotTranslate(f"{rule.get('comment') or rule['chain']}: action {rule['action']} has no counterpart here")
