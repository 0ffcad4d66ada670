"""A fake MikroTik router (shell): logs subscribers in, accounts for their sessions, and obeys CoA and Disconnect.

It sends what the RouterOS manual says a router sends, over UDP, and keeps to RFC 5176 as a server of dynamic
authorisation: a repeated request gets the same answer again and is carried out once.
"""

import heapq
import itertools
import random
import secrets
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address
from typing import Any, Final, Literal, Self

from aaa import clock
from aaa.radius.dictionary import load
from aaa.radius.integrity import Secret
from aaa.radius.packet import ACCESS_ACCEPT, ACCT_TERMINATE_CAUSE, CLASS, encode_attribute
from ledgate.lab.behaviour import Behaviour
from ledgate.lab.client import Address, Client, NoAnswer
from ledgate.lab.dynamic import Decision, Judge, find_session, proven, told
from ledgate.lab.session import Change, Datagram, Refused, Session, Subscriber

__all__ = ["Behaviour", "Change", "Datagram", "Nas", "Refused", "Session", "Subscriber"]

_LARGEST: Final = 4096
_KEPT: Final = 100_000
"""The latest requests that are kept, for tests to look at."""
_USER_REQUEST: Final = 1
_ADMIN_RESET: Final = 6
NAS_REQUEST: Final = 10
_GIGAWORD: Final = 1 << 32
REDIAL_AFTER: Final = 0.2


class Nas:
    """The router. Use it as a context manager: it listens for CoA while it is open, on `coa` (port 0: a free one).

    `on_change` is called for each CoA and Disconnect as it is answered, `on_login` for each redial; both from the
    router's own threads. `timeout`: seconds until a RADIUS request is sent again. `seed` decides which datagrams are
    lost where `behaviour.drop` says that some are.
    """

    def __init__(
        self,
        auth: Address,
        acct: Address,
        secret: bytes,
        *,
        identifier: str = "mt1",
        coa: Address = ("127.0.0.1", 0),
        on_change: Callable[[Change], None] | None = None,
        on_login: Callable[[Subscriber, Session | Refused], None] | None = None,
        timeout: float = 1.0,
        seed: int | None = None,
    ) -> None:
        self.identifier = identifier
        self.behaviour = Behaviour()
        self.sessions: dict[str, Session] = {}
        self.received: list[Datagram] = []
        self.lock = threading.RLock()
        self._secret = Secret(secret)
        self._closing = threading.Event()
        self._chance = random.Random(seed)
        given_up = self._closing.is_set
        self._client = Client(auth, acct, self._secret, coa[0], timeout, lost=self._lost, given_up=given_up)
        self._dictionary = load()
        self._judge = Judge(identifier, self._secret, self._dictionary, self.behaviour)
        self._on_change = on_change
        self._on_login = on_login
        self._began = 0
        self._boots = secrets.randbelow(256)  # RouterOS counts its reboots in the ids of sessions
        self._threads: list[threading.Thread] = []
        self._numbers = itertools.count()
        self._late: list[tuple[float, int, bytes, Any, Change | None]] = []
        self._coa = socket.socket(socket.AF_INET6 if ":" in coa[0] else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._coa.bind(coa)
        except OSError:
            self._coa.close()
            raise
        self.coa_port: int = self._coa.getsockname()[1]

    def __enter__(self) -> Self:
        self._spawn(self._listen)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        for thread in self._threads:
            thread.join()
        self._coa.close()

    def boot(self) -> None:
        """Say that the router has just started: sessions of before are no more (Accounting-On). Raises NoAnswer."""
        pairs: list[tuple[str, object]] = [
            ("NAS-Identifier", self.identifier),
            ("Acct-Status-Type", "Accounting-On"),
            ("Acct-Session-Id", "00000000"),
            ("Event-Timestamp", self._time()),
        ]
        self._client.account(self._dictionary.encode_profile(pairs))

    def login(self, subscriber: Subscriber) -> Session | Refused:
        """Dial in: ask for access and, if it is granted, start accounting. After NoAnswer there is no session."""
        with self.lock:
            self._began += 1
            number = self._began
        session_id = f"{self._boots:02x}{number:06x}"
        ppp = subscriber.access == "pppoe"
        framed_ip = str(IPv4Address("10.10.0.0") + number) if ppp else subscriber.address
        asked = self._about(subscriber, session_id, None if ppp else framed_ip)
        reply = self._client.login(subscriber.username, subscriber.password, subscriber.method, asked)
        attributes = told(self._dictionary, reply)
        if reply.code != ACCESS_ACCEPT:
            return Refused(str(attributes.get("Reply-Message", "")))
        if ppp:
            framed_ip = attributes.get("Framed-IP-Address", framed_ip)
        session = Session(subscriber, session_id, framed_ip, attributes, tuple(reply.all(CLASS)), clock.monotonic())
        with self.lock:
            self.sessions[session_id] = session
            self._began_session(session)
        try:
            self.account(session, "Start")
        except NoAnswer:
            self._take(session)
            raise
        return session

    def interim(self, session: Session, up: int, down: int) -> float:
        """Report the counters `up` and `down`, octets; returns the seconds until it was answered. Raises NoAnswer.

        A session that reaches a limit of volume which it was told ends there, at the limit.
        """
        session.up, session.down = up, down
        over = session.over_limit
        if over < 0:
            return self.account(session, "Interim-Update")
        session.down, session.up = max(0, down - over), up - max(0, over - down)
        self._take(session)
        took = self._stop(session, NAS_REQUEST)
        if self.behaviour.redial:
            self._start(self._redial, session.subscriber)
        return took

    def hang_up(self, session: Session, cause: int = _USER_REQUEST) -> None:
        """End a session from this side. Raises NoAnswer."""
        if self._take(session):
            self._stop(session, cause)

    def account(self, session: Session, status: str, more: bytes = b"") -> float:
        """Send one accounting record; seconds until it was answered. Raises NoAnswer."""
        pairs: list[tuple[str, object]] = [
            ("User-Name", session.subscriber.username),
            ("Acct-Status-Type", status),
            ("Acct-Authentic", "RADIUS"),
            ("Event-Timestamp", self._time()),
            ("Acct-Delay-Time", 0),
        ]
        for name in ("Framed-IPv6-Prefix", "Delegated-IPv6-Prefix"):
            pairs += [(name, prefix) for prefix in session.words(name)]
        if status != "Start":
            pairs += [
                ("Acct-Session-Time", session.seconds),
                ("Acct-Input-Octets", session.up % _GIGAWORD),
                ("Acct-Output-Octets", session.down % _GIGAWORD),
                ("Acct-Input-Gigawords", session.up // _GIGAWORD),
                ("Acct-Output-Gigawords", session.down // _GIGAWORD),
            ]
        classes = b"".join([encode_attribute(CLASS, value) for value in session.classes])
        about = self._about(session.subscriber, session.acct_session_id, session.framed_ip)
        return self._client.account(about + classes + self._dictionary.encode_profile(pairs) + more)

    def _takes_coa(self) -> bool:
        """Whether the router listens to CoA at all."""
        return True

    def _began_session(self, session: Session) -> None:
        """A session stands. Called with the lock held, as are the next two."""

    def _changed_session(self, session: Session, changes: dict[str, Any]) -> None:
        """A CoA changes a session, which does not know of it yet."""
        session.told.update(changes)

    def _ended_session(self, session: Session) -> None:
        """A session is no more."""

    def _take(self, session: Session) -> bool:
        """Take a session off the router; False if it is off already."""
        with self.lock:
            if self.sessions.pop(session.acct_session_id, None) is None:
                return False
            self._ended_session(session)
            return True

    def _stop(self, session: Session, cause: int) -> float:
        return self.account(session, "Stop", encode_attribute(ACCT_TERMINATE_CAUSE, cause.to_bytes(4, "big")))

    def _about(self, subscriber: Subscriber, session_id: str, framed_ip: str | None) -> bytes:
        """What RouterOS says of itself and of a session in every request (manual, RADIUS)."""
        ppp = subscriber.access == "pppoe"
        pairs: list[tuple[str, object]] = [
            ("NAS-Identifier", self.identifier),
            ("NAS-Port", int(session_id, 16) & 0xFFFF),
            ("NAS-Port-Type", "Ethernet" if ppp else "Wireless-802.11"),
            ("NAS-Port-Id", "ether2" if ppp else "bridge-hotspot"),
            ("Called-Station-Id", "internet" if ppp else "hotspot1"),
            ("Calling-Station-Id", subscriber.mac),
            ("Acct-Session-Id", session_id),
        ]
        if ppp:
            pairs += [("Service-Type", "Framed-User"), ("Framed-Protocol", "PPP")]
        else:
            pairs += [("Mikrotik-Host-IP", subscriber.address)]
        if framed_ip is not None:
            pairs.append(("Framed-IP-Address", framed_ip))
        return self._dictionary.encode_profile(pairs)

    def _time(self) -> int:
        """The router's own clock, seconds since 1970."""
        return clock.now() // clock.SECOND + self.behaviour.clock_offset

    def _lost(self) -> bool:
        """Whether the next datagram is lost."""
        return self.behaviour.drop > 0 and self._chance.random() < self.behaviour.drop

    def _start(self, work: Callable[..., object], *arguments: object) -> None:
        """Do something that takes its time, beside what the router does anyway."""
        self._spawn(work, *arguments)

    def _spawn(self, work: Callable[..., object], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, name=f"nas {self.identifier}")
        self._threads.append(thread)
        thread.start()

    def _listen(self) -> None:
        while not self._closing.is_set():
            self._coa.settimeout(self._send_late())
            try:
                data, source = self._coa.recvfrom(_LARGEST)
            except TimeoutError:
                continue
            if len(self.received) >= _KEPT:
                del self.received[: _KEPT // 2]
            self.received.append(Datagram(data, (source[0], source[1]), clock.now()))
            if self.behaviour.lose_requests > 0:
                self.behaviour.lose_requests -= 1
            elif not self._lost():
                self._answer(data, source)

    def _answer(self, data: bytes, source: Any) -> None:
        """Carry a request out once, and answer it as often as it comes. What is not proven gets no answer."""
        request = proven(data, self._secret) if self._takes_coa() else None
        if request is None:
            return
        again = self._judge.repeated(request, source)
        if again is not None:
            self._reply(again, source, None)
            return
        with self.lock:
            decision = self._judge.decide(request, source, lambda asked: find_session(self.sessions, asked))
            if decision is None:
                return
            self._carry_out(decision)
        answer: Literal["ack", "nak"] = "nak" if decision.refused else "ack"
        change = Change(decision.kind, decision.session, decision.changes, answer, clock.now())
        self._reply(decision.answer, source, change)
        if decision.done and decision.kind == "disconnect" and decision.session is not None:
            self._start(self._cut, decision.session)

    def _carry_out(self, decision: Decision) -> None:
        if decision.done and decision.session is not None:
            if decision.kind == "coa":
                self._changed_session(decision.session, decision.changes)
            else:
                self._take(decision.session)

    def _reply(self, answer: bytes, source: Any, change: Change | None) -> None:
        """Answer, now or after the time that the router takes; then the change is told, if it is one."""
        if self.behaviour.slow_ms:
            due = clock.monotonic() + self.behaviour.slow_ms / 1000
            heapq.heappush(self._late, (due, next(self._numbers), answer, source, change))
        else:
            self._send(answer, source, change)

    def _send(self, answer: bytes, source: Any, change: Change | None) -> None:
        if self.behaviour.lose_answers > 0:
            self.behaviour.lose_answers -= 1
        elif not self._lost():
            self._coa.sendto(answer, source)
        if change is not None:
            self._answered(change)

    def _send_late(self) -> float:
        """Send the answers whose time has come; seconds until it is worth looking again."""
        while self._late:
            wait = self._late[0][0] - clock.monotonic()
            if wait > 0:
                return min(0.1, wait)
            _, _, answer, source, change = heapq.heappop(self._late)
            self._send(answer, source, change)
        return 0.1

    def _answered(self, change: Change) -> None:
        if self._on_change is not None:
            self._on_change(change)

    def _cut(self, session: Session, cause: int = _ADMIN_RESET) -> None:
        """Report the end of a session that was cut off, and dial again if the subscriber's device does that.

        Routers give a Stop up that nobody answers; devices dial until somebody does.
        """
        redial = self.behaviour.redial
        with suppress(NoAnswer):
            self._stop(session, cause)
        if redial:
            self._redial(session.subscriber)

    def _redial(self, subscriber: Subscriber) -> None:
        while not self._closing.wait(REDIAL_AFTER):
            with suppress(NoAnswer):
                outcome = self.login(subscriber)
                if self._on_login is not None:
                    self._on_login(subscriber, outcome)
                return
