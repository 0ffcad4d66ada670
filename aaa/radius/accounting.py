"""Accounting-Request as a record (RFC 2866, 2869). Pure; what records do to sessions is in `aaa.domain.session`."""

from hashlib import blake2b
from ipaddress import IPv6Address
from typing import Final, NamedTuple

from aaa.domain import authorisation
from aaa.domain.session import INTERIM, OFF, ON, SECOND, START, STOP, TOLERANCE, Record
from aaa.radius.packet import (
    ACCT_DELAY_TIME,
    ACCT_INPUT_GIGAWORDS,
    ACCT_INPUT_OCTETS,
    ACCT_OUTPUT_GIGAWORDS,
    ACCT_OUTPUT_OCTETS,
    ACCT_SESSION_ID,
    ACCT_SESSION_TIME,
    ACCT_STATUS_TYPE,
    ACCT_TERMINATE_CAUSE,
    CALLED_STATION_ID,
    CALLING_STATION_ID,
    CLASS,
    EVENT_TIMESTAMP,
    FRAMED_IP_ADDRESS,
    FRAMED_PROTOCOL,
    NAS_IDENTIFIER,
    USER_NAME,
    Packet,
)

NAS_PORT_ID: Final = 87
FRAMED_IPV6_PREFIX: Final = 97
DELEGATED_IPV6_PREFIX: Final = 123
FRAMED_IPV6_ADDRESS: Final = 168

_PPP: Final = b"\0\0\0\1"
_OLDEST_EVENT: Final = 86_400 * SECOND
_LONGEST_TEXT: Final = 253
# The store counts in signed 64 bits.
_MOST_OCTETS: Final = (1 << 63) - 1


class Malformed(NamedTuple):
    """A record that cannot be used and gets no answer. `cause`, fit for a counter, is one of status-type-missing,
    status-type-unknown, session-id-missing, integer, octets."""

    cause: str


class _NotFourOctets(ValueError):
    pass


def read_record(
    packet: Packet, nas_id: int, source: str, now: int, client_octets: bool = False, lists_by_api: bool = False
) -> Record | Malformed:
    """Read an Accounting-Request that `source` (an address) sent and that reached us at `now` (UTC microseconds).

    `client_octets`: the router counts from the client's point of view, so its input is the subscriber's download; RFC
    2866 section 5.3 has it the other way round. The event's time is Event-Timestamp (RFC 2869 section 5.3) unless that
    is more than a day before, or more than `TOLERANCE` after, what Acct-Delay-Time says: routers boot with wrong
    clocks. Within the tolerance both ways lead to the same session.
    """
    first = packet.first
    value = first.get(ACCT_STATUS_TYPE)
    if value is None:
        return Malformed("status-type-missing")
    try:
        status = _integer(value)
        event_at = _event_time(packet, now)
        told = first.get(ACCT_SESSION_TIME)
        seconds = _integer(told) if told is not None else 0 if status == START else -1
        received = _count(packet, ACCT_INPUT_OCTETS, ACCT_INPUT_GIGAWORDS)
        sent = _count(packet, ACCT_OUTPUT_OCTETS, ACCT_OUTPUT_GIGAWORDS)
        ended = first.get(ACCT_TERMINATE_CAUSE)
        terminate_cause = _integer(ended) if ended is not None else None
    except _NotFourOctets:
        return Malformed("integer")
    if received > _MOST_OCTETS or sent > _MOST_OCTETS:
        return Malformed("octets")
    identifier = first.get(NAS_IDENTIFIER, b"")
    session_id = first.get(ACCT_SESSION_ID, b"")
    username = first.get(USER_NAME, b"")
    if status == START or status == INTERIM or status == STOP:
        if not session_id:
            return Malformed("session-id-missing")
        key = session_key(source.encode(), identifier, session_id, username)
    elif status == ON or status == OFF:
        key = b""
    else:
        return Malformed("status-type-unknown")
    klass = first.get(CLASS)
    return Record(
        status,
        key,
        nas_id,
        source,
        _text(identifier),
        _text(session_id),
        _text(username),
        _text(first.get(CALLING_STATION_ID, b"")),
        _text(first.get(CALLED_STATION_ID, b"")),
        _text(first.get(NAS_PORT_ID, b"")),
        "ppp" if first.get(FRAMED_PROTOCOL) == _PPP else "",
        _ipv4(first.get(FRAMED_IP_ADDRESS)),
        _ipv6(first.get(FRAMED_IPV6_ADDRESS)) or _prefix(first.get(FRAMED_IPV6_PREFIX)),
        _prefix(first.get(DELEGATED_IPV6_PREFIX)),
        event_at,
        event_at - max(seconds, 0) * SECOND,
        now,
        seconds,
        sent if client_octets else received,
        received if client_octets else sent,
        terminate_cause,
        _authorisation(packet, klass) if klass is not None else None,
        lists_by_api,
    )


def session_key(source: bytes, identifier: bytes, session_id: bytes, username: bytes) -> bytes:
    """What tells sessions apart but for their start: a digest of 16 octets. The parts cannot run into each other."""
    lengths = bytes((len(source), len(identifier), len(session_id)))
    return blake2b(lengths + source + identifier + session_id + username, digest_size=16).digest()


def _event_time(packet: Packet, now: int) -> int:
    delay = packet.first.get(ACCT_DELAY_TIME)
    reached = now - _integer(delay) * SECOND if delay is not None else now
    stamp = packet.first.get(EVENT_TIMESTAMP)
    if stamp is not None:
        stamped = _integer(stamp) * SECOND
        if -_OLDEST_EVENT <= stamped - reached <= TOLERANCE:
            return stamped
    return reached


def _count(packet: Packet, octets: int, gigawords: int) -> int:
    """A counter of octets and how often it went past 2^32 (RFC 2869 sections 5.1 and 5.2)."""
    low = packet.first.get(octets)
    count = _integer(low) if low is not None else 0
    high = packet.first.get(gigawords)
    if high is not None:
        count += _integer(high) << 32
    return count


def _authorisation(packet: Packet, klass: bytes) -> authorisation.Authorisation | None:
    """Our Class among those the router echoes (RFC 2865 section 5.25); another server's is none of our business."""
    found = authorisation.unpack(klass)
    if found is None and packet.repeated:
        for value in packet.all(CLASS):
            found = found or authorisation.unpack(value)
    return found


def _integer(value: bytes) -> int:
    if len(value) != 4:
        raise _NotFourOctets
    return int.from_bytes(value, "big")


def _text(value: bytes) -> str:
    """Text that every database takes, cut to what an attribute can hold; octets that are no UTF-8 are spelled out."""
    if not value:
        return ""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = value.decode("utf-8", "backslashreplace")
    return text.replace("\0", "\\x00")[:_LONGEST_TEXT]


def _ipv4(value: bytes | None) -> str | None:
    """Nothing is counted by addresses, so one that makes no sense is as good as none."""
    if value is None or len(value) != 4:
        return None
    return f"{value[0]}.{value[1]}.{value[2]}.{value[3]}"


def _ipv6(value: bytes | None) -> str | None:
    return str(IPv6Address(value)) if value is not None and len(value) == 16 else None


def _prefix(value: bytes | None) -> str | None:
    """An IPv6 prefix (RFC 3162 section 2.3): reserved octet, length in bits, and as many octets as are needed."""
    if value is None or not 2 <= len(value) <= 18 or value[1] > 128:
        return None
    return f"{IPv6Address(value[2:].ljust(16, bytes(1)))}/{value[1]}"
