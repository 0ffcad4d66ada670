"""Prepares requests shaped as a MikroTik PPPoE server sends them, in the file format of generator.c.

Every request has an authenticator of its own, so no server can answer one from its duplicate cache.
"""

import hashlib
import random
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Final

from aaa.radius.integrity import Secret, access_request, signed_request
from aaa.radius.packet import (
    ACCESS_ACCEPT,
    ACCOUNTING_REQUEST,
    ACCOUNTING_RESPONSE,
    STATUS_SERVER,
    encode_attribute,
)
from benchmarks import population

CHUNK: Final = 256  # as in generator.c
MAGIC: Final = b"LGB1"

START: Final = 1
STOP: Final = 2
INTERIM: Final = 3
# A session's Interim follows its Start by 3 × LAG chunks, and its Stop the Interim: far enough apart to arrive in order
# however the sockets race, near enough for a short run to see all three kinds in equal shares.
LAG: Final = 8

Record = tuple[int, bytes]


def write(path: Path, records: Iterator[Record], count: int) -> int:
    """Write the first `count` (expected reply code, packet) pairs, rounded up to whole chunks; the number written."""
    count = -(-count // CHUNK) * CHUNK
    written = 0
    with path.open("wb") as file:
        file.write(MAGIC)
        for expected, packet in islice(records, count):
            file.write(len(packet).to_bytes(2, "big") + bytes((expected,)) + packet)
            written += 1
    return written


def read(path: Path) -> list[bytes]:
    """The packets of a file that `write` made."""
    data = path.read_bytes()
    packets = []
    at = len(MAGIC)
    while at < len(data):
        length = int.from_bytes(data[at : at + 2], "big")
        packets.append(data[at + 3 : at + 3 + length])
        at += 3 + length
    return packets


def status_server() -> bytes:
    """A new Status-Server request (RFC 5997): answered as soon as a server serves."""
    return access_request(0, random.randbytes(16), Secret(population.SECRET), b"", STATUS_SERVER)


def login(user: int) -> bytes:
    """A new Access-Request of one subscriber."""
    authenticator = random.randbytes(16)
    return access_request(1, authenticator, Secret(population.SECRET), _login(user, 0, authenticator))


def logins(users: int, seed: int = 1) -> Iterator[Record]:
    """PAP Access-Requests with Message-Authenticator, without end: every user once, in random order, then again."""
    chance = random.Random(seed)
    secret = Secret(population.SECRET)
    order = list(range(users))
    number = 0
    while True:
        chance.shuffle(order)
        for user in order:
            authenticator = chance.randbytes(16)
            yield (
                ACCESS_ACCEPT,
                access_request(number % CHUNK, authenticator, secret, _login(user, number, authenticator)),
            )
            number += 1


def accounting(users: int, now: int, classes: Sequence[bytes] = ()) -> Iterator[Record]:
    """Accounting-Requests without end: sessions of one Start, Interim and Stop each, all kinds in turn, chunk by chunk.

    Each echoes its user's Class, as routers do; without `classes` it is one for all.
    `now` is unix seconds; the first sessions start an hour before, so that no record lies in the future.
    """
    secret = Secret(population.SECRET)
    started = now - 3600
    kinds = (START, INTERIM, STOP)
    blocks = (
        (kind, turn - index * LAG) for turn in range(1 << 31) for index, kind in enumerate(kinds) if turn >= index * LAG
    )
    records = chain.from_iterable(_block(kind, block, users, started, classes) for kind, block in blocks)
    for number, attributes in enumerate(records):
        packet = signed_request(ACCOUNTING_REQUEST, number % CHUNK, secret, attributes, message_authenticator=False)
        yield ACCOUNTING_RESPONSE, packet


def _block(kind: int, block: int, users: int, started: int, classes: Sequence[bytes]) -> Iterator[bytes]:
    for session in range(block * CHUNK, (block + 1) * CHUNK):
        user = session * 7919 % users
        echoed = classes[user] if classes else population.CLASS
        yield _account(kind, session, user, started) + encode_attribute(25, echoed)


def _text(kind: int, value: str) -> bytes:
    return encode_attribute(kind, value.encode())


def _number(kind: int, value: int) -> bytes:
    return encode_attribute(kind, value.to_bytes(4, "big"))


_PPPOE: Final = _number(6, 2) + _number(7, 1)  # Service-Type Framed, Framed-Protocol PPP
_ETHERNET: Final = _number(61, 15)  # NAS-Port-Type
_PLACE: Final = _text(30, "pppoe-in") + _text(87, "ether2-subscribers")  # Called-Station-Id, NAS-Port-Id
_NAS: Final = _text(32, population.NAS_IDENTIFIER)
_NAS_ADDRESS: Final = encode_attribute(4, bytes(int(part) for part in population.NAS_ADDRESS.split(".")))


def _who(user: int) -> bytes:
    return _ETHERNET + _text(1, population.username(user)) + _text(31, population.mac(user)) + _PLACE


def _login(user: int, number: int, authenticator: bytes) -> bytes:
    clear = population.password(user).encode().ljust(16, b"\0")
    key = hashlib.md5(population.SECRET + authenticator).digest()
    hidden = (int.from_bytes(clear, "big") ^ int.from_bytes(key, "big")).to_bytes(16, "big")
    port = _number(5, 15_728_640 + user)
    session = _text(44, f"80{number & 0xFFFFFF:06x}")
    return _PPPOE + port + _who(user) + session + encode_attribute(2, hidden) + _NAS + _NAS_ADDRESS


def _account(kind: int, session: int, user: int, started: int) -> bytes:
    seconds = {START: 0, INTERIM: population.INTERIM_SECONDS, STOP: 2 * population.INTERIM_SECONDS}[kind]
    attributes = [
        _PPPOE,
        _number(5, 15_728_640 + user),
        _who(user),
        _text(44, f"81{session & 0xFFFFFF:06x}"),
        encode_attribute(8, population.address(user)),
        _number(45, 1),  # Acct-Authentic RADIUS
        _number(55, started + seconds),  # Event-Timestamp
        _number(40, kind),  # Acct-Status-Type
    ]
    if kind != START:
        # Session-Time, Octets, Gigawords, Packets; the download is above 2^32 octets once the session ends.
        down = seconds * 10_000_000
        attributes += [_number(46, seconds), _number(42, seconds * 250_000), _number(52, 0)]
        attributes += [_number(43, down & 0xFFFFFFFF), _number(53, down >> 32)]
        attributes += [_number(47, seconds * 400), _number(48, seconds * 900)]
    if kind == STOP:
        attributes.append(_number(49, 1))  # Acct-Terminate-Cause User-Request
    attributes += [_NAS, _number(41, 0), _NAS_ADDRESS]  # Acct-Delay-Time
    return b"".join(attributes)
