"""The fake RouterOS before three clients that are not ours: librouteros, routeros-api, and npm's node-routeros."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Any, NamedTuple

import pytest

from aaa import clock
from ledgate.lab.routeros.device import Device
from ledgate.lab.routeros.login import Method, User
from ledgate.lab.routeros.server import ApiServer
from tests.integration.serving import until

ROOT = Path(__file__).parents[2]
INSTALLED = ROOT / "var" / "clients"
CLIENTS = ("librouteros", "routeros-api", "node-routeros")
COMMANDS = {
    "librouteros": (sys.executable, "librouteros_client.py"),
    "routeros-api": (sys.executable, "routeros_api_client.py"),
    "node-routeros": ("node", "node_client.js"),
}
USERS = (User("ledgate", "pass word"), User("looker", "x", "read"))
LIST = "/ip/firewall/address-list"
FILTER = "/ip/firewall/filter"
COMMENTS = ("Novák", "سلام", "ledgate:list:0a1b = ?#|")
Rows = list[dict[str, str]]


class Trapped(Exception):
    """The client got a !trap, with this message."""


class Client:
    """A client of other people's, in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, verb: str, **given: Any) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": verb, **given}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the client died"
        answer = json.loads(line)
        if "trap" in answer:
            raise Trapped(answer["trap"])
        return answer["ok"]

    def __call__(self, command: str, *queries: str, **arguments: str) -> Rows:
        """Give a command; `_` in a name stands for `-`, one at its beginning for a dot."""
        given = {
            ("." + name[1:] if name[0] == "_" else name).replace("_", "-"): text for name, text in arguments.items()
        }
        found: Rows = self.ask("run", command=command, arguments=given, queries=list(queries))
        return found

    def refused(self, command: str, **arguments: str) -> str:
        with pytest.raises(Trapped) as trapped:
            self(command, **arguments)
        return str(trapped.value)

    def column(self, menu: str, name: str, *queries: str) -> list[str]:
        return [row[name] for row in self(f"{menu}/print", *queries) if name in row]


class Stage(NamedTuple):
    device: Device
    server: ApiServer
    client: Client


@contextmanager
def stage(name: str, login: Method = "plain", tls: bool = False, version: str = "7.16.2") -> Iterator[Stage]:
    assert (INSTALLED / "node_modules").is_dir(), f"{INSTALLED} is not there: run tools/setup test"
    environment = {**os.environ, "PYTHONPATH": str(INSTALLED / "python"), "NODE_PATH": str(INSTALLED / "node_modules")}
    program, script = COMMANDS[name]
    device = Device(version, clock.now())
    with (
        ApiServer(device, USERS, tls=tls, login=login) as server,
        subprocess.Popen(
            [program, str(ROOT / "tests" / "clients" / script)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        deadline = Timer(60, process.kill)
        deadline.start()
        try:
            yield Stage(device, server, Client(process))
        finally:
            deadline.cancel()
            process.kill()


def log_in(made: Stage, user: str = "ledgate", password: str = "pass word") -> Client:
    made.client.ask(
        "connect", port=made.server.port, user=user, password=password, login=made.server.login, tls=made.server.tls
    )
    return made.client


@pytest.mark.parametrize("login", ["plain", "challenge"])
@pytest.mark.parametrize("name", CLIENTS)
def test_it_logs_in_the_new_way_and_the_old(name: str, login: Method) -> None:
    with stage(name, login) as made:
        assert log_in(made)("/system/identity/print") == [{"name": "MikroTik"}]


@pytest.mark.parametrize("login", ["plain", "challenge"])
@pytest.mark.parametrize("name", CLIENTS)
def test_a_wrong_password_is_refused(name: str, login: Method) -> None:
    told = {"plain": "invalid user name or password (6)", "challenge": "cannot log in"}[login]
    with stage(name, login) as made, pytest.raises(Trapped) as trapped:
        log_in(made, password="wrong")
    assert str(trapped.value) == ("Username or password is invalid" if name == "node-routeros" else told)


@pytest.mark.parametrize("name", CLIENTS)
def test_it_speaks_tls(name: str) -> None:
    with stage(name, tls=True) as made:
        assert [row["name"] for row in log_in(made)("/interface/print")] == ["ether1", "ether2", "bridge-hotspot"]


@pytest.mark.parametrize("name", CLIENTS)
def test_rows_are_added_changed_queried_and_removed(name: str) -> None:
    with stage(name) as made:
        client = log_in(made)
        ids = [client(f"{LIST}/add", list="overdue", address=f"10.0.0.{n}")[-1]["ret"] for n in range(1, 6)]
        assert ids == ["*1", "*2", "*3", "*4", "*5"]
        client(f"{LIST}/set", _id="*2,*3", comment="both", disabled="yes")
        assert client.column(LIST, "address", "?comment=both") == ["10.0.0.2", "10.0.0.3"]
        assert client.column(LIST, "address", "?disabled=true", "?address=10.0.0.1", "?#|") == [
            "10.0.0.1",
            "10.0.0.2",
            "10.0.0.3",
        ]
        assert client.column(LIST, ".id", "?-comment", "?#!") == ["*2", "*3"]
        assert client(f"{LIST}/print", "?address=10.0.0.5", _proplist="address,comment") == [{"address": "10.0.0.5"}]
        assert client(f"{LIST}/print", "?list=overdue", count_only="") == [{"ret": "5"}]
        client(f"{LIST}/unset", _id="*2", value_name="comment")
        client(f"{LIST}/enable", _id="*2")
        client(f"{LIST}/remove", numbers="*1,*3,*5")
        assert client.column(LIST, ".id") == ["*2", "*4"]
        assert client(f"{LIST}/print", "?list=nobody") == []


@pytest.mark.parametrize("name", CLIENTS)
def test_rules_are_placed_and_moved(name: str) -> None:
    with stage(name) as made:
        client = log_in(made)
        for comment in "abc":
            client(f"{FILTER}/add", chain="forward", comment=comment)
        client(f"{FILTER}/add", chain="ledgate", comment="d", place_before="*1", action="drop")
        assert client.column(FILTER, "comment") == ["d", "a", "b", "c"]
        client(f"{FILTER}/move", numbers="*3", destination="*4")
        client(f"{FILTER}/move", numbers="*1")
        assert client.column(FILTER, "comment") == ["c", "d", "b", "a"]


@pytest.mark.parametrize("name", CLIENTS)
def test_letters_survive(name: str) -> None:
    with stage(name) as made:
        client = log_in(made)
        for number, comment in enumerate(COMMENTS, start=1):
            client(f"{LIST}/add", list="x", address=f"10.0.0.{number}", comment=comment)
        assert tuple(row.values["comment"] for row in made.device.tables[LIST]) == COMMENTS
        assert tuple(client.column(LIST, "comment")) == COMMENTS
        assert client.column(LIST, "address", f"?comment={COMMENTS[1]}") == ["10.0.0.2"]


@pytest.mark.parametrize("name", CLIENTS)
def test_long_words_and_many_rows_survive(name: str) -> None:
    with stage(name) as made:
        client = log_in(made)
        long = {size: "x" * (size - len("=comment=")) for size in (0x7F, 0x80, 0x3FFF, 0x4000)}
        for number, comment in enumerate(long.values(), start=1):
            client(f"{LIST}/add", list="x", address=f"10.0.1.{number}", comment=comment)
        for number in range(1000):
            made.device.tables[LIST].append({"list": "many", "address": f"10.1.{number // 250}.{number % 250}"})
        assert client.column(LIST, "comment") == list(long.values())
        assert len(client(f"{LIST}/print", "?list=many")) == 1000


@pytest.mark.parametrize("name", CLIENTS)
def test_a_refusal_is_heard_and_the_connection_goes_on(name: str) -> None:
    with stage(name) as made:
        client = log_in(made)
        client(f"{LIST}/add", list="x", address="10.0.0.1")
        assert client.refused(f"{LIST}/add", list="x", address="10.0.0.1/32") == "failure: already have such entry"
        assert client.refused(f"{LIST}/remove", _id="*77") == "no such item"
        assert client.refused(f"{LIST}/explode") == "no such command"
        assert client.refused(f"{FILTER}/add", chain="forward", action="explode") == (
            "input does not match any value of action"
        )
        assert client.refused(f"{FILTER}/add", chain="forward", colour="red") == "unknown parameter colour"
        assert client.column(LIST, ".id") == ["*1"]


@pytest.mark.parametrize("name", CLIENTS)
def test_who_may_only_read_changes_nothing(name: str) -> None:
    with stage(name) as made:
        client = log_in(made, "looker", "x")
        assert client.refused(f"{LIST}/add", list="x", address="10.0.0.1") == "not enough permissions (9)"
        assert client(f"{LIST}/print") == []


@pytest.mark.parametrize("name", CLIENTS)
def test_it_listens_while_it_works(name: str) -> None:
    with stage(name) as made:
        client = log_in(made)
        before = len(made.device.tables[LIST].watchers)
        client.ask("listen", command=f"{LIST}/listen")
        watchers = made.device.tables[LIST].watchers
        until(lambda: len(watchers) > before, "it listens")
        client(f"{LIST}/add", list="x", address="10.0.0.1")
        client(f"{LIST}/set", _id="*1", comment="changed")
        client(f"{LIST}/remove", _id="*1")
        added, changed, removed = client.ask("heard", count=3)
        assert (added["address"], changed["comment"]) == ("10.0.0.1", "changed")
        assert removed[".id"] == "*1" and removed[".dead"] in ("yes", "true")
