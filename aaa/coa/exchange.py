"""Requests in flight to routers: which Identifier and source port each has, when to send again, when to give up. Pure.

The caller owns the sockets and the clock: it sends the datagrams it is handed, through the source port that each names,
and brings back what arrives. Instants are UTC microseconds. A request is sent again unchanged, from the same port, with
the same Identifier and authenticator (RFC 5176 section 2.3), at intervals that double (RFC 5080 section 2.2.1).
"""

import heapq
from collections import Counter
from typing import Final, NamedTuple

from aaa.coa.messages import Answer, BadAnswer, read_answer
from aaa.radius.integrity import Secret, signed_request
from aaa.radius.packet import MalformedPacket, parse

MILLISECOND: Final = 1_000
FIRST_WAIT: Final = 500 * MILLISECOND
LONGEST_WAIT: Final = 8_000 * MILLISECOND
SENDS: Final = 5
"""Sends before giving up: after 0.5 + 1 + 2 + 4 + 8 seconds."""
IDENTIFIERS: Final = 256

Address = tuple[str, int]


class Datagram(NamedTuple):
    """Send `data` to `to` through source port number `port` (0, 1, …: the caller maps them to sockets)."""

    port: int
    to: Address
    data: bytes


class Done(NamedTuple):
    """A request ended: `answer` is what the router said, None if it said nothing. `sends` counts the datagrams."""

    token: int
    answer: Answer | None
    sends: int


class _Pending:
    __slots__ = ("code", "datagram", "due", "secret", "sends", "token", "wait")

    def __init__(self, token: int, code: int, secret: Secret, datagram: Datagram, due: int, wait: int) -> None:
        self.token = token
        self.code = code
        self.secret = secret
        self.datagram = datagram
        self.due = due
        self.wait = wait
        self.sends = 1


_Key = tuple[Address, int, int]


class Exchange:
    """All requests in flight. A `token` is the caller's name for a request, one at a time for each.

    A router gets one more source port for every 256 requests in flight. `dropped` counts datagrams that answer nothing,
    by cause.
    """

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        self._pending: dict[_Key, _Pending] = {}
        self._keys: dict[int, _Key] = {}
        self._in_flight: Counter[tuple[Address, int]] = Counter()
        self._last: dict[tuple[Address, int], int] = {}
        self._timers: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._pending)

    def start(
        self, token: int, to: Address, secret: Secret, code: int, attributes: bytes, now: int, jitter: float
    ) -> Datagram:
        """A new request, signed; the datagram is to be sent at once. `jitter` is random in [-0.1, 0.1].

        Raises OversizePacket, and ValueError if `token` is in flight.
        """
        if token in self._keys:
            raise ValueError(f"request {token} is in flight already")
        port, identifier = self._allocate(to)
        datagram = Datagram(port, to, signed_request(code, identifier, secret, attributes))
        wait = _spread(FIRST_WAIT, jitter)
        key = (to, port, identifier)
        self._pending[key] = _Pending(token, code, secret, datagram, now + wait, wait)
        self._keys[token] = key
        self._in_flight[to, port] += 1
        self._last[to, port] = identifier
        heapq.heappush(self._timers, (now + wait, token))
        return datagram

    def receive(self, port: int, source: Address, data: bytes) -> Done | None:
        """Take a datagram that arrived on source port `port`; the request it answers, or None if it answers none."""
        try:
            reply = parse(data)
        except MalformedPacket as malformed:
            self.dropped[malformed.cause] += 1
            return None
        pending = self._pending.get((source, port, reply.identifier))
        if pending is None:
            self.dropped["unexpected"] += 1
            return None
        try:
            answer = read_answer(reply, pending.code, pending.datagram.data[4:20], pending.secret)
        except BadAnswer as bad:
            self.dropped[bad.cause] += 1
            return None
        self._forget(pending.token)
        return Done(pending.token, answer, pending.sends)

    def cancel(self, token: int) -> int:
        """Give up a request; returns how often it was sent, 0 if it is not in flight."""
        key = self._keys.get(token)
        if key is None:
            return 0
        sends = self._pending[key].sends
        self._forget(token)
        return sends

    def timers(self, now: int, jitter: float) -> tuple[list[Datagram], list[Done]]:
        """What is due at `now`: datagrams to send again, and requests that nobody answered."""
        again: list[Datagram] = []
        given_up: list[Done] = []
        while self._timers and self._timers[0][0] <= now:
            due, token = heapq.heappop(self._timers)
            key = self._keys.get(token)
            if key is None or self._pending[key].due != due:
                continue  # answered since, or the timer of an earlier request with this token
            pending = self._pending[key]
            if pending.sends >= SENDS:
                self._forget(token)
                given_up.append(Done(token, None, pending.sends))
                continue
            pending.sends += 1
            pending.wait = _spread(min(2 * pending.wait, LONGEST_WAIT), jitter)
            pending.due = now + pending.wait
            heapq.heappush(self._timers, (pending.due, token))
            again.append(pending.datagram)
        return again, given_up

    def next_timer(self) -> int | None:
        """When `timers` has something to do; never later than that."""
        return self._timers[0][0] if self._timers else None

    def _allocate(self, to: Address) -> tuple[int, int]:
        """The first port with room, and there the free Identifier after the last one used.

        So an Identifier rests as long as it can: a router would take the same octets again for a retransmission.
        """
        port = 0
        while self._in_flight[to, port] >= IDENTIFIERS:
            port += 1
        identifier = self._last.get((to, port), -1)
        for _ in range(IDENTIFIERS):
            identifier = (identifier + 1) % IDENTIFIERS
            if (to, port, identifier) not in self._pending:
                break
        return port, identifier

    def _forget(self, token: int) -> None:
        key = self._keys.pop(token)
        del self._pending[key]
        to, port, _ = key
        self._in_flight[to, port] -= 1


def _spread(wait: int, jitter: float) -> int:
    return wait + int(wait * jitter)
