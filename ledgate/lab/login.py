"""One Access-Request as a PPPoE router would send it, and the reply taken apart (shell)."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from aaa import clock
from aaa.radius.clients import Clients
from aaa.radius.dictionary import load
from aaa.radius.integrity import Secret
from aaa.radius.packet import ACCESS_ACCEPT, NAS_IDENTIFIER, encode_attribute
from ledgate.lab.client import Client, Method

IDENTIFIER = "ledgate-radtest"
"""Its own NAS-Identifier, so that what it signs teaches the server nothing about other routers of its address."""

_SHAPED = load().encode_profile(
    [("Service-Type", "Framed-User"), ("Framed-Protocol", "PPP"), ("NAS-Port-Type", "Ethernet"), ("NAS-Port", 0)]
)


@dataclass(frozen=True, slots=True)
class Result:
    """What came back: whether it is an Access-Accept, its attributes for people, and microseconds until it came."""

    accepted: bool
    attributes: Sequence[tuple[str, str | int]]
    latency: int

    @property
    def code(self) -> str:
        return "Access-Accept" if self.accepted else "Access-Reject"


def attempt(
    server: str, port: int, secret: Secret, username: str, password: str, method: Method, identifier: str
) -> Result:
    """Send one login and wait for its reply. Raises NoAnswer, also where the server does not prove itself."""
    about = _SHAPED + encode_attribute(NAS_IDENTIFIER, identifier.encode())
    client = Client((server, port), (server, 0), secret, "::" if ip_address(server).version == 6 else "0.0.0.0")
    started = clock.monotonic()
    reply = client.login(username, password, method, about)
    latency = round((clock.monotonic() - started) * 1e6)
    return Result(reply.code == ACCESS_ACCEPT, load().decode_all(reply.attributes()), latency)


def own_secret(clients: Clients, server: str, identifier: str) -> Secret | None:
    """The secret for requests that this machine sends to `server`; None if `clients` has no such NAS."""
    family = socket.AF_INET6 if ip_address(server).version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((server, 9))  # sends nothing: the kernel only picks the source address
        source = probe.getsockname()[0]
    found = clients.match(source, identifier.encode())
    return None if found is None else found.secrets[0]
