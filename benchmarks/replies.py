"""Decodes the replies that generator.c kept, and compares what the servers told the router."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aaa.radius.integrity import MA_VALID, Secret, verify_reply
from aaa.radius.packet import MESSAGE_AUTHENTICATOR, parse, split_vendor
from benchmarks import population

VENDOR_SPECIFIC: Final = 26
SESSION_TIMEOUT: Final = 27
CLASS: Final = 25
# (attribute, or vendor and attribute) -> what every Accept must carry.
WANTED: Final[dict[tuple[int, int], bytes]] = {
    (0, 6): b"\0\0\0\x02",
    (0, 7): b"\0\0\0\x01",
    (14988, 8): population.RATE_LIMIT.encode(),
    (0, 88): population.POOL.encode(),
    (0, 85): population.INTERIM_SECONDS.to_bytes(4, "big"),
}


def check_accepts(requests: list[bytes], dump: Path, first_attribute: int | None = None) -> int:
    """Check every kept Access-Accept; how many there were.

    Each must be signed for its own request (Response Authenticator and Message-Authenticator), carry WANTED, one
    Session-Timeout above 0 and one Class, and nothing else; `first_attribute` must come first, if given.
    Raises RuntimeError naming the first that fails.
    """
    secret = Secret(population.SECRET)
    count = 0
    for number, data in _kept(dump):
        count += 1
        request, reply = requests[number], parse(data)
        fault = ""
        if data[1] != request[1] or verify_reply(reply, request[4:20], secret) != MA_VALID:
            fault = "is not signed for its request"
        elif first_attribute is not None and reply.attributes()[0][0] != first_attribute:
            fault = f"starts with attribute {reply.attributes()[0][0]}"
        else:
            fault = _difference(reply.attributes())
        if fault:
            raise RuntimeError(f"the reply to request {number} {fault}")
    return count


def _difference(attributes: list[tuple[int, bytes]]) -> str:
    found: dict[tuple[int, int], bytes] = {}
    for kind, value in attributes:
        parts = split_vendor(value) if kind == VENDOR_SPECIFIC else [(0, kind, value)]
        for vendor, number, inner in parts:
            if (vendor, number) in found:
                return f"repeats attribute {vendor}/{number}"
            found[vendor, number] = inner
    found.pop((0, MESSAGE_AUTHENTICATOR))
    if not found.pop((0, CLASS), b""):
        return "has no Class"
    if int.from_bytes(found.pop((0, SESSION_TIMEOUT), b""), "big") == 0:
        return "has no Session-Timeout"
    if found != WANTED:
        return f"tells {found}, not {WANTED}"
    return ""


def _kept(dump: Path) -> Iterator[tuple[int, bytes]]:
    data = dump.read_bytes()
    at = 0
    while at < len(data):
        number = int.from_bytes(data[at : at + 4], "big")
        length = int.from_bytes(data[at + 4 : at + 6], "big")
        yield number, data[at + 6 : at + 6 + length]
        at += 6 + length
