"""A RADIUS server that says what a test wants, and a fake router before it, with a client of ours at its API."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Self

import librouteros
from librouteros.exceptions import TrapError
from librouteros.login import plain

from aaa.radius.dictionary import load
from aaa.radius.integrity import MA_VALID, Secret, access_reply, accounting_reply, signed_request, verify_reply
from aaa.radius.packet import ACCESS_ACCEPT, ACCESS_REJECT, ACCESS_REQUEST, COA_REQUEST, DISCONNECT_REQUEST, parse
from ledgate.lab.dynamic import told
from ledgate.lab.router import Router
from ledgate.lab.session import Session, Subscriber
from tests.integration.serving import until

SECRET = b"lab secret"
KEY = Secret(SECRET)
NAMES = load()
_identifiers = count()


@dataclass
class Counter:
    """A RADIUS server: `replies` is what each User-Name is granted (None, or unknown: a reject)."""

    replies: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    deaf: bool = False

    def __post_init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.05)
        self.address = ("127.0.0.1", int(self._socket.getsockname()[1]))
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()
        self._socket.close()

    def of(self, name: str, status: str) -> list[dict[str, Any]]:
        """The records of this kind that came for a User-Name."""
        return [one for one in self.records if (one.get("User-Name"), one["Acct-Status-Type"]) == (name, status)]

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                data, source = self._socket.recvfrom(4096)
            except TimeoutError:
                continue
            if not self.deaf:
                self._socket.sendto(self._answer(data), source)

    def _answer(self, data: bytes) -> bytes:
        request = parse(data)
        asked = told(NAMES, request)
        if request.code != ACCESS_REQUEST:
            self.records.append(asked)
            return accounting_reply(request, KEY)
        self.requests.append(asked)
        granted = self.replies.get(asked["User-Name"])
        if granted is None:
            return access_reply(ACCESS_REJECT, request, KEY, NAMES.encode("Reply-Message", "no"))
        pairs = [
            (name, one) for name, value in granted.items() for one in (value if isinstance(value, list) else [value])
        ]
        return access_reply(ACCESS_ACCEPT, request, KEY, NAMES.encode_profile(pairs))


class Bench:
    """A server, a router, and a client at the router's API."""

    def __init__(self, counter: Counter, router: Router) -> None:
        self.counter = counter
        self.router = router
        self._api: Any = None

    def api(self, user: str = "ledgate", password: str = "ledgate") -> Any:
        """A new connection to the API."""
        return librouteros.connect(
            "127.0.0.1", user, password, port=self.router.api_port, encoding="utf-8", login_method=plain
        )

    def rows(self, menu: str, *words: str) -> list[dict[str, Any]]:
        """What print gives."""
        return list(self.run(f"{menu}/print", *words))

    def run(self, *words: str) -> tuple[dict[str, Any], ...]:
        if self._api is None:
            self._api = self.api()
        return tuple(self._api.rawCmd(*words))

    def refused(self, *words: str) -> str:
        try:
            self.run(*words)
        except TrapError as error:
            return str(error)
        raise AssertionError(f"{words} was not refused")

    def session(self, name: str, number: int = 1) -> Session:
        """The `number`th session that a subscriber has had, once its Start has come."""
        until(lambda: len(self.counter.of(name, "Start")) >= number, f"start {number} of {name}")
        known = self.counter.of(name, "Start")[number - 1]["Acct-Session-Id"]
        found: Session = until(lambda: self.router.sessions.get(known), f"session {known} of {name}")
        return found

    def change(
        self, session: Session, disconnect: bool = False, wait: float = 2.0, **asked: Any
    ) -> tuple[int, Any] | None:
        """Send a CoA or a Disconnect: the code and the Error-Cause of the answer, None for silence."""
        pairs = [(name.replace("_", "-"), value) for name, value in asked.items()]
        who = [("User-Name", session.subscriber.username), ("Framed-IP-Address", session.framed_ip)]
        data = signed_request(
            DISCONNECT_REQUEST if disconnect else COA_REQUEST,
            next(_identifiers) % 256,
            KEY,
            NAMES.encode_profile([*who, ("Acct-Session-Id", session.acct_session_id), *pairs]),
        )
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.settimeout(wait)
            out.sendto(data, ("127.0.0.1", self.router.coa_port))
            try:
                reply = parse(out.recv(4096))
            except TimeoutError:
                return None
        assert verify_reply(reply, data[4:20], KEY) == MA_VALID
        return reply.code, told(NAMES, reply).get("Error-Cause")

    def close(self) -> None:
        if self._api is not None:
            self._api.close()


@contextmanager
def bench(granted: dict[str, dict[str, Any] | None], *subscribers: Subscriber, **settings: Any) -> Iterator[Bench]:
    """A router whose devices dial, before a server that grants this. Without `subscribers`: each who is granted."""
    who = subscribers or tuple(Subscriber(name, "secret") for name in granted)
    with Counter(dict(granted)) as counter:
        router = Router(counter.address, counter.address, SECRET, subscribers=who, **({"retry": 0.2} | settings))
        made = Bench(counter, router)
        with router:
            try:
                yield made
            finally:
                made.close()
