"""A fake MikroTik router (shell): logs subscribers in, accounts for their sessions, and obeys CoA and Disconnect.

It sends what the RouterOS manual says a router sends, over UDP, and keeps to RFC 5176 as a server of dynamic
authorisation: a repeated request gets the same answer again and is carried out once.
"""

import secrets
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Final, Literal, Self

from aaa import clock
from aaa.coa.messages import SESSION_NOT_FOUND
from aaa.coa.plan import TAKEN_BY_COA
from aaa.radius.dictionary import load
from aaa.radius.integrity import MA_VALID, Secret, access_reply, verify_signed_request
from aaa.radius.packet import (
    ACCESS_ACCEPT,
    ACCT_TERMINATE_CAUSE,
    CLASS,
    COA_ACK,
    COA_NAK,
    COA_REQUEST,
    DISCONNECT_ACK,
    DISCONNECT_NAK,
    DISCONNECT_REQUEST,
    ERROR_CAUSE,
    MalformedPacket,
    Packet,
    encode_attribute,
    parse,
)
from ledgate.lab.client import Address, Client, Method, NoAnswer

_LARGEST: Final = 4096
_ADMIN_RESET: Final = 6
_USER_REQUEST: Final = 1
_NAS_REQUEST: Final = 10
_UNSUPPORTED_ATTRIBUTE: Final = 401
_NAS_MISMATCH: Final = 403
_GIGAWORD: Final = 1 << 32
REDIAL_AFTER: Final = 0.2

_IDENTIFY: Final = frozenset(
    (
        "User-Name",
        "Acct-Session-Id",
        "Framed-IP-Address",
        "Calling-Station-Id",
        "NAS-Identifier",
        "NAS-IP-Address",
        "NAS-IPv6-Address",
        "Event-Timestamp",
        "Message-Authenticator",
    )
)


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Who dials in, and how. `address` is a hotspot client's, which it has before it logs in."""

    username: str
    password: str
    method: Method = "pap"
    mac: str = "02:00:00:00:00:01"
    access: Literal["pppoe", "hotspot"] = "pppoe"
    address: str = "192.168.88.10"


@dataclass(slots=True)
class Session:
    """A session on the router. `told`: attributes by name, a list where one came several times."""

    subscriber: Subscriber
    acct_session_id: str
    framed_ip: str
    told: dict[str, Any]
    classes: tuple[bytes, ...]
    started: float
    up: int = 0
    down: int = 0

    @property
    def seconds(self) -> int:
        return int(clock.monotonic() - self.started)


@dataclass(frozen=True, slots=True)
class Refused:
    """An Access-Reject, with its Reply-Message."""

    message: str


@dataclass(frozen=True, slots=True)
class Change:
    """A CoA or Disconnect as the router took it: the session it met, what it asked for, the answer, and when.

    `at` is the clock's instant at which the answer left.
    """

    kind: Literal["coa", "disconnect"]
    session: Session | None
    asked: dict[str, Any]
    answer: Literal["ack", "nak"]
    at: int


@dataclass(slots=True)
class Behaviour:
    """How the router meets CoA and Disconnect; may be changed at any time.

    The next `lose_requests` datagrams never reach it, the next `lose_answers` answers never leave it. A refusal (`nak`)
    carries `error_cause`. With `redial` a disconnected subscriber dials again after 200 ms, as CPEs do.
    """

    coa: Literal["ack", "nak", "silent"] = "ack"
    disconnect: Literal["ack", "nak", "silent"] = "ack"
    error_cause: int | None = None
    lose_requests: int = 0
    lose_answers: int = 0
    redial: bool = False


@dataclass(slots=True)
class Datagram:
    """A request that reached the router, as it was."""

    data: bytes
    source: Address
    at: int


class Nas:
    """The router. Use it as a context manager: it listens for CoA while it is open, on `coa` (port 0: a free one).

    `on_change` is called for each CoA and Disconnect as it is answered, `on_login` for each redial; both from the
    router's own threads.
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
    ) -> None:
        self.identifier = identifier
        self.behaviour = Behaviour()
        self.sessions: dict[str, Session] = {}
        self.received: list[Datagram] = []
        self._secret = Secret(secret)
        self._client = Client(auth, acct, self._secret, coa[0])
        self._dictionary = load()
        self._on_change = on_change
        self._on_login = on_login
        self._lock = threading.Lock()
        self._answered: dict[tuple[str, int, int, bytes], bytes] = {}
        self._began = 0
        self._boots = secrets.token_hex(1)  # RouterOS counts its reboots in the ids of sessions
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()
        self._coa = socket.socket(socket.AF_INET6 if ":" in coa[0] else socket.AF_INET, socket.SOCK_DGRAM)
        self._coa.bind(coa)
        self.coa_port: int = self._coa.getsockname()[1]

    def __enter__(self) -> Self:
        self._start(self._listen)
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
            ("Event-Timestamp", clock.now() // clock.SECOND),
        ]
        self._client.account(self._dictionary.encode_profile(pairs))

    def login(self, subscriber: Subscriber) -> Session | Refused:
        """Dial in: ask for access and, if it is granted, start accounting. After NoAnswer there is no session."""
        with self._lock:
            self._began += 1
            number = self._began
        session_id = f"{self._boots}{number:06x}"
        ppp = subscriber.access == "pppoe"
        framed_ip = str(IPv4Address("10.10.0.0") + number) if ppp else subscriber.address
        asked = self._about(subscriber, session_id, None if ppp else framed_ip)
        reply = self._client.login(subscriber.username, subscriber.password, subscriber.method, asked)
        told = self._read(reply)
        if reply.code != ACCESS_ACCEPT:
            return Refused(str(told.get("Reply-Message", "")))
        if ppp:
            framed_ip = told.get("Framed-IP-Address", framed_ip)
        session = Session(subscriber, session_id, framed_ip, told, tuple(reply.all(CLASS)), clock.monotonic())
        with self._lock:
            self.sessions[session_id] = session
        try:
            self.account(session, "Start")
        except NoAnswer:
            with self._lock:
                self.sessions.pop(session_id, None)
            raise
        return session

    def interim(self, session: Session, up: int, down: int) -> float:
        """Report the counters `up` and `down`, octets; returns the seconds until it was answered. Raises NoAnswer.

        A session that reaches a limit of volume which it was told ends there, at the limit.
        """
        session.up, session.down = up, down
        over = _over_limit(session)
        if over < 0:
            return self.account(session, "Interim-Update")
        session.down, session.up = max(0, down - over), up - max(0, over - down)
        with self._lock:
            self.sessions.pop(session.acct_session_id, None)
        took = self._stop(session, _NAS_REQUEST)
        if self.behaviour.redial:
            self._start(self._redial, session.subscriber)
        return took

    def hang_up(self, session: Session, cause: int = _USER_REQUEST) -> None:
        """End a session from this side. Raises NoAnswer."""
        with self._lock:
            if self.sessions.pop(session.acct_session_id, None) is None:
                return
        self._stop(session, cause)

    def _stop(self, session: Session, cause: int) -> float:
        return self.account(session, "Stop", encode_attribute(ACCT_TERMINATE_CAUSE, cause.to_bytes(4, "big")))

    def account(self, session: Session, status: str, more: bytes = b"") -> float:
        """Send one accounting record; seconds until it was answered. Raises NoAnswer."""
        pairs: list[tuple[str, object]] = [
            ("User-Name", session.subscriber.username),
            ("Acct-Status-Type", status),
            ("Acct-Authentic", "RADIUS"),
            ("Event-Timestamp", clock.now() // clock.SECOND),
            ("Acct-Delay-Time", 0),
        ]
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

    def _read(self, packet: Packet) -> dict[str, Any]:
        told: dict[str, Any] = {}
        for name, value in self._dictionary.decode_all(packet.attributes()):
            if name in told:
                earlier = told[name]
                told[name] = [*earlier, value] if isinstance(earlier, list) else [earlier, value]
            else:
                told[name] = value
        return told

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, name=f"nas {self.identifier}")
        self._threads.append(thread)
        thread.start()

    def _listen(self) -> None:
        self._coa.settimeout(0.1)
        while not self._closing.is_set():
            try:
                data, source = self._coa.recvfrom(_LARGEST)
            except TimeoutError:
                continue
            self.received.append(Datagram(data, (source[0], source[1]), clock.now()))
            if self.behaviour.lose_requests > 0:
                self.behaviour.lose_requests -= 1
                continue
            self._answer(data, source)

    def _answer(self, data: bytes, source: Any) -> None:
        """Carry a request out once, and answer it as often as it comes. What is not proven gets no answer."""
        try:
            request = parse(data)
        except MalformedPacket:
            return
        kinds: dict[int, Literal["coa", "disconnect"]] = {COA_REQUEST: "coa", DISCONNECT_REQUEST: "disconnect"}
        kind = kinds.get(request.code)
        if kind is None or verify_signed_request(request, self._secret) != MA_VALID:
            return
        seen = (source[0], source[1], request.identifier, request.authenticator)
        change: Change | None = None
        if seen not in self._answered:
            mode = self.behaviour.coa if kind == "coa" else self.behaviour.disconnect
            if mode == "silent":
                return
            self._answered[seen], change = self._carry_out(kind, mode, request)
        if self.behaviour.lose_answers > 0:
            self.behaviour.lose_answers -= 1
        else:
            self._coa.sendto(self._answered[seen], source)
        if change is not None:
            self._after(change)

    def _carry_out(
        self, kind: Literal["coa", "disconnect"], mode: Literal["ack", "nak"], request: Packet
    ) -> tuple[bytes, Change]:
        asked = self._read(request)
        session = self._find(asked)
        changes = {name: value for name, value in asked.items() if name not in _IDENTIFY}
        error = self.behaviour.error_cause if mode == "nak" else None
        if mode == "ack":
            error = self._objection(kind, asked, changes, session)
        refused = mode == "nak" or error is not None
        code = {"coa": (COA_ACK, COA_NAK), "disconnect": (DISCONNECT_ACK, DISCONNECT_NAK)}[kind][refused]
        if not refused and session is not None:
            if kind == "coa":
                session.told.update(changes)
            else:
                with self._lock:
                    self.sessions.pop(session.acct_session_id, None)
        attributes = encode_attribute(ERROR_CAUSE, error.to_bytes(4, "big")) if error is not None else b""
        reply = access_reply(code, request, self._secret, attributes)
        return reply, Change(kind, session, changes, "nak" if refused else "ack", clock.now())

    def _objection(
        self, kind: str, asked: dict[str, Any], changes: dict[str, Any], session: Session | None
    ) -> int | None:
        """The Error-Cause for a request that a router cannot carry out (RFC 5176 section 3.5)."""
        if asked.get("NAS-Identifier", self.identifier) != self.identifier:
            return _NAS_MISMATCH
        if session is None:
            return SESSION_NOT_FOUND
        if not set(changes) <= (TAKEN_BY_COA | {"Session-Timeout"} if kind == "coa" else set()):
            return _UNSUPPORTED_ATTRIBUTE
        return None

    def _find(self, asked: dict[str, Any]) -> Session | None:
        """PPP sessions are found by Acct-Session-Id, hotspot ones by their address, both with the User-Name."""
        with self._lock:
            for session in self.sessions.values():
                if session.subscriber.username != asked.get("User-Name"):
                    continue
                if session.subscriber.access == "pppoe":
                    if asked.get("Acct-Session-Id") == session.acct_session_id:
                        return session
                elif asked.get("Framed-IP-Address") == session.framed_ip:
                    return session
        return None

    def _after(self, change: Change) -> None:
        if self._on_change is not None:
            self._on_change(change)
        if change.kind == "disconnect" and change.answer == "ack" and change.session is not None:
            self._start(self._cut, change.session)

    def _cut(self, session: Session) -> None:
        """Report the end of a session that was disconnected, and dial again if the subscriber's device does that.

        Routers give a Stop up that nobody answers; devices dial until somebody does.
        """
        redial = self.behaviour.redial
        with suppress(NoAnswer):
            self._stop(session, _ADMIN_RESET)
        if redial:
            self._redial(session.subscriber)

    def _redial(self, subscriber: Subscriber) -> None:
        while not self._closing.wait(REDIAL_AFTER):
            with suppress(NoAnswer):
                outcome = self.login(subscriber)
                if self._on_login is not None:
                    self._on_login(subscriber, outcome)
                return


def _over_limit(session: Session) -> int:
    """By how much the session is beyond the nearest limit of volume that it was told, octets; negative: it is not. The
    router receives what the subscriber sends (RouterOS manual, RADIUS).
    """
    counted = {"Recv": session.up, "Xmit": session.down, "Total": session.up + session.down}
    limits = {
        name: session.told.get(f"Mikrotik-{name}-Limit", 0)
        + session.told.get(f"Mikrotik-{name}-Limit-Gigawords", 0) * _GIGAWORD
        for name in counted
    }
    return max((counted[name] - limit for name, limit in limits.items() if limit), default=-1)
