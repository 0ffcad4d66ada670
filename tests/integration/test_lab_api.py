"""The API of the fake RouterOS sentence by sentence: tags, cancel, ends, limits, many clients, and its pace."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from aaa import clock
from ledgate.lab.routeros.device import Device
from ledgate.lab.routeros.foreign import fill, usual
from ledgate.lab.routeros.login import User, response
from ledgate.lab.routeros.server import SESSIONS, ApiEvent, ApiLoop, ApiServer
from ledgate.lab.routeros.words import Decoder, encode_sentence
from tests.integration.serving import until

USERS = (User("ledgate", "secret"),)
LIST = "/ip/firewall/address-list"


class Wire:
    """A connection of words."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self._decoder = Decoder(1 << 24)
        self._read: list[list[str]] = []

    def send(self, *words: str) -> None:
        self.socket.sendall(encode_sentence(words))

    def read(self) -> list[str]:
        """The next sentence; [] where the connection has ended."""
        while not self._read:
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionError:
                data = b""
            if not data:
                return []
            self._read += self._decoder.feed(data)
        return self._read.pop(0)

    def ask(self, *words: str) -> list[list[str]]:
        """What is answered, up to !done or the end."""
        self.send(*words)
        answers = [self.read()]
        while answers[-1] and answers[-1][0] not in ("!done", "!fatal"):
            answers.append(self.read())
        return answers

    def log_in(self) -> "Wire":
        assert self.ask("/login", "=name=ledgate", "=password=secret") == [["!done"]]
        return self

    def close(self) -> None:
        self.socket.close()


@contextmanager
def api(version: str = "7.16.2", **settings: object) -> Iterator[ApiServer]:
    with ApiServer(Device(version, clock.now()), USERS, **settings) as server:  # type: ignore[arg-type]
        yield server


@pytest.fixture
def wires() -> Iterator[list[Wire]]:
    opened: list[Wire] = []
    yield opened
    for wire in opened:
        wire.close()


def opened(wires: list[Wire], server: ApiServer) -> Wire:
    wires.append(Wire(server.port))
    return wires[-1]


def test_tags_come_back_and_cancel_ends_a_listen(wires: list[Wire]) -> None:
    with api() as server:
        wire = opened(wires, server).log_in()
        wire.send(f"{LIST}/listen", ".tag=2")
        wire.send(f"{LIST}/add", "=list=x", "=address=10.0.0.1", ".tag=3")
        wire.send("/system/identity/print", ".tag=4")
        wire.send("/cancel", "=tag=2", ".tag=7")
        heard = [wire.read() for _ in range(7)]
        assert ["!done", ".tag=3", "=ret=*1"] in heard and ["!re", ".tag=4", "=name=MikroTik"] in heard
        listened = [sentence for sentence in heard if sentence[1] in (".tag=2", ".tag=7")]
        assert listened[0][:3] == ["!re", ".tag=2", "=.id=*1"]
        assert listened[1:] == [
            ["!trap", ".tag=2", "=category=2", "=message=interrupted"],
            ["!done", ".tag=7"],
            ["!done", ".tag=2"],
        ]
        assert wire.ask("/cancel", "=tag=2", ".tag=8")[0][0] == "!trap"
        assert len(server.device.tables[LIST].watchers) == 1


def test_a_listener_hears_of_other_peoples_changes_and_of_what_expires(wires: list[Wire]) -> None:
    with api() as server:
        one, other = opened(wires, server).log_in(), opened(wires, server).log_in()
        one.send(f"{LIST}/listen", "=.proplist=.id,address")
        until(lambda: len(server.device.tables[LIST].watchers) == 2, "it listens")
        other.ask(f"{LIST}/add", "=list=x", "=address=10.0.0.1", "=timeout=1s")
        assert one.read() == ["!re", "=.id=*1", "=address=10.0.0.1"]
        with server.lock:
            server.device.expire(clock.now() + 2 * clock.SECOND)
        assert one.read() == ["!re", "=.id=*1", "=.dead=yes"]
        one.close()
        until(lambda: len(server.device.tables[LIST].watchers) == 1, "it listens no more")


def test_nothing_is_done_for_strangers(wires: list[Wire]) -> None:
    with api() as server:
        wire = opened(wires, server)
        assert wire.ask(f"{LIST}/print") == [["!fatal", "not logged in"]]
        assert wire.read() == []
        patient = opened(wires, server)
        for _ in range(3):
            refused = patient.ask("/login", "=name=ledgate", "=password=wrong", ".tag=9")
            assert refused == [["!trap", ".tag=9", "=message=invalid user name or password (6)"], ["!done", ".tag=9"]]
        assert patient.ask("/login", "=name=ledgate", "=password=secret") == [["!done"]]


def test_the_old_login_is_a_challenge(wires: list[Wire]) -> None:
    with api("6.40", login="challenge") as server:
        wire = opened(wires, server)
        ((done, ret),) = wire.ask("/login")
        challenge = bytes.fromhex(ret.removeprefix("=ret="))
        assert (done, len(challenge)) == ("!done", 16)
        answer = response("secret", challenge)
        assert wire.ask("/login", "=name=ledgate", f"=response={answer}") == [["!done"]]
        guessing = opened(wires, server)
        assert guessing.ask("/login", "=name=ledgate", f"=response={answer}")[0][1].startswith("=ret=")
        assert guessing.ask("/login", "=name=ledgate", f"=response={answer}")[0][-1] == "=message=cannot log in"


@pytest.mark.parametrize("octets", [b"\xf8", b"\xff\xff", b"\xf0\xff\xff\xff\xff"])
def test_what_is_no_framing_is_fatal(wires: list[Wire], octets: bytes) -> None:
    with api() as server:
        wire = opened(wires, server).log_in()
        wire.socket.sendall(octets)
        assert wire.read()[0] == "!fatal"
        assert wire.read() == []
        assert opened(wires, server).log_in().ask("/system/identity/print")[0][0] == "!re"


def test_before_login_words_are_short(wires: list[Wire]) -> None:
    with api() as server:
        assert opened(wires, server).ask("/login", "=name=" + "x" * 5000)[0][0] == "!fatal"
        logged_in = opened(wires, server).log_in()
        assert logged_in.ask(f"{LIST}/add", "=list=x", "=address=10.0.0.1", "=comment=" + "x" * 5000)[0][0] == "!done"


def test_a_client_may_say_that_it_goes(wires: list[Wire]) -> None:
    with api() as server:
        assert opened(wires, server).log_in().ask("/quit") == [["!fatal", "session terminated on request"]]
        until(lambda: not server.connections, "the connection has ended")


@pytest.mark.parametrize(("version", "words"), [("7.16.2", ["!done"]), ("7.18", ["!empty", "!done"])])
def test_an_empty_print_says_so_since_7_18(wires: list[Wire], version: str, words: list[str]) -> None:
    with api(version) as server:
        wire = opened(wires, server).log_in()
        assert [sentence[0] for sentence in wire.ask(f"{LIST}/print", "?list=none")] == words
        assert wire.ask(f"{LIST}/print", "=count-only=") == [["!done", "=ret=0"]]
        assert wire.ask(f"{LIST}/remove", "=.id=*5", ".tag=1") == [
            ["!trap", ".tag=1", "=category=0", "=message=no such item"],
            ["!done", ".tag=1"],
        ]


def test_connections_are_bounded_and_served_by_one_thread(wires: list[Wire]) -> None:
    with ApiLoop() as loop, api(loop=loop) as one, api(loop=loop) as other:
        for server in (one, other):
            full = [opened(wires, server).log_in() for _ in range(SESSIONS)]
            assert opened(wires, server).ask("/login", "=name=ledgate", "=password=secret") == [[]]
            full[0].close()
            until(lambda server=server: len(server.connections) < SESSIONS, "one has gone")  # type: ignore[misc]
            opened(wires, server).log_in()


def test_what_clients_do_is_told_without_secrets(wires: list[Wire]) -> None:
    events: list[ApiEvent] = []
    with api(on_event=events.append) as server:
        wire = opened(wires, server).log_in()
        wire.ask("/radius/add", "=address=192.0.2.1", "=secret=hush")
        wire.ask("/radius/add", "=address=nowhere", "=secret=hush")
        wire.ask("/radius/print")
    assert [(event.kind, event.what) for event in events] == [
        ("login", ""),
        ("write", "/radius/add address=192.0.2.1 secret=***"),
        ("trap", "/radius/add address=nowhere secret=***: invalid value for argument address"),
    ]


def test_a_full_router_answers_in_time(wires: list[Wire]) -> None:
    """5,000 foreign rules and 20,000 list entries; the limits are far above what it takes, for other tests run too."""
    with api() as server:
        usual(server.device)
        fill(server.device, 5_000, 20_000, clock.now())
        wire = opened(wires, server).log_in()
        addresses = [f"?address=11.0.{n}.1" for n in range(64)]
        timed: dict[str, tuple[float, int]] = {}
        for name, words in {
            "one list": ("?list=theirs-3",),
            "64 addresses": (*addresses, "?#" + "|" * 63),
            "all": ("=.proplist=.id,list,address,comment",),
        }.items():
            began = time.monotonic()
            answers = wire.ask(f"{LIST}/print", *words)
            timed[name] = time.monotonic() - began, len(answers) - 1
        assert [count for _, count in timed.values()] == [1818, 64, 20_000]
        assert timed["64 addresses"][0] < 0.2 and timed["one list"][0] < 1.0 and timed["all"][0] < 4.0, timed
        began = time.monotonic()
        for number in range(1000):
            wire.send(f"{LIST}/add", "=list=ours", f"=address=10.9.{number // 250}.{number % 250}", "=timeout=1h")
        assert [wire.read()[0] for _ in range(1000)] == ["!done"] * 1000
        assert time.monotonic() - began < 2.0
