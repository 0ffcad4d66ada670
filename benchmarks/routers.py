"""Many fake routers in one light process: each answers every CoA and Disconnect with an ACK, and notes when it came.

    python -m benchmarks.routers PORT COUNT FILE

Router number n is 127.1.a.b, on PORT. A request's MD5 is computed, for the answer, but nothing is checked: routers must
not be what is measured. The first request of each session is noted; at SIGUSR1, and at the end, FILE gets a line
for each: `instant code user`, instants in UTC microseconds.
"""

import selectors
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Final

from aaa import clock
from aaa.radius.integrity import md5
from aaa.radius.packet import USER_NAME
from benchmarks import population

_AT_ONCE: Final = 64


def address(number: int) -> str:
    """The address of router `number`, counted from 0."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


def user_of(data: bytes) -> bytes:
    """The User-Name of a request."""
    at = 20
    while at + 1 < len(data):
        if data[at] == USER_NAME:
            return data[at + 2 : at + data[at + 1]]
        at += data[at + 1]
    return b""


def answer(data: bytes, secret: bytes) -> bytes:
    """An ACK without attributes (RFC 5176 section 2.3)."""
    head = bytes((data[0] + 1, data[1], 0, 20))
    digest: bytes = md5(head + data[4:20] + secret).digest()
    return head + digest


def serve(port: int, count: int, file: Path) -> None:
    """Answer until SIGINT or SIGTERM."""
    came: dict[bytes, tuple[int, int]] = {}
    selector = selectors.EpollSelector()
    for number in range(count):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        one.bind((address(number), port))
        selector.register(one, selectors.EVENT_READ, one)
    wanted = {"write": False, "end": False}

    def note(number: int, _: FrameType | None) -> None:
        wanted["write" if number == signal.SIGUSR1 else "end"] = True

    for number in (signal.SIGUSR1, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
    secret = population.SECRET
    print("ready", flush=True)
    while not wanted["end"]:
        for key, _ in selector.select(0.1):
            ready: socket.socket = key.data
            for _ in range(_AT_ONCE):
                try:
                    data, source = ready.recvfrom(4096)
                except BlockingIOError:
                    break
                ready.sendto(answer(data, secret), source)
                came.setdefault(user_of(data), (clock.now(), data[0]))
        if wanted["write"]:
            wanted["write"] = False
            _write(file, came)
    _write(file, came)


def _write(file: Path, came: dict[bytes, tuple[int, int]]) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_text("".join(f"{at} {code} {user.decode()}\n" for user, (at, code) in came.items()))
    fresh.rename(file)


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
