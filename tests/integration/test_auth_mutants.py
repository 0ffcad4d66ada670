"""200,000 mutants of signed requests against real processes: none accepted, none fatal, and every one accounted for."""

import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path

from aaa.radius.integrity import MA_VALID, Secret, access_request, verify_reply
from aaa.radius.packet import (
    ACCESS_ACCEPT,
    CALLING_STATION_ID,
    HEADER_LENGTH,
    NAS_IDENTIFIER,
    PROXY_STATE,
    STATUS_SERVER,
    USER_NAME,
    encode_attribute,
    parse,
)
from aaa.radius.peer import chap_attributes, mschapv2_attributes, pap_attributes
from tests.integration.serving import SECRET, document, installation, router, running, subscriber, until

MUTANTS = 200_000
# What an unprivileged process's receive buffer takes at once.
ROUND = 100
PROCESSES = 2
KEY = Secret(SECRET.encode())


def request(kind: str, identifier: int) -> bytes:
    """A correctly signed request that would be answered."""
    authenticator = os.urandom(16)
    if kind == "status":
        return access_request(identifier, authenticator, KEY, b"", STATUS_SERVER)
    attributes = encode_attribute(USER_NAME, b"ali")
    if kind == "pap":
        attributes += pap_attributes(b"secret", KEY, authenticator)
    elif kind == "chap":
        attributes += chap_attributes(b"secret", 1, os.urandom(16))
    else:
        attributes += mschapv2_attributes(b"ali", b"secret", 1, os.urandom(16), os.urandom(16))
    for attribute, value in ((CALLING_STATION_ID, b"02:00:00:00:00:01"), (NAS_IDENTIFIER, b"mt"), (PROXY_STATE, b"1")):
        attributes += encode_attribute(attribute, value)
    return access_request(identifier, authenticator, KEY, attributes)


def resized(data: bytes) -> bytes:
    """With a Length that is right again."""
    return data[:2] + min(len(data), 0xFFFF).to_bytes(2, "big") + data[4:]


def mutate(data: bytes, chance: random.Random) -> bytes:
    """One change, of a kind that mischief or a bad line could make; never the same request."""
    while True:
        at = chance.randrange(len(data))
        to = chance.randrange(at, len(data)) + 1
        kind = chance.randrange(9)
        if kind < 3:
            made = data[:at] + bytes((data[at] ^ 1 << chance.randrange(8),)) + data[at + 1 :]
        elif kind == 3:
            made = data[:at] + chance.randbytes(to - at) + data[to:]
        elif kind == 4:
            made = data[:at]
        elif kind == 5:
            made = resized(data[: max(at, 4)])
        elif kind == 6:
            made = resized(data[: max(at, 4)] + data[max(to, 4) :])
        elif kind == 7:
            made = resized(data[: max(at, 4)] + chance.randbytes(chance.randrange(1, 40)) + data[max(at, 4) :])
        else:
            made = _reordered(data, chance)
        # Octets behind Length are padding (RFC 2865 section 3): with them alone it would be the true request.
        if made[: len(data)] != data:
            return made


def _reordered(data: bytes, chance: random.Random) -> bytes:
    parts = [encode_attribute(kind, value) for kind, value in parse(data).attributes()]
    if chance.random() < 0.3:
        del parts[chance.randrange(len(parts))]
    elif chance.random() < 0.5:
        parts.append(chance.choice(parts))
    chance.shuffle(parts)
    return resized(data[:HEADER_LENGTH] + b"".join(parts))


def rounds() -> Iterator[list[bytes]]:
    """Mutants in rounds, from a seed: a failure can be run again."""
    chance = random.Random(2865)
    originals = [request(kind, number) for number in range(64) for kind in ("pap", "chap", "mschapv2", "status")]
    for _ in range(MUTANTS // ROUND):
        yield [mutate(chance.choice(originals), chance) for _ in range(ROUND)]


def test_200000_mutants_are_dropped_and_counted(sqlite_url: str, tmp_path: Path) -> None:
    made = installation(sqlite_url, tmp_path / "ledgate", auth_processes=PROCESSES, login_lines=False, auth_log_rate=0)
    strict = router("mt1", "127.0.0.1", require_message_authenticator="yes")
    made.load(document(nas=[strict], subscribers=[subscriber("ali")]))
    with (
        running(made, "replica", "auth"),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        pids = [made.pid("auth", index) for index in range(PROCESSES)]
        client.settimeout(10)
        client.connect(("127.0.0.1", made.auth_port))
        accepted = 0
        for mutants in rounds():
            for mutant in mutants:
                client.send(mutant)
            # One true request to each process: answered, so everything before it is done with.
            true = {identifier: request("pap", identifier) for identifier in range(PROCESSES)}
            for asked in true.values():
                client.send(asked)
            while true:
                reply = parse(client.recv(4096))
                asked = true.pop(reply.identifier)
                assert verify_reply(reply, parse(asked).authenticator, KEY) == MA_VALID, "a mutant was answered"
                assert reply.code == ACCESS_ACCEPT
                accepted += 1
        assert accepted == MUTANTS // ROUND * PROCESSES
        assert [made.pid("auth", index) for index in range(PROCESSES)] == pids

        def all_counted() -> dict[str, int]:
            counted = made.counters()
            return counted if sum(counted.values()) == MUTANTS + accepted else {}

        counted = until(all_counted, "the counters")
    drops = {name: count for name, count in counted.items() if name.startswith("drop-")}
    assert counted["accept"] == accepted
    assert sum(drops.values()) == MUTANTS
    # The mutants were of many kinds.
    assert set(drops) >= {
        "drop-malformed-attribute-length",
        "drop-malformed-attribute-overrun",
        "drop-malformed-code",
        "drop-malformed-length",
        "drop-malformed-message-authenticator",
        "drop-malformed-truncated",
        "drop-message-authenticator-missing",
        "drop-message-authenticator-wrong",
        "drop-unexpected-code",
    }
