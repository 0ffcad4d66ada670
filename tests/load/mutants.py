"""Damaged copies of correctly signed requests, sent to the processes that serve both ports.

No mutant is a request that anybody signed: Message-Authenticator, or the Request Authenticator of accounting, covers
every octet that Length covers, and what lies behind Length is never all that was changed.
"""

import random
import socket
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from aaa.radius.integrity import MA_VALID, Secret, access_request, signed_request, verify_reply
from aaa.radius.packet import (
    ACCOUNTING_REQUEST,
    ACCT_SESSION_ID,
    ACCT_STATUS_TYPE,
    CALLING_STATION_ID,
    HEADER_LENGTH,
    MESSAGE_AUTHENTICATOR,
    NAS_IDENTIFIER,
    PROXY_STATE,
    STATUS_SERVER,
    USER_NAME,
    encode_attribute,
    parse,
)
from aaa.radius.peer import chap_attributes, mschap_attributes, mschapv2_attributes, pap_attributes
from tests.integration.serving import SECRET, Installation, until

KEY = Secret(SECRET.encode())
USER, PASSWORD = b"ali", b"secret"
ROUND = 100
"""Mutants in flight at once on a port: what the receive buffer of an unprivileged process takes."""

LOGINS = ("pap", "chap", "mschap", "mschapv2")
RECORDS = ("start", "interim", "stop", "on")
KINDS = (*LOGINS, *RECORDS, "status")
_STATUS_TYPES = {"start": 1, "stop": 2, "interim": 3, "on": 7}


@dataclass(frozen=True, slots=True)
class Tally:
    """What was sent and what came of it; `counted` are the counters of both roles' processes, added up."""

    mutants: int
    probes: int
    replies: int
    counted: dict[str, int]
    kernel_drops: int

    @property
    def drops(self) -> dict[str, int]:
        """The drop counters."""
        return {name: count for name, count in self.counted.items() if name.startswith("drop-")}


def request(kind: str, identifier: int, chance: random.Random) -> bytes:
    """A correctly signed request that would be granted or stored."""
    authenticator = chance.randbytes(16)
    if kind == "status":
        return access_request(identifier, authenticator, KEY, b"", STATUS_SERVER)
    attributes = encode_attribute(USER_NAME, USER)
    for number, value in ((CALLING_STATION_ID, b"02:00:00:00:00:01"), (NAS_IDENTIFIER, b"mt"), (PROXY_STATE, b"1")):
        attributes += encode_attribute(number, value)
    if kind in RECORDS:
        attributes += encode_attribute(ACCT_SESSION_ID, b"8%07x" % chance.randrange(1 << 28))
        attributes += encode_attribute(ACCT_STATUS_TYPE, _STATUS_TYPES[kind].to_bytes(4, "big"))
        return signed_request(ACCOUNTING_REQUEST, identifier, KEY, attributes, message_authenticator=kind != "stop")
    match kind:
        case "pap":
            attributes += pap_attributes(PASSWORD, KEY, authenticator)
        case "chap":
            attributes += chap_attributes(PASSWORD, 1, chance.randbytes(16))
        case "mschap":
            attributes += mschap_attributes(PASSWORD, 1, chance.randbytes(8))
        case _:
            attributes += mschapv2_attributes(USER, PASSWORD, 1, chance.randbytes(16), chance.randbytes(16))
    return access_request(identifier, authenticator, KEY, attributes)


class Mutator:
    """Makes mutants of a fixed herd of signed requests, from a seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._herd = [request(kind, number % 256, self._chance) for number in range(64) for kind in KINDS]
        self._signed = frozenset(self._herd)

    def mutant(self) -> tuple[bytes, bool]:
        """A mutant, and whether it is of a kind that belongs on the accounting port."""
        chance = self._chance
        while True:
            whole = chance.choice(self._herd)
            accounting = whole[0] == ACCOUNTING_REQUEST
            if chance.random() < 0.02 and whole[0] != STATUS_SERVER:
                return whole, not accounting  # unharmed, but at the wrong door
            if whole[0] == STATUS_SERVER:
                accounting = chance.random() < 0.5
            made = self._damaged(whole)
            if made[: int.from_bytes(made[2:4], "big")] not in self._signed:
                return made, accounting

    def _damaged(self, data: bytes) -> bytes:
        chance = self._chance
        at = chance.randrange(len(data))
        to = chance.randrange(at, len(data)) + 1
        match chance.randrange(12):
            case 0 | 1 | 2:
                return data[:at] + bytes((data[at] ^ 1 << chance.randrange(8),)) + data[at + 1 :]
            case 3:
                return data[:at] + chance.randbytes(to - at) + data[to:]
            case 4:
                return data[:at]
            case 5:
                return (
                    data[:2] + chance.choice((0, 19, 20, at, len(data) + 1, 4096, 65535)).to_bytes(2, "big") + data[4:]
                )
            case 6:
                return _resized(data[: max(at, 4)] + data[max(to, 4) :])
            case 7:
                return _resized(data[: max(at, 4)] + chance.randbytes(chance.randrange(1, 40)) + data[max(at, 4) :])
            case 8:
                return bytes((chance.randrange(256),)) + data[1:]
            case 9:
                return self._spliced(data)
            case _:
                return self._shuffled(data)

    def _spliced(self, data: bytes) -> bytes:
        """The head of one request, or its signature, and the rest of another."""
        other = self._chance.choice(self._herd)
        if self._chance.random() < 0.5:
            cut = self._chance.choice((1, 2, HEADER_LENGTH, self._chance.randrange(4, min(len(data), len(other)))))
            return _resized(data[:cut] + other[cut:])
        parts = dict(parse(data).attributes())
        signature = encode_attribute(MESSAGE_AUTHENTICATOR, parts.pop(MESSAGE_AUTHENTICATOR, bytes(16)))
        rest = [encode_attribute(n, v) for n, v in parse(other).attributes() if n != MESSAGE_AUTHENTICATOR]
        return _resized(data[:HEADER_LENGTH] + signature + b"".join(rest))

    def _shuffled(self, data: bytes) -> bytes:
        """Attributes removed, repeated or in another order."""
        parts = [encode_attribute(number, value) for number, value in parse(data).attributes()]
        draw = self._chance.random()
        if draw < 0.4:
            del parts[self._chance.randrange(len(parts))]
        elif draw < 0.7:
            parts.insert(self._chance.randrange(len(parts)), self._chance.choice(parts))
        else:
            self._chance.shuffle(parts)
        return _resized(data[:HEADER_LENGTH] + b"".join(parts))


def _resized(data: bytes) -> bytes:
    """With a Length that is right again."""
    return data[:2] + min(len(data), 0xFFFF).to_bytes(2, "big") + data[4:]


def attack(made: Installation, processes: dict[str, int], mutants: int, seed: int) -> Tally:
    """Send so many mutants to a running installation, whose `processes` of `auth` and `acct` are numbered.

    After each round every process answers a Status-Server: so what was sent before has been dealt with, and nothing
    is lost on the way. Fails when anything else is answered.
    """
    mutator = Mutator(seed)
    chance = random.Random(seed + 1)
    ports = {"auth": made.auth_port, "acct": made.acct_port}
    clients = {role: _client(port) for role, port in ports.items()}
    probes = 0
    try:
        left = mutants
        while left:
            sent: Counter[str] = Counter()
            while left and max(sent.values(), default=0) < ROUND:
                mutant, accounting = mutator.mutant()
                role = "acct" if accounting else "auth"
                clients[role].send(mutant)
                sent[role] += 1
                left -= 1
            for role, client in clients.items():
                probes += _probe(client, processes[role], chance)
    finally:
        for client in clients.values():
            client.close()

    def all_counted() -> dict[str, int] | None:
        counted = Counter(made.counters("auth"))
        counted.update(made.counters("acct"))
        return dict(counted) if counted.total() >= mutants + probes else None

    counted = until(all_counted, "the counters name everything that was sent")
    return Tally(mutants, probes, probes, counted, sum(kernel_drops(port) for port in ports.values()))


def _client(port: int) -> socket.socket:
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(10)
    client.connect(("127.0.0.1", port))
    return client


def _probe(client: socket.socket, processes: int, chance: random.Random) -> int:
    """Ask each process whether it is there; any reply but theirs is a mutant's."""
    asked = {identifier: request("status", identifier, chance) for identifier in range(processes)}
    for data in asked.values():
        client.send(data)
    while asked:
        reply = parse(client.recv(4096))
        data = asked.pop(reply.identifier, bytes(20))
        assert verify_reply(reply, data[4:20], KEY) == MA_VALID, f"a mutant was answered with code {reply.code}"
    return processes


def kernel_drops(port: int) -> int:
    """Datagrams that the kernel threw away on this UDP port since its sockets were opened."""
    dropped = 0
    for table in ("/proc/net/udp", "/proc/net/udp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[1].rpartition(":")[2], 16) == port:
                dropped += int(fields[12])
    return dropped
