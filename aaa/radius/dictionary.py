"""Attribute names: our `dictionaries/` read once at start, looked up by name or by number.

pyrad reads the files; everything after that is ours. A name may carry a tag, as in "Tunnel-Type:1" (RFC 2868).
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Final, final

from pyrad.dictionary import Dictionary as DictionaryFiles
from pyrad.dictionary import ParseError

import dictionaries
from aaa.domain.rate_limit import BadRateLimit, parse
from aaa.radius import attributes
from aaa.radius.attributes import Attribute, InvalidAttribute
from aaa.radius.packet import VENDOR_SPECIFIC, split_vendor

MOST_OCTETS: Final = 2_048
"""What all values of one attribute may come to, so that there is room for the others."""
_RATE_LIMIT: Final = "Mikrotik-Rate-Limit"
_USER_NAME: Final = "User-Name"
# What the protocol itself computes; a plan or a param must not set it.
_OWN: Final = frozenset(
    (
        "User-Password",
        "CHAP-Password",
        "CHAP-Challenge",
        "Class",
        "EAP-Message",
        "Framed-Protocol",
        "MS-CHAP2-Success",
        "Message-Authenticator",
        "Proxy-State",
        "Service-Type",
        "State",
    )
)
# What an Access-Accept has none of by the tables of RFC 2865 section 5.44, RFC 2869 section 5.19, RFC 3162 section 3
# and RFC 2548 section 3, or what is of accounting (RFC 2866 section 5.13) or of CoA (RFC 5176 section 3.6) alone.
_NOT_IN_ACCEPT: Final = frozenset(
    (
        "ARAP-Password",
        "ARAP-Security",
        "ARAP-Security-Data",
        "Acct-Authentic",
        "Acct-Delay-Time",
        "Acct-Input-Gigawords",
        "Acct-Input-Octets",
        "Acct-Input-Packets",
        "Acct-Link-Count",
        "Acct-Multi-Session-Id",
        "Acct-Output-Gigawords",
        "Acct-Output-Octets",
        "Acct-Output-Packets",
        "Acct-Session-Id",
        "Acct-Session-Time",
        "Acct-Status-Type",
        "Acct-Terminate-Cause",
        "Called-Station-Id",
        "Calling-Station-Id",
        "Connect-Info",
        "Error-Cause",
        "Event-Timestamp",
        "MS-Acct-Auth-Type",
        "MS-Acct-EAP-Type",
        "MS-CHAP-CPW-1",
        "MS-CHAP-CPW-2",
        "MS-CHAP-Challenge",
        "MS-CHAP-Error",
        "MS-CHAP-LM-Enc-PW",
        "MS-CHAP-NT-Enc-PW",
        "MS-CHAP-Response",
        "MS-CHAP2-CPW",
        "MS-CHAP2-Response",
        "MS-New-ARAP-Password",
        "MS-Old-ARAP-Password",
        "NAS-IP-Address",
        "NAS-IPv6-Address",
        "NAS-Identifier",
        "NAS-Port",
        "NAS-Port-Id",
        "NAS-Port-Type",
        "Password-Retry",
        "Prompt",
    )
)
# Values that open a door to whoever reads them in a log.
_SECRET: Final = frozenset(
    (
        "CHAP-Password",
        "ARAP-Password",
        "MS-CHAP-Response",
        "MS-CHAP2-Response",
        "MS-CHAP-LM-Enc-PW",
        "MS-CHAP-NT-Enc-PW",
        "MS-CHAP-CPW-1",
        "MS-CHAP-CPW-2",
        "MS-CHAP2-CPW",
        "MS-Old-ARAP-Password",
        "MS-New-ARAP-Password",
        "Mikrotik-Wireless-Enc-Key",
        "Mikrotik-Wireless-PSK",
        "Mikrotik-Wireless-MPKey",
    )
)


class UnknownAttribute(InvalidAttribute):
    """A name that no dictionary defines."""


@final
class Dictionary:
    """Every attribute definition. Nothing changes after it is built, so it may be shared."""

    __slots__ = ("_by_name", "_by_number")

    def __init__(self, definitions: Iterable[Attribute]) -> None:
        self._by_name: dict[str, Attribute] = {}
        self._by_number: dict[tuple[int, int], Attribute] = {}
        for attribute in definitions:
            self._by_name[attribute.name] = attribute
            self._by_number[attribute.vendor, attribute.number] = attribute

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def names(self) -> list[str]:
        """Every attribute name, sorted."""
        return sorted(self._by_name)

    def attribute(self, name: str) -> Attribute:
        """The definition called `name`, without a tag. Raises UnknownAttribute."""
        found = self._by_name.get(name)
        if found is None:
            near = get_close_matches(name, self._by_name, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UnknownAttribute(f"{name}: no such attribute{hint}")
        return found

    def check(self, name: str, value: object) -> None:
        """Raise InvalidAttribute unless a plan, param or finish rule may send `name` with `value` (one or a list).

        A reply of more than 4096 octets could not be sent at all (RFC 2865 section 3). For what is set, not for what
        is stored: an older version may have taken more.
        """
        self.check_name(name)
        if name == _RATE_LIMIT:
            _check_rate_limit(value)
        size = len(self.encode(name, value))
        if size > MOST_OCTETS:
            raise InvalidAttribute(f"{name}: comes to {size} octets, a reply has room for {MOST_OCTETS} of it")

    def check_name(self, name: str) -> None:
        """Raise InvalidAttribute unless a plan, param or finish rule may send `name`, whatever its value."""
        attribute, _ = self._parse_name(name)
        if attribute.encrypted or name in _OWN:
            raise InvalidAttribute(f"{name}: is computed for each packet and cannot be set")
        if name in _NOT_IN_ACCEPT:
            raise InvalidAttribute(f"{name}: has no place in an Access-Accept")
        if name == _USER_NAME:
            raise InvalidAttribute(f"{name}: would have the router call the session by another name than the login")

    def encode(self, name: str, value: object) -> bytes:
        """`name` as complete attribute octets, one attribute per element of a list. Raises InvalidAttribute."""
        attribute, tag = self._parse_name(name)
        if isinstance(value, list | tuple):
            return b"".join([attributes.encode(attribute, one, tag) for one in value])
        return attributes.encode(attribute, value, tag)

    def encode_profile(self, pairs: Iterable[tuple[str, object]]) -> bytes:
        """A reply's attributes as octets, ordered by vendor, number, then as given: equal profiles give equal octets.

        A value may be a list. Raises InvalidAttribute.
        """
        keyed: list[tuple[int, int, bytes]] = []
        for name, value in pairs:
            attribute, _ = self._parse_name(name)
            keyed.append((attribute.vendor, attribute.number, self.encode(name, value)))
        # The sort is stable, and looks at vendor and number only.
        keyed.sort(key=_by_vendor_and_number)
        return b"".join([octets for _, _, octets in keyed])

    def decode(self, kind: int, value: bytes) -> list[tuple[str, str | int]]:
        """One attribute for display, as (name, value) pairs: a Vendor-Specific may hold several, all else gives one.

        What no dictionary names is called Attr-N or Vendor-V-Attr-N, with its octets in hex; secrets are shown as ***.
        """
        if kind == VENDOR_SPECIFIC:
            inner = split_vendor(value)
            if inner:
                return [self._show(vendor, number, octets) for vendor, number, octets in inner]
        return [self._show(0, kind, value)]

    def decode_all(self, pairs: Iterable[tuple[int, bytes]]) -> list[tuple[str, str | int]]:
        """Every attribute of a packet (`Packet.attributes()`) for display, in order."""
        return [shown for kind, value in pairs for shown in self.decode(kind, value)]

    def _show(self, vendor: int, number: int, octets: bytes) -> tuple[str, str | int]:
        attribute = self._by_number.get((vendor, number))
        if attribute is None:
            name = f"Vendor-{vendor}-Attr-{number}" if vendor else f"Attr-{number}"
            return name, "0x" + octets.hex()
        return attribute.name, attributes.decode_value(attribute, octets)

    def _parse_name(self, name: str) -> tuple[Attribute, int]:
        base, colon, tag = name.partition(":")
        attribute = self.attribute(base)
        if not colon:
            return attribute, 0
        if not attribute.tagged:
            raise InvalidAttribute(f"{name}: takes no tag")
        if not (tag.isascii() and tag.isdigit()):
            raise InvalidAttribute(f"{name}: the tag after the colon is not a number")
        return attribute, int(tag)


@cache
def load(path: str | None = None) -> Dictionary:
    """The dictionary file at `path` and its includes; by default the project's own. Read once per process.

    Raises ValueError naming file and line if it does not parse.
    """
    try:
        files = DictionaryFiles(path or dictionaries.path())
    except ParseError as error:
        raise ValueError(f"dictionary {error}") from None
    return Dictionary([_definition(files, name) for name in files.attributes])


def _check_rate_limit(value: object) -> None:
    if not isinstance(value, str):
        raise InvalidAttribute(f"{_RATE_LIMIT}: must be one text such as 2M/4M")
    try:
        parse(value)
    except BadRateLimit as error:
        raise InvalidAttribute(f"{_RATE_LIMIT}: {error}") from None


def _by_vendor_and_number(item: tuple[int, int, bytes]) -> tuple[int, int]:
    return item[0], item[1]


def _definition(files: DictionaryFiles, name: str) -> Attribute:
    entry = files.attributes[name]
    if entry.type not in attributes.TYPES or entry.is_sub_attribute:
        raise ValueError(f"dictionary: {name} has type {entry.type}, which is not supported")
    values: Mapping[str, int] = {}
    if entry.type != "octets":
        values = {label: int.from_bytes(octets, "big") for label, octets in entry.values.forward.items()}
    return Attribute(
        name=name,
        vendor=files.vendors.GetForward(entry.vendor),
        number=entry.code,
        type=entry.type,
        values=values,
        names={number: label for label, number in values.items()},
        tagged=entry.has_tag,
        encrypted=bool(entry.encrypt),
        secret=bool(entry.encrypt) or name in _SECRET,
    )
