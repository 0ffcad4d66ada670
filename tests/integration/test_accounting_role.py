"""The acct role as a process: radclient and raw packets in, durable records and replies out."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text

from aaa.radius.integrity import MA_VALID, Secret, access_request, signed_request, verify_reply
from aaa.radius.packet import ACCOUNTING_REQUEST, ACCOUNTING_RESPONSE, STATUS_SERVER, encode_attribute, parse
from aaa.store import tables
from aaa.store.database import open_database
from tests.integration.serving import (
    SECRET,
    Installation,
    document,
    installation,
    router,
    running,
    subscriber,
    until,
)

KEY = Secret(SECRET.encode())


@pytest.fixture
def installed(database_url: str, tmp_path: Path) -> Installation:
    made = installation(database_url, tmp_path / "ledgate")
    nas = [
        router("mt1", "127.0.0.1"),
        router("mt2", "127.0.0.1", identifier="mt2", octets="client"),
        router("mt6", "::1"),
    ]
    made.load(document(nas=nas, subscribers=[subscriber("ali")]))
    return made


@contextmanager
def database(installed: Installation) -> Iterator[Any]:
    opened = open_database(installed.database_url)
    try:
        yield opened
    finally:
        opened.close()


def sessions(installed: Installation) -> list[Any]:
    with database(installed) as opened, opened.read() as conn:
        return list(conn.execute(select(tables.session).order_by(tables.session.c.id)).all())


def used(installed: Installation) -> tuple[int, int, int]:
    day = tables.usage_day.c
    with database(installed) as opened, opened.read() as conn:
        up, down, seconds = conn.execute(select(func.sum(day.up), func.sum(day.down), func.sum(day.seconds))).one()
        return up, down, seconds


def record(kind: str, session: str, **more: Any) -> str:
    """A record as radclient reads it."""
    lines = {
        "User-Name": '"ali"',
        "Acct-Status-Type": kind,
        "Acct-Session-Id": f'"{session}"',
        "Calling-Station-Id": '"02:00:00:00:00:01"',
        "Framed-Protocol": "PPP",
    } | {name.replace("_", "-"): value for name, value in more.items()}
    return "".join(f"{name} = {value}\n" for name, value in lines.items())


def packet(session: str, kind: int = 1, *, identifier: int = 1, seconds: int = 0, up: int = 0) -> bytes:
    """The same as octets, of a device of its own."""
    numbers = ((40, kind), (46, seconds), (42, up))
    attributes = b"".join(encode_attribute(number, value.to_bytes(4, "big")) for number, value in numbers)
    texts = ((44, session), (1, "ali"), (31, f"device of {session}"))
    attributes += b"".join(encode_attribute(number, value.encode()) for number, value in texts)
    return signed_request(ACCOUNTING_REQUEST, identifier, KEY, attributes)


@pytest.mark.parametrize("server", ["127.0.0.1", "::1"])
def test_radclient_start_interim_stop(installed: Installation, server: str) -> None:
    with running(installed, "replica", "acct"):
        octets = {"Acct_Input_Octets": 10, "Acct_Output_Octets": 5, "Acct_Output_Gigawords": 1}
        for kind, more in (
            ("Start", {}),
            ("Interim-Update", octets | {"Acct_Session_Time": 100}),
            ("Stop", octets | {"Acct_Session_Time": 101, "Acct_Terminate_Cause": "User-Request"}),
        ):
            sent = record(kind, "81000001", **more)
            reply = installed.radclient(sent, server=server, port=installed.acct_port, command="acct")
            assert reply is not None, installed.log
            assert reply.code == "Accounting-Response"
    [row] = sessions(installed)
    assert (row.username, row.source, row.framed_protocol, row.closed_by) == ("ali", server, "ppp", "stop")
    assert (row.seconds, row.up, row.down, row.terminate_cause) == (101, 10, 2**32 + 5, 1)
    assert used(installed) == (10, 2**32 + 5, 101)
    assert installed.counters("acct")["stored"] == 3


def test_the_octet_direction_is_the_routers(installed: Installation) -> None:
    with running(installed, "replica", "acct"):
        octets = {"Acct_Input_Octets": 10, "Acct_Output_Octets": 5}
        sent = record("Stop", "1", NAS_Identifier='"mt2"', Acct_Session_Time=1, **octets)
        assert installed.radclient(sent, port=installed.acct_port, command="acct") is not None
    [row] = sessions(installed)
    assert (row.identifier, row.up, row.down) == ("mt2", 5, 10)


def test_a_reply_comes_only_after_the_commit(installed: Installation) -> None:
    with running(installed, "replica", "acct"), database(installed) as opened, client(installed) as router_socket:
        with opened.write() as conn:
            if opened.is_postgresql:
                conn.execute(text("LOCK TABLE session IN SHARE MODE"))  # others may read, not write
            router_socket.send(packet("1"))
            router_socket.settimeout(0.5)
            with pytest.raises(TimeoutError):
                router_socket.recv(4096)
        router_socket.settimeout(15)
        assert parse(router_socket.recv(4096)).code == ACCOUNTING_RESPONSE
        assert len(sessions(installed)) == 1


def test_rfc5080_2_2_2_a_retransmission_gets_the_same_reply(installed: Installation) -> None:
    with running(installed, "replica", "acct"), client(installed) as router_socket:
        replies = set()
        for _ in range(3):
            router_socket.send(packet("1"))
            replies.add(router_socket.recv(4096))
        assert len(replies) == 1
        until(lambda: installed.counters("acct").get("duplicate") == 2, "two duplicates are counted")
    assert len(sessions(installed)) == 1
    assert installed.counters("acct")["stored"] == 1


def test_what_is_not_answered_is_counted(installed: Installation) -> None:
    with running(installed, "replica", "acct"), client(installed) as router_socket:
        strange = [
            packet("1")[:-1],
            signed_request(ACCOUNTING_REQUEST, 1, Secret(b"wrong"), b""),
            signed_request(ACCOUNTING_REQUEST, 2, KEY, b""),
            access_request(3, bytes(16), KEY, b""),
        ]
        for data in strange:
            router_socket.send(data)
        router_socket.send(packet("1", identifier=9))
        assert parse(router_socket.recv(4096)).identifier == 9
    counted = installed.counters("acct")
    assert counted == {
        "drop-malformed-truncated": 1,
        "drop-authenticator-wrong": 1,
        "drop-record-status-type-missing": 1,
        "drop-unexpected-code": 1,
        "stored": 1,
    }
    assert "dropped cause=authenticator-wrong from=127.0.0.1 nas=mt1" in installed.log
    assert SECRET not in installed.log


def test_an_unknown_router_is_dropped_and_becomes_known(installed: Installation) -> None:
    with running(installed, "replica", "acct"):
        with client(installed, "127.0.0.9") as stranger:
            stranger.send(packet("1"))
            until(lambda: installed.counters("acct").get("drop-unknown-nas") == 1, "the drop is counted")
            installed.load({"nas": [router("mt9", "127.0.0.9")]})
            deadline = time.monotonic() + 10
            stranger.settimeout(0.2)
            while True:
                stranger.send(packet("1"))
                try:
                    assert parse(stranger.recv(4096)).code == ACCOUNTING_RESPONSE
                    break
                except TimeoutError:
                    assert time.monotonic() < deadline, installed.log


def test_rfc5997_status_server(installed: Installation) -> None:
    with running(installed, "replica", "acct"):
        asked = bytes(range(16))
        reply = installed.exchange(access_request(5, asked, KEY, b"", STATUS_SERVER), port=installed.acct_port)
        assert parse(reply).code == ACCOUNTING_RESPONSE
        assert verify_reply(parse(reply), asked, KEY) == MA_VALID


def test_without_the_database_accounting_is_silent_and_goes_on_afterwards(
    postgresql_url: str, tmp_path: Path, postgresql_away: Any
) -> None:
    installed = installation(postgresql_url, tmp_path / "ledgate")
    installed.load(document(subscribers=[subscriber("ali")]))
    status = access_request(5, bytes(16), KEY, b"", STATUS_SERVER)
    with running(installed, "replica", "acct"), client(installed) as router_socket:
        router_socket.send(packet("1"))
        assert router_socket.recv(4096)
        with postgresql_away(postgresql_url):
            router_socket.settimeout(0.5)
            for data in (packet("1", 3, identifier=2, seconds=10, up=7), status):
                router_socket.send(data)
                with pytest.raises(TimeoutError):
                    router_socket.recv(4096)
        # What the router sends again is stored, and Status-Server tells that we are back.
        until(lambda: installed.exchange(status, port=installed.acct_port, wait=0.3), "Status-Server is answered")
        router_socket.settimeout(5)
        router_socket.send(packet("1", 3, identifier=2, seconds=10, up=7))
        assert parse(router_socket.recv(4096)).identifier == 2
        assert "accounting is silent" in installed.log
        assert "accounting is served again" in installed.log
    [row] = sessions(installed)
    assert (row.up, row.seconds) == (7, 10)


def test_r8_2_what_two_processes_answered_is_stored_once_though_one_is_killed(
    postgresql_url: str, tmp_path: Path
) -> None:
    installed = installation(postgresql_url, tmp_path / "ledgate", acct_processes=2)
    installed.load(document(subscribers=[subscriber("ali")]))
    answered: set[int] = set()
    with running(installed, "replica", "acct"), client(installed) as router_socket:
        router_socket.settimeout(0.2)
        victim = installed.pid("acct", 1)
        waiting = {number % 256: number for number in range(200)}
        deadline = time.monotonic() + 60
        killed = False
        while waiting:
            assert time.monotonic() < deadline, f"{len(waiting)} records got no answer: {installed.log}"
            for identifier, number in waiting.items():
                router_socket.send(packet(f"{number}", 2, identifier=identifier, seconds=100, up=number))
            if not killed:
                os.kill(victim, signal.SIGKILL)
                killed = True
            try:
                while waiting:
                    answered.add(waiting.pop(parse(router_socket.recv(4096)).identifier, -1))
            except TimeoutError:
                continue
            except ConnectionRefusedError:
                continue
        until(lambda: installed.pid("acct", 1) not in (0, victim), "the killed process is replaced")
    rows = sessions(installed)
    assert sorted(row.up for row in rows) == list(range(200))
    assert used(installed) == (sum(range(200)), 0, 200 * 100)


@contextmanager
def client(installed: Installation, address: str = "127.0.0.1") -> Iterator[socket.socket]:
    """A router's socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind((address, 0))
        opened.connect(("127.0.0.1", installed.acct_port))
        opened.settimeout(15)
        yield opened
