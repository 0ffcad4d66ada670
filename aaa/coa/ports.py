"""The source ports that requests go out by (shell): one socket for each number and address family."""

import selectors
import socket
from collections.abc import Iterator
from typing import Final

from aaa.coa.exchange import Datagram

_ROOM: Final = 1 << 20
"""Octets that may wait in a socket: many routers answer at once."""


class Ports:
    """Sockets, made as they are needed and registered in `selector`, with their port number as data."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._sockets: dict[tuple[bool, int], socket.socket] = {}

    def send(self, datagram: Datagram) -> None:
        """Raises OSError."""
        ipv6 = ":" in datagram.to[0]
        out = self._sockets.get((ipv6, datagram.port)) or self._open(ipv6, datagram.port)
        try:
            out.sendto(datagram.data, datagram.to)
        except BlockingIOError:
            pass  # lost like any datagram: it is sent again

    def __iter__(self) -> Iterator[tuple[int, socket.socket]]:
        """Every socket, with its port number."""
        for (_, port), one in self._sockets.items():
            yield port, one

    def close(self) -> None:
        for one in self._sockets.values():
            self._selector.unregister(one)
            one.close()

    def _open(self, ipv6: bool, port: int) -> socket.socket:
        family = socket.AF_INET6 if ipv6 else socket.AF_INET
        out = self._sockets[ipv6, port] = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        out.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
        out.bind(("", 0))
        self._selector.register(out, selectors.EVENT_READ, port)
        return out
