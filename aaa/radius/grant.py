"""The attributes of an Access-Accept: a profile fitted to the kind of session, and what changes with each login.

Pure and on the login path: a profile is taken apart once for PPP, once for a hotspot and once for the rest, and kept.
"""

from typing import Final, final

from aaa.domain import authorisation
from aaa.domain.allowance import LEAST_OCTETS, LEAST_SECONDS, UNLIMITED, Allowance
from aaa.domain.grace import grace
from aaa.domain.usage import DOWNLOAD, SECONDS, TOTAL, UPLOAD, Kind
from aaa.radius.packet import (
    CLASS,
    FRAMED_IP_ADDRESS,
    FRAMED_PROTOCOL,
    SESSION_TIMEOUT,
    VENDOR_SPECIFIC,
    Packet,
    encode_attribute,
    encode_vendor,
    split_vendor,
)
from aaa.store.record import Entry, Step, quotas

PLAIN: Final = 0
PPP: Final = 1
HOTSPOT: Final = 2
_KINDS: Final = 3

_PPP: Final = b"\0\0\0\x01"
_MIKROTIK: Final = 14988
_MIKROTIK_HOST_IP: Final = 10
_WISPR: Final = b"\0\0\x37\x2a"  # vendor 14122
_MIKROTIK_ADDRESS_LIST: Final = b"\0\0\x3a\x8c\x13"  # vendor 14988, type 19
_MIKROTIK_DELEGATED_IPV6_POOL: Final = b"\0\0\x3a\x8c\x16"  # vendor 14988, type 22
# Service-Type = Framed-User and Framed-Protocol = PPP (RFC 2865 sections 5.6 and 5.7)
_FRAMED_PPP: Final = b"\x06\x06\0\0\0\x02\x07\x06\0\0\0\x01"
# Addresses, pools, prefixes and routes: RFC 2865, 2869, 3162, 4818 and 6911.
_ADDRESSING: Final = frozenset((8, 9, 22, 88, 96, 97, 98, 99, 100, 123, 168, 169, 170, 171, 172))
# Mikrotik-Recv-Limit, -Xmit-Limit and -Total-Limit, each with its Gigawords. The router's view: it receives uploads.
_LIMITS: Final[dict[Kind, tuple[int, int]]] = {UPLOAD: (1, 14), DOWNLOAD: (2, 15), TOTAL: (17, 18)}
_LIMIT_NUMBERS: Final = frozenset((1, 2, 14, 15, 17, 18))
_ALLOW: Final = 0
_SECOND: Final = 1_000_000
_GIGAWORD: Final = 1 << 32
_REMEMBERED: Final = 4096


@final
class Fitted:
    """A profile as one kind of session gets it: `attributes` in octets, `timeout` its Session-Timeout, 0 if none.
    `limited`: it has a limit of volume of its own.
    """

    __slots__ = ("attributes", "limited", "timeout")

    def __init__(self, attributes: bytes, timeout: int, limited: bool) -> None:
        self.attributes: bytes = attributes
        self.timeout: int = timeout
        self.limited: bool = limited


def session_kind(request: Packet) -> int:
    """PPP, HOTSPOT or PLAIN.

    RouterOS marks PPP by Framed-Protocol. A hotspot's client has its address before it logs in, so that a request which
    tells it is a hotspot's, as is one with Mikrotik-Host-IP or WISPr.
    """
    first = request.first
    if FRAMED_PROTOCOL in first:
        return PPP if first[FRAMED_PROTOCOL] == _PPP else PLAIN
    if FRAMED_IP_ADDRESS in first:
        return HOTSPOT
    if VENDOR_SPECIFIC in first:
        if request.vendor(_MIKROTIK, _MIKROTIK_HOST_IP) is not None:
            return HOTSPOT
        for value in request.all(VENDOR_SPECIFIC):
            if value[:4] == _WISPR:
                return HOTSPOT
    return PLAIN


def fit(encoded: bytes, kind: int, lists_by_api: bool = False) -> Fitted:
    """Take an encoded profile apart for one kind of session.

    Session-Timeout is taken out, its value kept. A hotspot loses everything about addresses, which it could only change
    by a new login (R3.3). PPP is told that it is PPP. With `lists_by_api` Mikrotik-Address-List is left out.
    """
    kept: list[bytes] = []
    timeout = 0
    limited = False
    at = 0
    while at < len(encoded):
        number = encoded[at]
        end = at + encoded[at + 1]
        if number == SESSION_TIMEOUT:
            timeout = int.from_bytes(encoded[at + 2 : end], "big")
        elif lists_by_api and number == VENDOR_SPECIFIC and encoded[at + 2 : at + 7] == _MIKROTIK_ADDRESS_LIST:
            pass
        elif kind != HOTSPOT or not _is_addressing(number, encoded[at + 2 : end]):
            kept.append(encoded[at:end])
            limited = limited or (number == VENDOR_SPECIFIC and _is_limit(encoded[at + 2 : end]))
        at = end
    if kind == PPP:
        kept.insert(0, _FRAMED_PPP)
    return Fitted(b"".join(kept), timeout, limited)


def _is_limit(value: bytes) -> bool:
    return any(vendor == _MIKROTIK and kind in _LIMIT_NUMBERS for vendor, kind, _ in split_vendor(value))


def _is_addressing(number: int, value: bytes) -> bool:
    return number in _ADDRESSING or (number == VENDOR_SPECIFIC and value[:5] == _MIKROTIK_DELEGATED_IPV6_POOL)


@final
class Wardrobe:
    """Profiles already fitted, by their octets."""

    __slots__ = ("_fitted",)

    def __init__(self) -> None:
        self._fitted: list[dict[bytes, Fitted]] = [{}, {}, {}, {}, {}, {}]

    def fitted(self, encoded: bytes, kind: int, lists_by_api: bool = False) -> Fitted:
        """`fit`, remembered."""
        known = self._fitted[kind + _KINDS if lists_by_api else kind]
        found = known.get(encoded)
        if found is None:
            if len(known) >= _REMEMBERED:
                known.clear()
            found = known[encoded] = fit(encoded, kind, lists_by_api)
        return found


def allowance(head: Entry, step: Step, now: int) -> Allowance:
    """What is left at `now` of the quotas that this billing period has (R6.3): of several volumes the least.

    The use that the record knows may be a little old, so it is never less than what is left in truth. Who is blocked
    or restricted has none: he is to stay where he is.
    """
    octets = seconds = 0
    kind: Kind = TOTAL
    if step.verdict == _ALLOW:
        for quota in quotas(head):
            if not quota.start <= now < quota.end:
                continue
            left = quota.left(quota.used)
            if quota.kind == SECONDS:
                seconds = max(left, LEAST_SECONDS)
            elif octets == 0 or left < octets:
                octets, kind = max(left, LEAST_OCTETS), quota.kind
    if octets and octets % _GIGAWORD == 0:
        octets += 1  # the limit itself would be 0, which may be taken for none
    return Allowance(octets, kind, seconds) if octets or seconds else UNLIMITED


def _limit_attributes(allowed: Allowance) -> bytes:
    number, gigawords = _LIMITS[allowed.kind]
    attributes = encode_vendor(_MIKROTIK, number, (allowed.octets % _GIGAWORD).to_bytes(4, "big"))
    if allowed.octets >= _GIGAWORD:
        attributes += encode_vendor(_MIKROTIK, gigawords, (allowed.octets // _GIGAWORD).to_bytes(4, "big"))
    return attributes


def accept_attributes(fitted: Fitted, kind: int, head: Entry, step: Step, now: int, total_limit: bool = False) -> bytes:
    """A service's reply at `now` (UTC microseconds), but for what proves the server to the subscriber.

    Session-Timeout is the profile's own, or the time to the verdict's end plus the service's grace if that is less.
    Framed-IP-Address is the service's own address. Class says what the session was authorised with. With `total_limit`
    the router is told what is left of a quota, unless the profile has a limit of its own.
    """
    allowed = UNLIMITED
    if total_limit and head.quotas:
        allowed = allowance(head, step, now)
        if fitted.limited:
            allowed = allowed._replace(octets=0)
    timeout = fitted.timeout
    end = step.verdict_end
    if end:
        left = (end - now) // _SECOND + grace(head.service_id)
        if timeout == 0 or left < timeout:
            timeout = left if left > 0 else 1
    if allowed.seconds and (timeout == 0 or allowed.seconds < timeout):
        timeout = allowed.seconds
    attributes = fitted.attributes
    if step.framed_ip and kind != HOTSPOT:
        attributes += encode_attribute(FRAMED_IP_ADDRESS, step.framed_ip.to_bytes(4, "big"))
    if timeout:
        attributes += b"\x1b\x06" + timeout.to_bytes(4, "big")
    if allowed.octets:
        attributes += _limit_attributes(allowed)
    granted = authorisation.pack(head.service_id, head.version, step.position, step.profile, end // _SECOND, allowed)
    return attributes + encode_attribute(CLASS, granted)
