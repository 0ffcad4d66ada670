"""What is wrong with a router, and what to type to mend it. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from aaa.routeros.operations import Operation, is_hidden
from aaa.routeros.rows import Fields, duration, is_on
from aaa.routeros.wanted import RADIUS_TIMEOUT, Box, Rules, Version

Level = Literal["ok", "note", "fault"]

_MARGIN: Final = 1.0
"""Seconds that an answer may take besides the time for which a Reject is held back."""
_CLOCK: Final = 60
"""Seconds by which a clock may be wrong: accounting and Event-Timestamp bear that."""
_POLICIES: Final = ("read", "write", "api", "test", "sensitive")
_STAMPS: Final = ("%Y-%m-%d %H:%M:%S", "%b/%d/%Y %H:%M:%S")

POOL: Final = "/ip/pool"
POOL_6: Final = "/ipv6/pool"
PPP_PROFILE: Final = "/ppp/profile"
USER_PROFILE: Final = "/ip/hotspot/user/profile"
REFERRED: Final[Mapping[str, tuple[str, ...]]] = {
    "Framed-Pool": (POOL,),
    "Mikrotik-Delegated-IPv6-Pool": (POOL_6,),
    "Mikrotik-Group": (PPP_PROFILE, USER_PROFILE),
}
"""Reply attributes that name something on the router, and the menus where it may be."""
_ADD: Final = {
    POOL: "/ip pool add name={} ranges=…",
    POOL_6: "/ipv6 pool add name={} prefix=… prefix-length=…",
    PPP_PROFILE: "/ppp profile add name={}",
    USER_PROFILE: "/ip hotspot user profile add name={}",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was looked at. `mend` is what to type: on the router, here, or in the load file."""

    level: Level
    what: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a router says; a menu that it does not know, or does not show us, is None. `portal`: whether it reaches the
    portal; None: it could not be asked. `policies` are those of our user's group. `now` is in UTC microseconds.
    """

    version: Version
    menus: Mapping[str, Sequence[Fields] | None]
    operations: Sequence[Operation]
    now: int
    portal: bool | None = None
    policies: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """What the router is judged by. `named` maps attributes of `REFERRED` to the names that may be sent, each with who
    sends it. `without_api` are routers that have none, while reminders are on."""

    name: str
    rules: Rules
    box: Box
    reject_delay: float
    named: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    without_api: Sequence[str] = ()


def judge(facts: Facts, expected: Expected) -> list[Finding]:
    """Everything there is to say, good or bad."""
    return [
        *_step(facts, expected),
        *_fast_track(facts, expected),
        *_radius(facts, expected),
        *_incoming(facts, expected),
        *_use(facts),
        *_names(facts, expected),
        *_clock(facts),
        *_portal(facts, expected),
        *_rights(facts),
        *reminders(expected),
    ]


def reminders(expected: Expected) -> Iterator[Finding]:
    """R5.5: without the API no reminder is shown."""
    if expected.rules.https and not expected.rules.settings.reminders:
        yield Finding(
            "fault",
            "an OverduePolicy has remind_pay 1, but nothing is shown to anybody",
            'load {"settings": {"server_ip": "…", "mikrotik_nat_disable_users": 1}}',
        )
    for name in expected.without_api if expected.rules.https else ():
        yield Finding(
            "fault" if name == expected.name else "note",
            f"{name} has no API: reminders are not shown to its subscribers",
            f'load {{"nas": [{{"name": "{name}", "api": {{"host": "…", "user": "ledgate", "password": "…"}}}}]}}',
        )


def _rows(facts: Facts, menu: str) -> Sequence[Fields]:
    return facts.menus.get(menu) or ()


def _step(facts: Facts, expected: Expected) -> Iterator[Finding]:
    count = len(facts.operations)
    if count == 0:
        yield Finding("ok", "holds what it is to hold")
    else:
        yield Finding(
            "fault",
            f"differs from what it is to hold in {count} {'place' if count == 1 else 'places'}",
            f"ledgate routers plan {expected.name}; ledgate routers apply {expected.name}",
        )


def _fast_track(facts: Facts, expected: Expected) -> Iterator[Finding]:
    for menu in ("/ip/firewall/filter", "/ipv6/firewall/filter"):
        rows = [
            row for row in _rows(facts, menu) if row.get("chain") == "forward" and not is_on(row.get("dynamic", ""))
        ]
        fast = [at for at, row in enumerate(rows) if row.get("action") == "fasttrack-connection"]
        jumps = [at for at, row in enumerate(rows) if row.get("comment", "").startswith("ledgate:jump-forward:")]
        if not fast:
            continue
        if jumps and jumps[0] < fast[0]:
            yield Finding("ok", f"{menu}: ours stands before FastTrack")
        elif jumps or any(operation.menu == menu for operation in facts.operations):
            yield Finding(
                "fault",
                f"{menu}: FastTrack stands before ours, and takes connections past it",
                f"ledgate routers apply {expected.name}",
            )
        if menu == "/ip/firewall/filter":
            yield Finding(
                "note",
                "FastTrack takes connections past the queues, too: Mikrotik-Rate-Limit does not hold for them",
                "/ip firewall filter disable [find action=fasttrack-connection]",
            )


def _radius(facts: Facts, expected: Expected) -> Iterator[Finding]:
    settings = expected.rules.settings
    server = settings.radius_ip or settings.server_ip
    if server is None:
        yield Finding("note", "it is not known where routers find RADIUS", 'load {"settings": {"radius_ip": "…"}}')
        return
    entries = [
        row for row in _rows(facts, "/radius") if row.get("address") == server and not is_on(row.get("disabled", ""))
    ]
    if not entries:
        yield Finding(
            "fault",
            f"no enabled /radius entry for {server}",
            f"/radius add service=ppp,hotspot address={server} timeout={RADIUS_TIMEOUT} secret=…",
        )
    for row in entries:
        yield from _entry(row, server, expected)
    first = next((row for row in _rows(facts, "/radius") if not is_on(row.get("disabled", ""))), None)
    if entries and first is not None and first.get("address") != server:
        yield Finding("note", f"/radius asks {first.get('address')} before {server}: the first that fits is asked")


def _entry(row: Fields, server: str, expected: Expected) -> Iterator[Finding]:
    find = f"/radius set [find address={server}]"
    services = set(row.get("service", "").split(","))
    if not services & {"ppp", "hotspot"}:
        yield Finding("fault", f"/radius {server} serves neither ppp nor hotspot", f"{find} service=ppp,hotspot")
    for name, port in (("authentication-port", expected.box.auth_port), ("accounting-port", expected.box.acct_port)):
        if row.get(name, str(port)) != str(port):
            yield Finding("fault", f"/radius {server}: {name} is {row[name]}, ours is {port}", f"{find} {name}={port}")
    secret = row.get("secret", "")
    if is_hidden("secret", secret):
        yield Finding("note", f"/radius {server}: the secret is not shown to us, so a wrong one is not noticed")
    elif secret != expected.box.secret:
        yield Finding("fault", f"/radius {server}: the secret is another than in the load file", f"{find} secret=…")
    lasts = duration(row.get("timeout", ""))
    least = expected.reject_delay + _MARGIN
    if lasts is None:
        return
    if lasts / 1000 < least:
        yield Finding(
            "fault",
            f"/radius {server}: timeout {row['timeout']} is too short: an answer may take {least:g} s",
            f"{find} timeout={RADIUS_TIMEOUT}",
        )
    else:
        yield Finding("ok", f"/radius {server}: timeout {row['timeout']}")


def _incoming(facts: Facts, expected: Expected) -> Iterator[Finding]:
    port = expected.box.coa_port
    for row in _rows(facts, "/radius/incoming"):
        if is_on(row.get("accept", "")) and row.get("port") == str(port):
            yield Finding("ok", f"takes CoA and Disconnect on port {port}")
        else:
            state = f"port {row.get('port')}" if is_on(row.get("accept", "")) else "off"
            yield Finding(
                "fault", f"/radius incoming is {state}, not port {port}", f"/radius incoming set accept=yes port={port}"
            )


def _use(facts: Facts) -> Iterator[Finding]:
    for row in _rows(facts, "/ppp/aaa"):
        for name in ("use-radius", "accounting"):
            if not is_on(row.get(name, "")):
                yield Finding("fault", f"/ppp aaa has {name}=no", f"/ppp aaa set {name}=yes")
    used = {row.get("profile") for row in _rows(facts, "/ip/hotspot") if not is_on(row.get("disabled", ""))}
    for row in _rows(facts, "/ip/hotspot/profile"):
        name = row.get("name", "")
        if name in used and not is_on(row.get("use-radius", "")):
            yield Finding(
                "fault",
                f"hotspot profile {name} does not use RADIUS",
                f"/ip hotspot profile set {name} use-radius=yes radius-accounting=yes radius-interim-update=received",
            )


def _names(facts: Facts, expected: Expected) -> Iterator[Finding]:
    for attribute, menus in REFERRED.items():
        looked = [menu for menu in menus if facts.menus.get(menu) is not None]
        there = {row.get("name", "") for menu in looked for row in _rows(facts, menu)}
        for name, sender in sorted(expected.named.get(attribute, {}).items()):
            if name in there:
                yield Finding("ok", f"{attribute} {name} is there")
            elif looked:
                mend = " or ".join(_ADD[menu].format(name) for menu in looked)
                yield Finding("fault", f"{attribute} {name} of {sender} is not there", mend)


def _clock(facts: Facts) -> Iterator[Finding]:
    for row in _rows(facts, "/system/clock"):
        told = _instant(row)
        if told is None:
            continue
        off = round((told - datetime.fromtimestamp(facts.now / 1_000_000, UTC)).total_seconds())
        if abs(off) <= _CLOCK:
            yield Finding("ok", "the clock is right")
        else:
            servers = "servers=pool.ntp.org" if facts.version >= (7, 0, 0) else "server-dns-names=pool.ntp.org"
            way = "ahead" if off > 0 else "behind"
            yield Finding(
                "fault",
                f"the clock is {timedelta(seconds=abs(off))} {way}",
                f"/system ntp client set enabled=yes {servers}",
            )


def _instant(row: Fields) -> datetime | None:
    """The instant that a router's clock shows; None: it cannot be read."""
    text = f"{row.get('date', '')} {row.get('time', '')} {row.get('gmt-offset', '+00:00')}"
    for stamp in _STAMPS:
        try:
            return datetime.strptime(text, f"{stamp} %z")
        except ValueError:
            continue
    return None


def _portal(facts: Facts, expected: Expected) -> Iterator[Finding]:
    server = expected.rules.settings.server_ip
    if server is None:
        yield Finding(
            "note",
            "no portal: nobody is redirected, or told why he is restricted",
            'load {"settings": {"server_ip": "…"}}',
        )
    elif facts.portal:
        yield Finding("ok", f"reaches the portal at {server}")
    elif facts.portal is False:
        yield Finding(
            "fault",
            f"does not reach the portal at {server}",
            f"/ping {server}; /ip route print where dst-address=0.0.0.0/0",
        )


def _rights(facts: Facts) -> Iterator[Finding]:
    if facts.policies is None:
        return
    missing = [policy for policy in _POLICIES if policy not in facts.policies]
    if missing:
        yield Finding(
            "fault" if set(missing) - {"sensitive", "test"} else "note",
            f"our user lacks the policies {', '.join(missing)}",
            f"/user group set [find name=ledgate] policy={','.join(_POLICIES)}",
        )
    else:
        yield Finding("ok", f"our user has the policies {', '.join(_POLICIES)}")


def names_sent(replies: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, dict[str, str]]:
    """What reply attributes name on routers, from pairs of who sends them and the attributes."""
    found: dict[str, dict[str, str]] = {}
    for sender, reply in replies:
        for attribute in REFERRED:
            value = reply.get(attribute)
            for name in value if isinstance(value, list | tuple) else [value] if value is not None else []:
                found.setdefault(attribute, {}).setdefault(str(name), sender)
    return found
