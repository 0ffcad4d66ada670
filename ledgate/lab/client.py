"""The fake router as RADIUS client: logins and accounting records over UDP (shell)."""

import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, get_args

from aaa import clock
from aaa.radius import peer
from aaa.radius.integrity import MA_INVALID, MA_VALID, Secret, access_request, signed_request, verify_reply
from aaa.radius.packet import (
    ACCESS_ACCEPT,
    ACCESS_REJECT,
    ACCOUNTING_REQUEST,
    ACCOUNTING_RESPONSE,
    MalformedPacket,
    Packet,
    encode_attribute,
    parse,
)

Address = tuple[str, int]
Method = Literal["pap", "chap", "mschap", "mschapv2"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)

_USER_NAME: Final = 1
_LARGEST: Final = 4096


class NoAnswer(Exception):
    """The server did not answer in time, or not with a reply that its secret proves."""


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Client:
    """Where the server is, and the secret shared with it. `source` is the address requests leave from.

    `lost` says of each datagram, in either direction, whether the network loses it; `given_up` ends the trying.
    """

    auth: Address
    acct: Address
    secret: Secret
    source: str
    wait: float = 1.0
    tries: int = 5
    lost: Callable[[], bool] = _never
    given_up: Callable[[], bool] = _never

    def login(self, username: str, password: str, method: Method, attributes: bytes) -> Packet:
        """Ask for access; the Access-Accept or Access-Reject. Raises NoAnswer."""
        authenticator = secrets.token_bytes(16)
        name = username.encode()
        proof = _credentials(self.secret, authenticator, name, password.encode(), method)
        named = encode_attribute(_USER_NAME, name) + proof + attributes
        data = access_request(secrets.randbelow(256), authenticator, self.secret, named)
        reply, proven = self._ask(self.auth, data)
        if reply.code not in (ACCESS_ACCEPT, ACCESS_REJECT) or proven != MA_VALID:
            raise NoAnswer("the answer has no Message-Authenticator, or is none to a login")
        if reply.code == ACCESS_ACCEPT and method == "mschapv2":
            if not peer.proves_password(reply, parse(data), password.encode()):
                raise NoAnswer("the server did not prove that it knows the password")
        return reply

    def account(self, attributes: bytes) -> float:
        """Send an accounting record until it is answered; returns the seconds it took. Raises NoAnswer."""
        started = clock.monotonic()
        data = signed_request(ACCOUNTING_REQUEST, secrets.randbelow(256), self.secret, attributes)
        reply, _ = self._ask(self.acct, data)
        if reply.code != ACCOUNTING_RESPONSE:
            raise NoAnswer(f"an accounting record was answered with code {reply.code}")
        return clock.monotonic() - started

    def _ask(self, server: Address, data: bytes) -> tuple[Packet, int]:
        """Send, again and again, until a proven answer comes."""
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as out:
            out.bind((self.source, 0))
            for _ in range(self.tries):
                if self.given_up():
                    break
                if not self.lost():
                    with suppress(OSError):  # no route, no memory: lost as well
                        out.sendto(data, server)
                reply = self._await(out, data)
                if reply is not None:
                    return reply
        raise NoAnswer(f"no answer from {server[0]} port {server[1]} in {self.tries} tries")

    def _await(self, out: socket.socket, data: bytes) -> tuple[Packet, int] | None:
        deadline = clock.monotonic() + self.wait
        while (left := deadline - clock.monotonic()) > 0:
            out.settimeout(left)
            try:
                received = out.recv(_LARGEST)
                if self.lost():
                    continue
                reply = parse(received)
            except (TimeoutError, ConnectionRefusedError):
                return None
            except MalformedPacket:
                continue
            proven = verify_reply(reply, data[4:20], self.secret)
            if reply.identifier == data[1] and proven != MA_INVALID:
                return reply, proven
        return None


def _credentials(secret: Secret, authenticator: bytes, name: bytes, password: bytes, method: Method) -> bytes:
    match method:
        case "pap":
            return peer.pap_attributes(password, secret, authenticator)
        case "chap":
            return peer.chap_attributes(password, secrets.randbelow(256), secrets.token_bytes(16))
        case "mschap":
            return peer.mschap_attributes(password, 0, secrets.token_bytes(8))
        case "mschapv2":
            return peer.mschapv2_attributes(name, password, 0, secrets.token_bytes(16), secrets.token_bytes(16))
