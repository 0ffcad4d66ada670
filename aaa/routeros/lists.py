"""The address-lists that a live session's addresses are on: which are wanted, and what to change on a router. Pure.

Entries belong to a session and say so in their comment. The addresses of a session are its own from its Start to its
end; whoever had them before must leave nothing behind, or the next holder would inherit a debt. Instants are UTC
microseconds.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final, Literal, NamedTuple

from aaa.debit.reply import ADDRESS_LIST
from aaa.domain.router import OVERDUE_LISTS, PAYING, overdue_list
from aaa.domain.timeline import Profile

V4: Final = "/ip/firewall/address-list"
V6: Final = "/ipv6/firewall/address-list"
Menu = Literal["/ip/firewall/address-list", "/ipv6/firewall/address-list"]

TIMEOUT: Final = 30 * 86_400
"""Seconds that an entry lasts. One with a timeout is kept in memory, where churn wears no flash; none should ever run
out, so it is renewed at half of that."""

UNSURE: Final = "?"
"""Beside the lists of a session as stored: it may be on them, or not."""

Clear = Literal["none", "redirected", "all"]
"""Which connections of an address must go, for rules to meet them: none, those redirected to the portal, or all."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The lists that one session's `addresses` are to be on, with the seconds that each entry lasts; every other entry
    of ours at these addresses goes. Of a session that has ended, or lost its addresses, only its own go.
    """

    session_id: int
    addresses: tuple[str, ...]
    lists: tuple[tuple[str, int], ...]
    clear: Clear
    ended: bool = False


class Entry(NamedTuple):
    """An entry of ours as a router shows it; `left` are the seconds until it runs out, where that was asked for."""

    menu: Menu
    id: str
    list: str
    address: str
    session_id: int
    left: int | None = None


class Drift(NamedTuple):
    """How a router's entries differ from what its sessions want: `surplus` ones, those that are wanted but run out too
    early, and the sessions that lack some.
    """

    surplus: list[Entry]
    ending: list[Entry]
    lacking: list[int]


class Missing(NamedTuple):
    """An entry that a router lacks; `seconds` it is to last."""

    menu: Menu
    list: str
    address: str
    session_id: int
    seconds: int


def wanted_lists(
    profile: Profile, reminder: str | None, paying_until: int | None, now: int
) -> tuple[tuple[str, int], ...]:
    """By name, with seconds to last. `profile` is the segment's; `reminder` what happens to HTTPS while a reminder is
    due, None if none is; `paying_until` the end of a card payment under way (R5.3, R4.11).
    """
    told = dict(profile).get(ADDRESS_LIST, ())
    names = [str(one) for one in told] if isinstance(told, tuple) else [str(told)]
    if reminder is not None:
        names.append(overdue_list(reminder))
    found = dict.fromkeys(names, TIMEOUT)
    if paying_until is not None and now < paying_until:
        found[PAYING] = -((now - paying_until) // 1_000_000)
    return tuple(sorted(found.items()))


def needs(before: Collection[str] | None, wanted: Collection[str]) -> bool:
    """Whether the router must be told: `before` is what is stored of a session, None: nothing."""
    return set(before or ()) != set(wanted)


def clearing(before: Collection[str], after: Collection[str]) -> Clear:
    """What a change of lists asks of connections. A reminder redirects what begins, and only what was redirected must
    begin anew once it is over; a restriction must meet everything that runs.
    """
    differs = (set(before) ^ set(after)) - {UNSURE}
    if UNSURE in before:
        differs |= set(before) - {UNSURE}
    if differs - {*OVERDUE_LISTS, PAYING}:
        return "all"
    return "redirected" if differs else "none"


def stored(names: Collection[str], unsure: bool = False) -> str | None:
    """A session's lists as stored; None: none."""
    if not names:
        return None
    return json.dumps([*sorted(set(names) - {UNSURE}), *([UNSURE] if unsure else [])])


def read_stored(text: str | None) -> frozenset[str]:
    """The inverse of `stored`, UNSURE included."""
    return frozenset(json.loads(text)) if text is not None else frozenset()


def spelled(address: str) -> str:
    """An address or prefix as RouterOS prints it in a list: IPv4 hosts bare, IPv6 ones with their length."""
    network = ip_network(address, strict=False)
    return str(network.network_address) if network.version == 4 and network.prefixlen == 32 else str(network)


def _as_printed(address: str) -> str:
    """What somebody may have made of an address of ours, a range or a name, is none of anybody's."""
    try:
        return spelled(address)
    except ValueError:
        return address


def menu_of(address: str) -> Menu:
    """The menu that an address belongs to."""
    return V6 if ":" in address else V4


def comment(session_id: int, name: str, address: str) -> str:
    """What marks an entry as ours: `ledgate:s<session>:<hash>`."""
    mark = hashlib.sha256(f"{name}\n{address}".encode()).hexdigest()[:8]
    return f"ledgate:s{session_id}:{mark}"


def session_of(text: str) -> int | None:
    """The session that an entry with this comment belongs to; None: it is none of ours."""
    parts = text.split(":")
    if len(parts) != 3 or parts[0] != "ledgate" or not parts[1].startswith("s") or not parts[1][1:].isdecimal():
        return None
    return int(parts[1][1:])


def entries(menu: Menu, rows: Iterable[Mapping[str, object]]) -> list[Entry]:
    """Ours among printed rows, which need `.id`, `list`, `address` and `comment`, and may have `timeout`."""
    found = []
    for row in rows:
        session_id = session_of(str(row.get("comment", "")))
        if session_id is not None:
            address, left = _as_printed(str(row["address"])), duration(str(row.get("timeout", "")))
            found.append(Entry(menu, str(row[".id"]), str(row["list"]), address, session_id, left))
    return found


def difference(listings: Sequence[Listing], present: Sequence[Entry]) -> tuple[list[Entry], list[Missing]]:
    """What to remove and what to add so that the router has what `listings` want; `present` are the entries of ours at
    their addresses. Of two live sessions with one address the later in `listings` has it.
    """
    holder = {address: one for one in listings if not one.ended for address in one.addresses}
    ended = {one.session_id for one in listings if one.ended}
    wanted = {
        (menu_of(address), name, address, one.session_id): seconds
        for address, one in holder.items()
        for name, seconds in one.lists
    }
    surplus: list[Entry] = []
    for entry in present:
        key = (entry.menu, entry.list, entry.address, entry.session_id)
        if key in wanted:
            del wanted[key]
        elif entry.address in holder or entry.session_id in ended:
            surplus.append(entry)
    return surplus, [Missing(*key, seconds) for key, seconds in wanted.items()]


def drift(listings: Sequence[Listing], present: Sequence[Entry]) -> Drift:
    """How all entries of ours on a router differ from what all of its live sessions want. Of two sessions with one
    address the later in `listings` has it.
    """
    surplus, missing = difference(listings, present)
    known = {id(entry) for entry in surplus}
    holders = {address for one in listings for address in one.addresses}
    surplus += [entry for entry in present if id(entry) not in known and entry.address not in holders]
    gone = {id(entry) for entry in surplus}
    ending = [
        entry
        for entry in present
        if id(entry) not in gone and entry.list != PAYING and entry.left is not None and entry.left < TIMEOUT // 2
    ]
    return Drift(surplus, ending, sorted({one.session_id for one in missing}))


def duration(text: str) -> int | None:
    """Seconds of a time as RouterOS prints it: `4w2d`, `1d02:03:04`, `00:05:00`, `90s`, `1h5m`; None: it is none."""
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        return None
    numbers = {name: float(value) for name, value in found.groupdict().items() if value is not None}
    return int(sum(count * _SECONDS[name[0]] for name, count in numbers.items()))


_SECONDS: Final = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION: Final = re.compile(
    r"(?:(?P<w>\d+)w)?(?:(?P<d>\d+)d)?"
    r"(?:(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>\d+(?:\.\d+)?)"
    r"|(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?(?:\d+ms)?)"
)
