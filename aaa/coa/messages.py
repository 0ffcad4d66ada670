"""CoA-Request and Disconnect-Request (RFC 5176): what they carry, and what a router answers. Pure."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Literal, NamedTuple

from aaa.radius.integrity import MA_INVALID, Secret, verify_reply
from aaa.radius.packet import (
    ACCT_SESSION_ID,
    CALLING_STATION_ID,
    COA_ACK,
    COA_NAK,
    COA_REQUEST,
    DISCONNECT_ACK,
    DISCONNECT_NAK,
    DISCONNECT_REQUEST,
    ERROR_CAUSE,
    EVENT_TIMESTAMP,
    FRAMED_IP_ADDRESS,
    NAS_IDENTIFIER,
    NAS_IP_ADDRESS,
    USER_NAME,
    Packet,
    encode_attribute,
)

NAS_IPV6_ADDRESS: Final = 95
SESSION_NOT_FOUND: Final = 503
_SECOND: Final = 1_000_000
_ACKS: Final = {COA_REQUEST: COA_ACK, DISCONNECT_REQUEST: DISCONNECT_ACK}
_NAKS: Final = {COA_REQUEST: COA_NAK, DISCONNECT_REQUEST: DISCONNECT_NAK}


@dataclass(frozen=True, slots=True)
class Target:
    """The session a request is for, in the words its router used in accounting.

    `source` is the address the router's records came from, `identifier` its NAS-Identifier ('' if it sends none).
    """

    source: str
    identifier: str
    username: str
    acct_session_id: str
    framed_ip: str | None = None
    calling_station_id: str = ""


class Answer(NamedTuple):
    """What a router said. `error_cause` is RFC 5176's number, None if it gave none."""

    result: Literal["ack", "nak"]
    error_cause: int | None

    @property
    def gone(self) -> bool:
        """Whether the router has no such session (any more)."""
        return self.result == "nak" and self.error_cause == SESSION_NOT_FOUND


class BadAnswer(ValueError):
    """A datagram that does not answer the request; `cause` is fit for a counter: code or authenticator."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


def request_attributes(target: Target, changes: bytes, now: int) -> bytes:
    """The attributes of a request: which router, which session, `changes` (encoded; empty for a Disconnect), and when.

    RouterOS finds a PPP session by User-Name and Acct-Session-Id, a hotspot one by Framed-IP-Address too. A router
    behind address translation knows itself by its identifier only, so an address names it only where it sends none.
    """
    parts = [
        _router(target),
        encode_attribute(USER_NAME, target.username.encode()),
    ]
    if target.acct_session_id:
        parts.append(encode_attribute(ACCT_SESSION_ID, target.acct_session_id.encode()))
    if target.framed_ip is not None:
        parts.append(encode_attribute(FRAMED_IP_ADDRESS, IPv4Address(target.framed_ip).packed))
    elif not target.acct_session_id and target.calling_station_id:
        parts.append(encode_attribute(CALLING_STATION_ID, target.calling_station_id.encode()))
    parts.append(changes)
    parts.append(encode_attribute(EVENT_TIMESTAMP, (now // _SECOND).to_bytes(4, "big")))
    return b"".join(parts)


def read_answer(reply: Packet, code: int, request_authenticator: bytes, secret: Secret) -> Answer:
    """What `reply` says to our request of `code` (RFC 5176 section 2.3). Raises BadAnswer if it is no proven answer."""
    if reply.code not in (_ACKS[code], _NAKS[code]):
        raise BadAnswer("code")
    if verify_reply(reply, request_authenticator, secret) == MA_INVALID:
        raise BadAnswer("authenticator")
    value = reply.get(ERROR_CAUSE)
    error_cause = int.from_bytes(value, "big") if value is not None and len(value) == 4 else None
    return Answer("ack" if reply.code == _ACKS[code] else "nak", error_cause)


def _router(target: Target) -> bytes:
    if target.identifier:
        return encode_attribute(NAS_IDENTIFIER, target.identifier.encode())
    address = ip_address(target.source.partition("%")[0])
    if isinstance(address, IPv6Address):
        return encode_attribute(NAS_IPV6_ADDRESS, address.packed)
    return encode_attribute(NAS_IP_ADDRESS, address.packed)
