"""`ledgate radtest`: one Access-Request as a PPPoE router would send it, and the reply taken apart (shell)."""

import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aaa import clock
from aaa.radius import peer
from aaa.radius.clients import Clients
from aaa.radius.dictionary import load
from aaa.radius.integrity import MA_INVALID, MA_VALID, Secret, access_request, verify_reply
from aaa.radius.packet import ACCESS_ACCEPT, ACCESS_REJECT, MalformedPacket, Packet, encode_attribute, parse

METHODS: Final = ("pap", "chap", "mschap", "mschapv2")
TRIES: Final = 3
WAIT: Final = 1.0

_NAS_IDENTIFIER: Final = 32
_CODES: Final = {ACCESS_ACCEPT: "Access-Accept", ACCESS_REJECT: "Access-Reject"}


class NoAnswer(Exception):
    """The server did not answer, or not with a reply that can be trusted."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came back: the code's name, the attributes for people, and microseconds from sending to the answer.

    `mutual` says whether the server proved by MS-CHAPv2 that it knows the password; None with other methods.
    """

    code: str
    attributes: Sequence[tuple[str, str | int]]
    latency: int
    mutual: bool | None


def attempt(
    host: str, port: int, secret: Secret, username: str, password: str, method: str, identifier: str | None = None
) -> Result:
    """Send one login and wait for its reply. Raises NoAnswer."""
    data = _request(secret, username.encode(), password.encode(), method, identifier)
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as opened:
        opened.settimeout(WAIT)
        opened.connect(address)
        started = clock.monotonic()
        for _ in range(TRIES):
            try:
                opened.send(data)
                reply = opened.recv(4096)
            except TimeoutError:
                continue
            except ConnectionRefusedError:
                raise NoAnswer(f"nothing serves UDP {host} port {port}") from None
            return _result(reply, parse(data), secret, password, method, round((clock.monotonic() - started) * 1e6))
    raise NoAnswer(
        f"no answer from {host} port {port} in {TRIES} tries: "
        "is this machine's address a known NAS, and its secret right?"
    )


def _request(secret: Secret, username: bytes, password: bytes, method: str, identifier: str | None) -> bytes:
    authenticator = secrets.token_bytes(16)
    attributes = encode_attribute(1, username)
    match method:
        case "pap":
            attributes += peer.pap_attributes(password, secret, authenticator)
        case "chap":
            attributes += peer.chap_attributes(password, secrets.randbelow(256), secrets.token_bytes(16))
        case "mschap":
            attributes += peer.mschap_attributes(password, 0, secrets.token_bytes(8))
        case _:
            challenge, own = secrets.token_bytes(16), secrets.token_bytes(16)
            attributes += peer.mschapv2_attributes(username, password, 0, challenge, own)
    shaped: list[tuple[str, object]] = [
        ("Service-Type", "Framed-User"),
        ("Framed-Protocol", "PPP"),
        ("NAS-Port-Type", "Ethernet"),
        ("NAS-Port", 0),
    ]
    attributes += load().encode_profile(shaped)
    if identifier is not None:
        attributes += encode_attribute(_NAS_IDENTIFIER, identifier.encode())
    return access_request(secrets.randbelow(256), authenticator, secret, attributes)


def _result(data: bytes, request: Packet, secret: Secret, password: str, method: str, latency: int) -> Result:
    try:
        reply = parse(data)
    except MalformedPacket as fault:
        raise NoAnswer(f"the answer is malformed: {fault}") from None
    if reply.identifier != request.identifier or verify_reply(reply, request.authenticator, secret) == MA_INVALID:
        raise NoAnswer("the answer is signed with another secret")
    if verify_reply(reply, request.authenticator, secret) != MA_VALID:
        raise NoAnswer("the answer has no Message-Authenticator")
    proved = peer.proves_password(reply, request, password.encode()) if method == "mschapv2" else None
    shown = load().decode_all(reply.attributes())
    return Result(_CODES.get(reply.code, f"code {reply.code}"), shown, latency, proved)


def own_secret(clients: Clients, host: str, identifier: str | None) -> Secret | None:
    """The secret that the server has for requests which this machine sends to `host`; None if it knows no such NAS."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(address)  # sends nothing: the kernel only picks the source address
        source = probe.getsockname()[0]
    found = clients.match(source, None if identifier is None else identifier.encode())
    return None if found is None else found.secrets[0]
