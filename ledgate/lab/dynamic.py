"""What a router makes of a CoA or Disconnect (RFC 5176). Pure.

A repeated request gets the same answer again and is carried out once; what is not proven gets none.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from aaa.coa.messages import SESSION_NOT_FOUND
from aaa.coa.plan import TAKEN_BY_COA
from aaa.radius.dictionary import Dictionary
from aaa.radius.integrity import MA_VALID, Secret, access_reply, verify_signed_request
from aaa.radius.packet import (
    COA_ACK,
    COA_NAK,
    COA_REQUEST,
    DISCONNECT_ACK,
    DISCONNECT_NAK,
    DISCONNECT_REQUEST,
    ERROR_CAUSE,
    MalformedPacket,
    Packet,
    encode_attribute,
    parse,
)
from ledgate.lab.behaviour import Behaviour
from ledgate.lab.client import Address
from ledgate.lab.session import Session

Kind = Literal["coa", "disconnect"]
KINDS: Final[dict[int, Kind]] = {COA_REQUEST: "coa", DISCONNECT_REQUEST: "disconnect"}
ANSWERS: Final = {"coa": (COA_ACK, COA_NAK), "disconnect": (DISCONNECT_ACK, DISCONNECT_NAK)}
REMEMBERED: Final = 4096
"""Answers that are kept for requests that come again."""

ADDRESS_LIST: Final = "Mikrotik-Address-List"
UNSUPPORTED_ATTRIBUTE: Final = 401
NAS_MISMATCH: Final = 403
_IDENTIFY: Final = frozenset(
    (
        "User-Name",
        "Acct-Session-Id",
        "Framed-IP-Address",
        "Calling-Station-Id",
        "NAS-Identifier",
        "NAS-IP-Address",
        "NAS-IPv6-Address",
        "Event-Timestamp",
        "Message-Authenticator",
    )
)


@dataclass(frozen=True, slots=True)
class Decision:
    """What is answered, and what is to be done: `changes` to be told to the session, or (Disconnect) its end.

    `answer` is the whole datagram. `done` is False for a request that came again, or was refused, or was lied about.
    """

    answer: bytes
    kind: Kind
    session: Session | None
    changes: dict[str, Any]
    refused: bool
    done: bool


def told(dictionary: Dictionary, packet: Packet) -> dict[str, Any]:
    """A packet's attributes by name, a list where one comes several times."""
    found: dict[str, Any] = {}
    for name, value in dictionary.decode_all(packet.attributes()):
        if name in found:
            earlier = found[name]
            found[name] = [*earlier, value] if isinstance(earlier, list) else [earlier, value]
        else:
            found[name] = value
    return found


def proven(data: bytes, secret: Secret) -> Packet | None:
    """A CoA-Request or Disconnect-Request that this secret proves."""
    try:
        request = parse(data)
    except MalformedPacket:
        return None
    if request.code not in KINDS or verify_signed_request(request, secret) != MA_VALID:
        return None
    return request


class Judge:
    """Decides about requests; remembers what it has answered to whom."""

    def __init__(self, identifier: str, secret: Secret, dictionary: Dictionary, behaviour: Behaviour) -> None:
        self.identifier = identifier
        self.behaviour = behaviour
        self._secret = secret
        self._dictionary = dictionary
        self._answered: dict[tuple[str, int, int, bytes], bytes] = {}

    def repeated(self, request: Packet, source: Address) -> bytes | None:
        """What was answered to this very request before."""
        return self._answered.get(_key(request, source))

    def decide(
        self, request: Packet, source: Address, find: Callable[[dict[str, Any]], Session | None]
    ) -> Decision | None:
        """The decision about a request that is new; None: silence."""
        kind = KINDS[request.code]
        mode = self.behaviour.coa if kind == "coa" else self.behaviour.disconnect
        if mode == "silent":
            return None
        asked = told(self._dictionary, request)
        session = find(asked)
        changes = {name: value for name, value in asked.items() if name not in _IDENTIFY}
        error = self._objection(kind, asked, changes, session) if mode == "ack" else self.behaviour.error_cause
        refused = mode == "nak" or error is not None
        attributes = encode_attribute(ERROR_CAUSE, error.to_bytes(4, "big")) if error is not None else b""
        answer = access_reply(ANSWERS[kind][refused], request, self._secret, attributes)
        if len(self._answered) >= REMEMBERED:
            del self._answered[next(iter(self._answered))]
        self._answered[_key(request, source)] = answer
        lies = self.behaviour.lie in (kind, "both")
        return Decision(answer, kind, session, changes, refused, not refused and not lies)

    def _objection(
        self, kind: Kind, asked: dict[str, Any], changes: dict[str, Any], session: Session | None
    ) -> int | None:
        """The Error-Cause for a request that a router cannot carry out (RFC 5176 section 3.5)."""
        if asked.get("NAS-Identifier", self.identifier) != self.identifier:
            return NAS_MISMATCH
        if session is None:
            return SESSION_NOT_FOUND
        takes: Iterable[str] = ()
        if kind == "coa":
            takes = TAKEN_BY_COA | {"Session-Timeout"}
            takes = takes | {ADDRESS_LIST} if self.behaviour.takes_address_list else takes
        if not changes.keys() <= set(takes):
            return UNSUPPORTED_ATTRIBUTE
        return None


def find_session(sessions: Mapping[str, Session], asked: dict[str, Any]) -> Session | None:
    """PPP sessions are found by Acct-Session-Id, hotspot ones by their address, both with the User-Name. `sessions` are
    by Acct-Session-Id.
    """
    name, address = asked.get("User-Name"), asked.get("Framed-IP-Address")
    named = sessions.get(str(asked.get("Acct-Session-Id", "")))
    if named is not None and named.subscriber.access == "pppoe":
        return named if named.subscriber.username == name else None
    for session in sessions.values():
        who = session.subscriber
        if who.access == "hotspot" and who.username == name and session.framed_ip == address:
            return session
    return None


def _key(request: Packet, source: Address) -> tuple[str, int, int, bytes]:
    return source[0], source[1], request.identifier, request.authenticator
