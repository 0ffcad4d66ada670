"""Many subscribers at once, as routers carry them: log in, start, report, stop, and begin again; for ever.

Routers send again what is not answered, unchanged or with another Acct-Delay-Time, repeat what was answered, and forget
nothing: so what was answered, and what each session's last answered record said, is known afterwards to the octet.
"""

import heapq
import random
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from aaa import clock
from aaa.radius.dictionary import load
from aaa.radius.integrity import MA_INVALID, Secret, access_request, signed_request, verify_reply
from aaa.radius.packet import (
    ACCESS_ACCEPT,
    ACCESS_REQUEST,
    ACCOUNTING_REQUEST,
    CLASS,
    MalformedPacket,
    Packet,
    encode_attribute,
    parse,
)
from aaa.radius.peer import chap_attributes, pap_attributes
from tests.integration.serving import SECRET, Installation, document, subscriber

KEY = Secret(SECRET.encode())
PASSWORD = b"secret"
FIRST_WAIT = 0.3
LONGEST_WAIT = 2.0
MOST_INTERIMS = 4
NAMES = load()


@dataclass(slots=True)
class Counted:
    """Seconds and octets, as a record tells them."""

    seconds: int = 0
    up: int = 0
    down: int = 0


@dataclass(slots=True)
class Carried:
    """A session as its router knows it. `sent` is what the last record said, `answered` what the last answered one said
    (None: not even the Start was answered), `stopped` that the Stop was answered, `records` what was answered."""

    username: str
    session_id: str
    device: str
    classes: tuple[bytes, ...]
    began: int
    interims: int
    sent: Counted = field(default_factory=Counted)
    answered: Counted | None = None
    stopped: bool = False
    records: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Request:
    """A request on its way: its octets and when it was first sent. `attributes` are those of an accounting record."""

    owner: "_Subscriber"
    data: bytes
    attributes: bytes
    first_at: float
    sends: int = 0


class _Subscriber:
    """One subscriber's steps: what comes after the present answer."""

    __slots__ = ("device", "only_asks", "session", "status", "username")

    def __init__(self, username: str, number: int) -> None:
        self.username = username
        # So that there are logins when all others wait for accounting.
        self.only_asks = number % 4 == 0
        self.device = f"02:00:00:{number >> 16 & 255:02X}:{number >> 8 & 255:02X}:{number & 255:02X}"
        self.session: Carried | None = None
        self.status = ""


class _Door:
    """One socket towards one port, and the Identifiers that are free on it."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.connect(("127.0.0.1", port))
        self.free = deque(range(256))
        self.waiting: dict[int, Request] = {}


def subscribers(count: int) -> tuple[dict[str, Any], list[str]]:
    """A document for `load` with so many subscribers, and their names."""
    names = [f"user{number}" for number in range(count)]
    return document(subscribers=[subscriber(name) for name in names]), names


class Storm:
    """The load, in a thread of its own while the block lasts; `calm` ends it with every session stopped and answered.

    To be read afterwards: `sessions`; how many `logins` and `records` were answered, requests `resent`, answered
    records `repeated`, logins `refused`; and in seconds the longest time without an answered login, and the longest
    waits for the answer to a login and to a record.
    """

    def __init__(self, made: Installation, usernames: Sequence[str], seed: int, *, doors: int = 4) -> None:
        self.sessions: list[Carried] = []
        self.logins = self.records = self.resent = self.repeated = self.refused = 0
        self.longest_login_gap = self.slowest_login = self.slowest_record = 0.0
        self._chance = random.Random(seed)
        self._doors = {
            ACCESS_REQUEST: [_Door(made.auth_port) for _ in range(doors)],
            ACCOUNTING_REQUEST: [_Door(made.acct_port) for _ in range(doors)],
        }
        self._selector = selectors.DefaultSelector()
        for ones in self._doors.values():
            for one in ones:
                self._selector.register(one.socket, selectors.EVENT_READ, one)
        self._subscribers = [_Subscriber(name, number) for number, name in enumerate(usernames)]
        self._busy = len(usernames)
        self._timers: list[tuple[float, int, _Subscriber | tuple[_Door, int, Request]]] = []
        self._order = 0
        self._calming = threading.Event()
        self._ended = threading.Event()
        self._last_login = 0.0
        self._number = 0
        self._thread = threading.Thread(target=self._run, name="storm")
        self.fault: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        for ones in self._doors.values():
            for one in ones:
                one.socket.close()
        self._selector.close()

    def told(self) -> str:
        """The figures in one line."""
        return (
            f"logins={self.logins} refused={self.refused} records={self.records} sessions={len(self.sessions)} "
            f"resent={self.resent} repeated={self.repeated} login_gap={self.longest_login_gap:.2f}s "
            f"slowest_login={self.slowest_login:.2f}s slowest_record={self.slowest_record:.2f}s"
        )

    def calm(self, seconds: float) -> None:
        """Begin no more sessions, end those there are, and return when every record is answered."""
        self._calming.set()
        self._thread.join(seconds)
        if self.fault is not None:
            raise self.fault
        assert not self._thread.is_alive(), f"{self._busy} subscribers still wait for answers after {seconds} s"

    # --- the thread ---

    def _run(self) -> None:
        try:
            now = self._last_login = time.monotonic()
            for one in self._subscribers:
                self._at(now + self._chance.random(), one)
            while self._busy and not self._ended.is_set():
                self._turn()
        except BaseException as fault:
            self.fault = fault
            raise

    def _turn(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            _, _, due = heapq.heappop(self._timers)
            if isinstance(due, _Subscriber):
                self._step(due, now)
            else:
                self._again(*due, now)
        wait = min(0.1, max(0.0, self._timers[0][0] - now)) if self._timers else 0.1
        for key, _ in self._selector.select(wait):
            self._receive(key.data)
        if not self._calming.is_set():
            self.longest_login_gap = max(self.longest_login_gap, time.monotonic() - self._last_login)

    def _at(self, moment: float, due: _Subscriber | tuple[_Door, int, Request]) -> None:
        self._order += 1
        heapq.heappush(self._timers, (moment, self._order, due))

    def _step(self, one: _Subscriber, now: float) -> None:
        """The next thing that a subscriber's router has to ask or to report."""
        session = one.session
        if session is None:
            if self._calming.is_set():
                self._busy -= 1
                return
            self._ask(one, now)
        elif session.answered is None:
            self._report(one, session, "Start", now)
        elif session.interims and not self._calming.is_set():
            session.interims -= 1
            self._report(one, session, "Interim-Update", now)
        else:
            self._report(one, session, "Stop", now)

    def _ask(self, one: _Subscriber, now: float) -> None:
        authenticator = self._chance.randbytes(16)
        attributes = NAMES.encode_profile(
            [("User-Name", one.username), ("Calling-Station-Id", one.device), *_ROUTER, ("Framed-Protocol", "PPP")]
        )
        if self._chance.random() < 0.5:
            attributes += pap_attributes(PASSWORD, KEY, authenticator)
        else:
            attributes += chap_attributes(PASSWORD, 1, self._chance.randbytes(16))
        one.status = "login"
        door, identifier = self._room(ACCESS_REQUEST)
        self._send(door, identifier, Request(one, access_request(identifier, authenticator, KEY, attributes), b"", now))

    def _report(self, one: _Subscriber, session: Carried, status: str, now: float) -> None:
        told = session.sent
        if status != "Start":
            told.seconds = (clock.now() - session.began) // clock.SECOND
            told.up += self._chance.randrange(1 << 20)
            told.down += self._chance.choice((self._chance.randrange(1 << 24), 1 << 31))
        pairs: list[tuple[str, object]] = [
            ("User-Name", session.username),
            ("Calling-Station-Id", session.device),
            *_ROUTER,
            ("Acct-Session-Id", session.session_id),
            ("Acct-Status-Type", status),
            ("Event-Timestamp", clock.now() // clock.SECOND),
        ]
        if status != "Start":
            pairs += [
                ("Acct-Session-Time", told.seconds),
                ("Acct-Input-Octets", told.up & 0xFFFFFFFF),
                ("Acct-Output-Octets", told.down & 0xFFFFFFFF),
                ("Acct-Input-Gigawords", told.up >> 32),
                ("Acct-Output-Gigawords", told.down >> 32),
            ]
        one.status = status
        attributes = NAMES.encode_profile(pairs) + b"".join(encode_attribute(CLASS, one) for one in session.classes)
        self._account(one, attributes, now, now)

    def _account(self, one: _Subscriber, attributes: bytes, first_at: float, now: float, sends: int = 0) -> None:
        door, identifier = self._room(ACCOUNTING_REQUEST)
        delay = NAMES.encode_profile([("Acct-Delay-Time", int(now - first_at))])
        data = signed_request(ACCOUNTING_REQUEST, identifier, KEY, attributes + delay)
        self._send(door, identifier, Request(one, data, attributes, first_at, sends))

    def _room(self, code: int) -> tuple[_Door, int]:
        door = self._chance.choice(self._doors[code])
        return door, door.free.popleft()

    def _send(self, door: _Door, identifier: int, asked: Request) -> None:
        door.waiting[identifier] = asked
        asked.sends += 1
        try:
            door.socket.send(asked.data)
            if self._chance.random() < 0.02:
                door.socket.send(asked.data)  # the network sent it twice
        except (BlockingIOError, ConnectionRefusedError):
            pass  # lost on the way
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (asked.sends - 1)) * self._chance.uniform(0.9, 1.1)
        self._at(time.monotonic() + wait, (door, identifier, asked))

    def _again(self, door: _Door, identifier: int, asked: Request, now: float) -> None:
        """Send once more what was not answered in time: unchanged, or, some records, with the delay told anew."""
        if door.waiting.get(identifier) is not asked:
            return
        self.resent += 1
        if asked.attributes and self._chance.random() < 0.3:
            del door.waiting[identifier]
            door.free.append(identifier)
            self._account(asked.owner, asked.attributes, asked.first_at, now, asked.sends)
        else:
            self._send(door, identifier, asked)

    def _receive(self, door: _Door) -> None:
        while True:
            try:
                reply = parse(door.socket.recv(4096))
            except (BlockingIOError, ConnectionRefusedError):
                return
            except MalformedPacket as fault:
                raise AssertionError("a reply that is no RADIUS packet") from fault
            asked = door.waiting.get(reply.identifier)
            if asked is None:
                continue  # the answer to a copy
            if verify_reply(reply, asked.data[4:20], KEY) == MA_INVALID:
                continue  # the answer to a copy, of the Identifier's request before
            del door.waiting[reply.identifier]
            door.free.append(reply.identifier)
            self._answered(asked, reply)

    def _answered(self, asked: Request, reply: Packet) -> None:
        one = asked.owner
        now = time.monotonic()
        if one.status == "login":
            self.longest_login_gap = max(self.longest_login_gap, now - self._last_login)
            self._last_login = now
            self.slowest_login = max(self.slowest_login, now - asked.first_at)
            self.logins += 1
            if reply.code == ACCESS_ACCEPT and not one.only_asks:
                self._began(one, tuple(reply.all(CLASS)))
            elif reply.code != ACCESS_ACCEPT:
                self.refused += 1
        else:
            self.slowest_record = max(self.slowest_record, now - asked.first_at)
            self.records += 1
            self._reported(one, asked.attributes)
        self._at(now + self._chance.uniform(0.02, 0.3), one)

    def _began(self, one: _Subscriber, classes: tuple[bytes, ...]) -> None:
        session_id = f"81{self._number:06x}"
        began = clock.now()
        interims = self._chance.randint(0, MOST_INTERIMS)
        self._number += 1
        one.session = Carried(one.username, session_id, one.device, classes, began, interims)
        self.sessions.append(one.session)

    def _reported(self, one: _Subscriber, attributes: bytes) -> None:
        session = one.session
        assert session is not None
        session.answered = Counted(session.sent.seconds, session.sent.up, session.sent.down)
        session.records.append(attributes)
        if self._chance.random() < 0.05:
            self._repeat(session)
        if one.status == "Stop":
            session.stopped = True
            session.records.clear()
            one.session = None

    def _repeat(self, session: Carried) -> None:
        """An answered record comes once more, late and under another Identifier; nobody waits for its answer."""
        door, identifier = self._room(ACCOUNTING_REQUEST)
        late = NAMES.encode_profile([("Acct-Delay-Time", 1)])
        record = self._chance.choice(session.records) + late
        try:
            door.socket.send(signed_request(ACCOUNTING_REQUEST, identifier, KEY, record))
            self.repeated += 1
        except (BlockingIOError, ConnectionRefusedError):
            pass
        door.free.append(identifier)


_ROUTER: list[tuple[str, object]] = [("NAS-Identifier", "mt1"), ("NAS-Port-Type", "Ethernet")]
