"""The auth processes as such: shared sockets, duplicates, reject delay, seats, the login log, a database away."""

import os
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from aaa.radius import sockets
from aaa.radius.integrity import Secret, access_request
from aaa.radius.packet import ACCESS_ACCEPT, ACCESS_REJECT, CALLING_STATION_ID, USER_NAME, encode_attribute, parse
from aaa.radius.peer import pap_attributes
from aaa.store.database import open_database
from aaa.store.tables import auth_log
from tests.integration.serving import (
    SECRET,
    document,
    free_port,
    installation,
    running,
    shown,
    subscriber,
    until,
)

KEY = Secret(SECRET.encode())


def request(username: str = "ali", password: str = "secret", identifier: int = 7, calling: str = "") -> bytes:
    authenticator = os.urandom(16)
    attributes = encode_attribute(USER_NAME, username.encode()) + pap_attributes(password.encode(), KEY, authenticator)
    if calling:
        attributes += encode_attribute(CALLING_STATION_ID, calling.encode())
    return access_request(identifier, authenticator, KEY, attributes)


def received(bound: socket.socket) -> list[int]:
    """The Identifiers of what waits in a socket."""
    found = []
    while True:
        try:
            found.append(bound.recv(4096)[1])
        except BlockingIOError:
            return found


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_each_identifier_has_its_process_and_the_others_serve_on_when_one_dies(address: str) -> None:
    port = free_port()
    bound = [sockets.bind(address, port, index, 4) for index in range(4)]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    clients = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(3)]
    try:

        def send_all() -> list[list[int]]:
            for client in clients:
                for identifier in range(256):
                    client.sendto(bytes((1, identifier)), (address, port))
            return [received(one) for one in bound]

        expected = [[identifier for identifier in range(256) if identifier % 4 == index] * 3 for index in range(4)]
        assert send_all() == expected
        bound.pop(1).close()
        after = send_all()
        assert sorted(identifier for one in after for identifier in one) == sorted(list(range(256)) * 3)
        assert all(after)
        assert after == send_all()  # stable again
        bound.append(sockets.bind(address, port, 1, 4))
        assert all(send_all())
        # A datagram too short to have an Identifier still reaches somebody.
        clients[0].sendto(b"\1", (address, port))
        assert any(one.recv(10) == b"\1" for one in bound if _waits(one))
    finally:
        for one in (*bound, *clients):
            one.close()


def _waits(bound: socket.socket) -> bool:
    try:
        bound.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    return True


def test_a_bind_that_fails_names_the_address() -> None:
    with pytest.raises(OSError, match=r"process 2: UDP 192\.0\.2\.77 port 18120: "):
        sockets.bind("192.0.2.77", 18120, 2, 4)


def test_what_the_kernel_drops_is_counted() -> None:
    with sockets.bind("127.0.0.1", 0, 0, 1) as bound, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        assert sockets.lost(bound) == 0
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(50):
            client.sendto(bytes(1000), bound.getsockname())
        assert sockets.lost(bound) == 50 - len(received(bound)) > 0


def test_a_retransmission_gets_the_same_octets_whatever_process_answers(sqlite_url: str, tmp_path: Path) -> None:
    made = installation(sqlite_url, tmp_path / "ledgate", auth_processes=2, duplicate_window=5)
    made.load(document(subscribers=[subscriber("ali")]))
    with (
        running(made, "replica", "auth"),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.settimeout(5)
        client.connect(("127.0.0.1", made.auth_port))
        for identifier in range(8):
            asked = request(identifier=identifier)
            replies = []
            for _ in range(3):
                client.send(asked)
                replies.append(client.recv(4096))
            assert replies[0] == replies[1] == replies[2]
            assert parse(replies[0]).code == ACCESS_ACCEPT
            # The same Identifier with another authenticator is another request.
            client.send(request(password="wrong", identifier=identifier))
            assert parse(client.recv(4096)).code == ACCESS_REJECT
        counted = until(lambda: made.counters().get("duplicate") == 16 and made.counters(), "the counters")
    assert (counted["accept"], counted["reject"], counted["duplicate"]) == (8, 8, 16)
    assert made.log.count("login user=ali") == 16


def test_a_reject_waits_and_nobody_else_does(sqlite_url: str, tmp_path: Path) -> None:
    made = installation(sqlite_url, tmp_path / "ledgate", reject_delay=0.6)
    made.load(document(subscribers=[subscriber("ali")]))
    with (
        running(made, "replica", "auth"),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.settimeout(5)
        client.connect(("127.0.0.1", made.auth_port))
        wrong = request(password="wrong", identifier=1)
        began = time.monotonic()
        client.send(wrong)
        client.send(wrong)  # in progress: no second reply
        client.send(request(identifier=2))
        accepted = parse(client.recv(4096))
        assert (accepted.code, accepted.identifier) == (ACCESS_ACCEPT, 2)
        assert time.monotonic() - began < 0.5
        rejected = client.recv(4096)
        assert (parse(rejected).code, parse(rejected).identifier) == (ACCESS_REJECT, 1)
        assert 0.6 <= time.monotonic() - began < 2
        client.send(wrong)
        assert client.recv(4096) == rejected
        counted = until(lambda: made.counters().get("duplicate") and made.counters(), "the counters")
    assert (counted["reject"], counted["drop-in-progress"], counted["duplicate"]) == (1, 1, 1)


def test_simultaneous_use_counts_across_processes(sqlite_url: str, tmp_path: Path) -> None:
    made = installation(sqlite_url, tmp_path / "ledgate", auth_processes=2)
    params: list[dict[str, Any]] = [{"scope": "user:ali", "name": "simultaneous-use", "value": 1}]
    made.load(document(subscribers=[subscriber("ali")], params=params))
    with running(made, "replica", "auth"):
        codes = [
            parse(made.exchange(request(identifier=identifier, calling=f"02:00:00:00:00:{identifier:02X}"))).code
            for identifier in range(6)
        ]
        assert codes == [ACCESS_ACCEPT] + [ACCESS_REJECT] * 5
        # The same device may come again, to whichever process.
        for identifier in (10, 11):
            assert (
                parse(made.exchange(request(identifier=identifier, calling="02:00:00:00:00:00"))).code == ACCESS_ACCEPT
            )
        refused = made.exchange(request(identifier=3, calling="02:00:00:00:00:09"))
        assert shown(refused)["Reply-Message"] == "This login is already in use."
    assert "cause=simultaneous-use limit=1" in made.log


def test_logins_are_kept_in_the_database(database_url: str, tmp_path: Path) -> None:
    made = installation(database_url, tmp_path / "ledgate")
    made.load(document(subscribers=[subscriber("ali", balance=-812000, last_payment="2026-11-01T00:00:00Z")]))
    with running(made, "replica", "auth"):
        made.exchange(request(calling="02:00:00:00:00:01"))
        made.exchange(request(password="hunter2"))
        made.exchange(request("no\0body"))
        database = open_database(database_url)

        def rows() -> list[Any]:
            with database.read() as conn:
                return list(conn.execute(select(auth_log).order_by(auth_log.c.at)))

        until(lambda: len(rows()) == 3, "three rows")
        first, second, third = rows()
        database.close()
    assert (first.username, first.result, first.cause) == ("ali", "accept", "debit")
    assert "debt=812000" in first.detail
    assert first.calling_station_id == "02:00:00:00:00:01"
    assert first.service_id is not None
    assert (second.result, second.cause) == ("reject", "wrong-password")
    assert (third.username, third.service_id, third.cause) == ("no\\x00body", None, "unknown-user")


def test_logins_go_on_while_the_database_is_away_and_after_a_restart(
    postgresql_url: str, postgresql_away: Callable[[str], AbstractContextManager[None]], tmp_path: Path
) -> None:
    made = installation(postgresql_url, tmp_path / "ledgate", auth_processes=2)
    made.load(document(subscribers=[subscriber("ali")]))
    with running(made, "replica", "auth"):
        assert parse(made.exchange(request())).code == ACCESS_ACCEPT
        with postgresql_away(postgresql_url):
            for identifier in range(20):
                assert parse(made.exchange(request(identifier=identifier))).code == ACCESS_ACCEPT
            killed = made.pid("auth", 1)
            os.kill(killed, 9)
            until(lambda: made.pid("auth", 1) not in (0, killed), "the restart")
            began = time.monotonic()
            for identifier in range(20):
                assert parse(made.exchange(request(identifier=identifier))).code == ACCESS_ACCEPT
            assert time.monotonic() - began < 5
        until(lambda: "login rows are not stored for now" in made.log, "the notice")


def test_a_fault_of_ours_is_counted_and_stops_nobody(sqlite_url: str, tmp_path: Path) -> None:
    made = installation(sqlite_url, tmp_path / "ledgate")
    made.load(document(subscribers=[subscriber("ali"), subscriber("eve")]))
    database = open_database(sqlite_url)
    with database.write() as conn:
        conn.exec_driver_sql("UPDATE access SET record = X'FF' WHERE username = 'eve'")
    database.close()
    with running(made, "replica", "auth"):
        assert made.exchange(request("eve"), wait=0.5) == b""
        assert parse(made.exchange(request())).code == ACCESS_ACCEPT
        counted = until(lambda: made.counters().get("accept") and made.counters(), "the counters")
    assert (counted["error"], counted["accept"]) == (1, 1)
    assert "Traceback" in made.log
