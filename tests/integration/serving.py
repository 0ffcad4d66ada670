"""Real processes of ours over a loaded database, and radclient beside them."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aaa import clock
from aaa.radius import dictionary
from aaa.radius.packet import parse
from aaa.store.database import open_database
from aaa.store.seal import open_keys
from ledgate.load import load

SECRET = "testing123"
DEADLINE = 20.0
NAMES = dictionary.load()


def until(true: Callable[[], Any], what: str, seconds: float = DEADLINE) -> Any:
    """The first true value of `true()`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = true()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        time.sleep(0.01)


def free_port() -> int:
    """A UDP port that is free on IPv4 and IPv6."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as four,
            socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as six,
        ):
            four.bind(("127.0.0.1", 0))
            port: int = four.getsockname()[1]
            try:
                six.bind(("::1", port))
            except OSError:
                continue
            return port


def document(**sections: Any) -> dict[str, Any]:
    """A file for `load`: a VISP, a plan, debit control, a router on this machine; `sections` replace or add."""
    base: dict[str, Any] = {
        "visps": [{"name": "tehran", "currency": "IRR", "timezone": "Asia/Tehran", "realm": "tehran.example"}],
        "plans": [
            {
                "name": "home20",
                "visp": "tehran",
                "price": 400000,
                "reply": {"Mikrotik-Rate-Limit": "20M/20M", "Framed-Pool": "pool1"},
            }
        ],
        "controls": [{"name": "Home-Users", "max_debt": 800000, "max_delay": 2592000}],
        "finish_rules": [
            {"name": "garden", "debit": {"restrict": {"pool": "finish", "address_list": "overdue"}}, "expire": "deny"}
        ],
        "params": [
            {"scope": "server", "name": "DebitControl", "value": "Home-Users"},
            {"scope": "visp:tehran", "name": "FinishRule", "value": "garden"},
        ],
        "nas": [router("mt1", "127.0.0.1")],
        "subscribers": [],
    }
    return base | sections


def router(name: str, address: str, **more: Any) -> dict[str, Any]:
    """A NAS of `document`."""
    return {"name": name, "address": address, "identifier": None, "secret": SECRET} | more


def subscriber(username: str, password: str = "secret", **more: Any) -> dict[str, Any]:
    """A subscriber of `document`."""
    return {"username": username, "password": password, "visp": "tehran", "plan": "home20"} | more


@dataclass
class Reply:
    """What radclient got: the code's name, and the attributes as it prints them."""

    code: str
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass
class Installation:
    """A database, a state directory and the settings of the processes that serve them."""

    database_url: str
    folder: Path
    environment: dict[str, str]
    auth_port: int
    acct_port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def log(self) -> str:
        """What the processes have written so far."""
        return (self.folder / "log").read_text()

    def load(self, document: dict[str, Any]) -> None:
        """Load a document as `ledgate load` does."""
        database = open_database(self.database_url)
        try:
            sealer = open_keys(self.state / "keys", (self.state / "keys").exists())
            load(database, document, sealer, actor="test", now=clock.now())
        finally:
            database.close()

    def counters(self, role: str = "auth") -> dict[str, int]:
        """The counters of a role's processes, added up."""
        summed: dict[str, int] = {}
        for file in (self.state / "counters").glob(f"{role}-*.json"):
            for name, count in json.loads(file.read_text())["counters"].items():
                summed[name] = summed.get(name, 0) + count
        return summed

    def pid(self, role: str, index: int = 0) -> int:
        """The process that serves as `role` now; 0 while there is none."""
        try:
            found = int((self.state / "run" / f"{role}-{index}").read_text())
            os.kill(found, 0)
        except (OSError, ValueError):
            return 0
        return found

    def radclient(
        self,
        attributes: str,
        *,
        server: str = "127.0.0.1",
        secret: str = SECRET,
        port: int | None = None,
        command: str = "auth",
        wait: float = 3.0,
    ) -> Reply | None:
        """Send one request, once; None if nobody answered. `attributes` as radclient reads them."""
        family = "-6" if ":" in server else "-4"
        where = f"[{server}]:{port or self.auth_port}" if ":" in server else f"{server}:{port or self.auth_port}"
        done = subprocess.run(
            ["radclient", family, "-x", "-r", "1", "-t", str(wait), where, command, secret],
            input=attributes,
            capture_output=True,
            text=True,
            timeout=wait + 10,
        )
        received = re.search(r"^Received (\S+) Id .*\n((?:\t.*\n)*)", done.stdout, re.MULTILINE)
        if received is None:
            told = done.stdout + done.stderr
            assert "No reply from server" in told, f"radclient failed: {told}"
            return None
        pairs = (text.strip().split(" = ", 1) for text in received[2].splitlines() if " = " in text)
        return Reply(received[1], {name: value.strip('"') for name, value in pairs})

    def exchange(
        self, data: bytes, *, server: str = "127.0.0.1", port: int | None = None, wait: float = 5.0, source: str = ""
    ) -> bytes:
        """Send one datagram from a fresh socket, whose address may be given as `source`; the reply, empty if there is
        none within `wait` seconds."""
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as client:
            client.settimeout(wait)
            client.bind((source, 0))
            client.connect((server, port or self.auth_port))
            client.send(data)
            try:
                return client.recv(4096)
            except TimeoutError:
                return b""


def shown(reply: bytes) -> dict[str, Any]:
    """A reply's attributes by name, the last of each."""
    return dict(NAMES.decode_all(parse(reply).attributes()))


def installation(database_url: str, folder: Path, **settings: Any) -> Installation:
    """An installation with nothing running yet. `settings` are those of `ledgate.config`."""
    folder.mkdir(parents=True, exist_ok=True)
    auth_port, acct_port = free_port(), free_port()
    given = {
        "database_url": database_url,
        "state_dir": folder / "state",
        "listen": "127.0.0.1,::1",
        "auth_port": auth_port,
        "acct_port": acct_port,
        "auth_processes": 1,
    } | settings
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LEDGATE_")}
    variables = {f"LEDGATE_{name.upper()}": str(value) for name, value in given.items()}
    (folder / "state").mkdir(mode=0o700, exist_ok=True)
    for name in ("LEDGATE_TEST", "LEDGATE_CLOCK_OFFSET"):
        if name in os.environ:
            variables[name] = os.environ[name]
    return Installation(database_url, folder, inherited | variables, auth_port, acct_port)


@contextmanager
def running(installed: Installation, *roles: str) -> Iterator[Installation]:
    """Run roles under the supervisor until the block ends; returns when all serve."""
    program = (
        "import sys; from ledgate import config, supervisor; from ledgate.role import log_to_stderr;"
        "log_to_stderr('ledgate'); sys.exit(supervisor.run(config.load(), sys.argv[1:]))"
    )
    with (installed.folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", program, *roles],
            env=installed.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    installed.process = process
    try:
        until(
            lambda: "ledgate is ready" in installed.log or process.poll() is not None, f"readiness: {installed.log}", 60
        )
        assert process.poll() is None, installed.log
        yield installed
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
