"""Many light routers in one process, for measurements (shell): they answer CoA and Disconnect, and do nothing else.

One thread serves them all. Requests are proven and answered as a router would, and counted and timed per router.
"""

import selectors
import socket
import threading
from array import array
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Self

from aaa import clock
from aaa.coa.messages import SESSION_NOT_FOUND
from aaa.radius.integrity import Secret, access_reply
from aaa.radius.packet import ACCT_SESSION_ID, DISCONNECT_REQUEST, ERROR_CAUSE, NAS_IDENTIFIER, Packet, encode_attribute
from ledgate.lab.behaviour import Behaviour
from ledgate.lab.dynamic import ANSWERS, KINDS, NAS_MISMATCH, REMEMBERED, proven

_LARGEST: Final = 4096
_AT_ONCE: Final = 64
_BUFFER: Final = 1 << 20


def _error(cause: int) -> bytes:
    return encode_attribute(ERROR_CAUSE, cause.to_bytes(4, "big"))


@dataclass(slots=True)
class LightRouter:
    """One of them. `sessions`: the Acct-Session-Ids that it has (None: whatever it is asked for). `arrivals` are the
    moments of the monotonic clock at which new requests came; one that comes again is a `repeat`.
    """

    identifier: str
    address: str
    port: int
    sessions: set[str] | None = None
    acks: int = 0
    naks: int = 0
    repeats: int = 0
    strangers: int = 0
    arrivals: "array[float]" = field(default_factory=lambda: array("d"))
    answered: dict[tuple[str, int, int, bytes], bytes] = field(default_factory=dict, repr=False)

    @property
    def requests(self) -> int:
        """How many requests were new."""
        return len(self.arrivals)


class Fleet:
    """The routers, each on a port of its own. Use it as a context manager.

    `addresses` are those that they listen on, one router each, named mt1, mt2, … `behaviour` is that of them all:
    `coa`, `disconnect`, `error_cause` and `drop` count here. `on_request` is called, in the fleet's thread, for each
    new request with its router.
    """

    def __init__(
        self,
        addresses: Iterable[str],
        secret: bytes,
        *,
        seed: int | None = None,
        on_request: Callable[[LightRouter, Packet], None] | None = None,
    ) -> None:
        self.behaviour = Behaviour()
        self.routers: list[LightRouter] = []
        self._secret = Secret(secret)
        self._chance = Random(seed)
        self._on_request = on_request
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="lab fleet")
        self._sockets: list[socket.socket] = []
        for number, address in enumerate(addresses, start=1):
            self._sockets.append(_bound(address))
            self.routers.append(LightRouter(f"mt{number}", address, self._sockets[-1].getsockname()[1]))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()
        for one in self._sockets:
            one.close()

    @property
    def requests(self) -> int:
        """How many new requests have come to all of them."""
        return sum(router.requests for router in self.routers)

    @property
    def last_at(self) -> float:
        """When the latest of them came (monotonic clock); 0.0 if none did."""
        return max((router.arrivals[-1] for router in self.routers if router.arrivals), default=0.0)

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            for one, router in zip(self._sockets, self.routers, strict=True):
                selector.register(one, selectors.EVENT_READ, router)
            while not self._closing.is_set():
                for key, _ in selector.select(0.1):
                    self._take(key.fileobj, key.data)  # type: ignore[arg-type]

    def _take(self, one: socket.socket, router: LightRouter) -> None:
        """What waits at one router, not without end: the others wait too."""
        for _ in range(_AT_ONCE):
            try:
                data, source = one.recvfrom(_LARGEST)
            except BlockingIOError:
                return
            if self._lost():
                continue
            answer = self._answer(data, source, router)
            if answer is not None and not self._lost():
                with suppress(BlockingIOError):
                    one.sendto(answer, source)

    def _lost(self) -> bool:
        return self.behaviour.drop > 0 and self._chance.random() < self.behaviour.drop

    def _answer(self, data: bytes, source: Any, router: LightRouter) -> bytes | None:
        request = proven(data, self._secret)
        if request is None:
            router.strangers += 1
            return None
        seen = (source[0], source[1], request.identifier, request.authenticator)
        again = router.answered.get(seen)
        if again is not None:
            router.repeats += 1
            return again
        router.arrivals.append(clock.monotonic())
        if self._on_request is not None:
            self._on_request(router, request)
        kind = KINDS[request.code]
        mode = self.behaviour.coa if kind == "coa" else self.behaviour.disconnect
        if mode == "silent":
            return None
        refused = mode == "nak"
        attributes = _error(self.behaviour.error_cause) if refused and self.behaviour.error_cause else b""
        if not refused:
            attributes = self._objection(request, router)
            refused = attributes != b""
        answer = access_reply(ANSWERS[kind][refused], request, self._secret, attributes)
        if refused:
            router.naks += 1
        else:
            router.acks += 1
        if len(router.answered) >= REMEMBERED:
            del router.answered[next(iter(router.answered))]
        router.answered[seen] = answer
        return answer

    def _objection(self, request: Packet, router: LightRouter) -> bytes:
        """The Error-Cause for a request to another router or for a session that is not there; a Disconnect ends it."""
        identifier = request.get(NAS_IDENTIFIER)
        if identifier is not None and identifier != router.identifier.encode():
            return _error(NAS_MISMATCH)
        if router.sessions is None:
            return b""
        session_id = (request.get(ACCT_SESSION_ID) or b"").decode("utf-8", "replace")
        if session_id not in router.sessions:
            return _error(SESSION_NOT_FOUND)
        if request.code == DISCONNECT_REQUEST:
            router.sessions.discard(session_id)
        return b""


def _bound(address: str) -> socket.socket:
    one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    one.setblocking(False)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    one.bind((address, 0))
    return one
