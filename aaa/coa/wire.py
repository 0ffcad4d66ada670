"""Requests on the wire (shell): encoded, sent, sent again, and matched with what is answered."""

import random
import selectors
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from aaa.coa.exchange import Done, Exchange
from aaa.coa.job import Job
from aaa.coa.messages import request_attributes
from aaa.coa.plan import CoA
from aaa.coa.ports import Ports
from aaa.radius.clients import parse_address
from aaa.radius.counters import Counters
from aaa.radius.dictionary import Dictionary
from aaa.radius.packet import COA_REQUEST, DISCONNECT_REQUEST

_LARGEST: Final = 4096


class Wire:
    """All requests in flight, by session id. Sockets are registered in `selector`, port as data."""

    def __init__(self, dictionary: Dictionary, selector: selectors.BaseSelector, counters: Counters) -> None:
        self._dictionary = dictionary
        self._counters = counters
        self._exchange = Exchange()
        self._ports = Ports(selector)

    def send(self, job: Job, now: int) -> None:
        """Send what a job plans. Raises OSError, ValueError; then `cancel` it."""
        wish, wanted = job.wish, job.plan
        changes = self._dictionary.encode_profile(wanted.attributes) if isinstance(wanted, CoA) else b""
        datagram = self._exchange.start(
            wish.session_id,
            wish.router.address,
            wish.router.secrets[job.secret],
            COA_REQUEST if isinstance(wanted, CoA) else DISCONNECT_REQUEST,
            request_attributes(wish.target, changes, now),
            now,
            _jitter(),
        )
        job.sent = datagram.data
        self._ports.send(datagram)

    def cancel(self, session_id: int) -> int:
        """Give up a request; how often it was sent, 0: it is not in flight."""
        return self._exchange.cancel(session_id)

    def receive(self, ready: socket.socket, port: int) -> Iterator[Done]:
        """Every datagram that waits on a socket and answers a request."""
        while True:
            try:
                data, source = ready.recvfrom(_LARGEST)
            except BlockingIOError:
                return
            done = self._exchange.receive(port, (str(parse_address(source[0])), source[1]), data)
            if done is not None:
                yield done
            else:
                self._counters.counts.update({f"drop-{cause}": n for cause, n in self._exchange.dropped.items()})

    def receive_all(self) -> Iterator[Done]:
        """`receive` on every socket."""
        for port, one in list(self._ports):
            yield from self.receive(one, port)

    def timers(self, now: int) -> list[Done]:
        """Send again what was not answered; what nobody answered, however often it was sent."""
        again, given_up = self._exchange.timers(now, _jitter())
        for datagram in again:
            with suppress(OSError):  # lost like any datagram
                self._ports.send(datagram)
        return given_up

    def next_timer(self) -> int | None:
        """When `timers` has something to do."""
        return self._exchange.next_timer()

    def close(self) -> None:
        """Close the sockets."""
        self._ports.close()


def _jitter() -> float:
    return random.uniform(-0.1, 0.1)
