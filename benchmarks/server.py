"""Our own server as an operator starts it: `ledgate load`, `ledgate run`, settings by environment, PostgreSQL."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from aaa import clock
from aaa.domain.authorisation import Authorisation
from aaa.store import record
from aaa.store.database import open_database
from aaa.store.tables import access
from benchmarks import population, postgresql, processes
from benchmarks.measure import Side

COMMAND = Path(sys.executable).with_name("ledgate")
VISP = "bench"


@dataclass(frozen=True, slots=True)
class Installation:
    """A state directory and a database with subscribers, not running; the two ports that `run` will listen on."""

    directory: Path
    cluster: postgresql.Cluster
    users: int
    auth_port: int
    acct_port: int
    load_seconds: float

    def environment(self) -> dict[str, str]:
        """The environment `ledgate` runs with."""
        return _environment(self.directory, self.cluster, self.auth_port, self.acct_port)

    @contextmanager
    def serve(self, *roles: str) -> Iterator[list[int]]:
        """Run `ledgate run`, or one process tree per role; their process ids. They end with the block."""
        started: list[tuple[subprocess.Popen[bytes], Path]] = []
        try:
            for role in roles or ("all",):
                log = self.directory / f"{role}.log"
                command = [str(COMMAND), "run", "--role", role]
                started.append((processes.start(command, log, env=self.environment()), log))
            yield [process.pid for process, _ in started]
        finally:
            for process, _ in started:
                processes.stop(process)

    def wait_accept(self, pid: int, role: str = "all", seconds: float = 300) -> float:
        """Log the last subscriber in until it is accepted; the seconds that took. Raises RuntimeError."""
        log = self.directory / f"{role}.log"
        return processes.wait_accept(self.auth_port, self.users - 1, pid, log, seconds)


@contextmanager
def running(users: int) -> Iterator[Side]:
    """The whole server with `users` subscribers in debt but within their control, serving."""
    with installed(users) as installation, installation.serve() as pids:
        installation.wait_accept(pids[0])
        auth_port, acct_port, cluster = installation.auth_port, installation.acct_port, installation.cluster
        yield Side("ledgate", auth_port, acct_port, pids[0], cluster.pid, _classes(cluster, users))


@contextmanager
def installed(users: int) -> Iterator[Installation]:
    """A throw-away installation, loaded by `ledgate load`."""
    with postgresql.cluster() as cluster:
        directory = Path(tempfile.mkdtemp(prefix="lgbench-own-", dir="/var/tmp"))
        try:
            cluster.create("ledgate")
            ports = processes.free_port(), processes.free_port()
            environment = _environment(directory, cluster, *ports)
            document = directory / "load.json"
            write_document(document, users)
            _ledgate(environment, "migrate")
            began = time.monotonic()
            _ledgate(environment, "load", str(document))
            seconds = time.monotonic() - began
            document.unlink()
            cluster.settle("ledgate")
            yield Installation(directory, cluster, users, *ports, seconds)
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def _classes(cluster: postgresql.Cluster, users: int) -> list[bytes]:
    """The Class that each user's Accept carries, as a login would tell it."""
    database = open_database(cluster.url("ledgate"))
    with database.read() as conn:
        records = {row.username: row.record for row in conn.execute(select(access.c.username, access.c.record))}
    database.close()
    return [_class(records[population.username(number)]) for number in range(users)]


def _class(packed: bytes) -> bytes:
    head = record.entry(packed)
    step = record.step_at(packed, head, clock.now())
    end = step.verdict_end // clock.SECOND
    return Authorisation(head.service_id, head.version, step.position, step.profile, end).pack()


def write_document(path: Path, users: int) -> None:
    """The file for `ledgate load`: debit control in force on every subscriber: in debt, below both limits."""
    paid = (datetime.now(UTC) - timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = {
        "visps": [{"name": VISP, "currency": "IRR", "timezone": "Asia/Tehran", "realm": "bench.example"}],
        "plans": [
            {
                "name": population.PLAN,
                "visp": VISP,
                "price": 400_000,
                "reply": {
                    "Mikrotik-Rate-Limit": population.RATE_LIMIT,
                    "Framed-Pool": population.POOL,
                    "Acct-Interim-Interval": population.INTERIM_SECONDS,
                },
            }
        ],
        "controls": [
            {"name": "Home-Users", "max_debt": 800_000, "max_delay": 2_592_000, "anchor": "last_payment"},
        ],
        "params": [{"scope": "server", "name": "DebitControl", "value": "Home-Users", "status": "passthrough-yes"}],
        "nas": [
            {
                "name": population.NAS_IDENTIFIER,
                "address": population.NAS_ADDRESS,
                "secret": population.SECRET.decode(),
                "require_message_authenticator": "auto",
            }
        ],
        "subscribers": [
            {
                "username": population.username(number),
                "password": population.password(number),
                "visp": VISP,
                "plan": population.PLAN,
                "balance": -400_000,
                "last_payment": paid,
            }
            for number in range(users)
        ],
    }
    with path.open("w") as file:
        json.dump(document, file)


def _environment(directory: Path, cluster: postgresql.Cluster, auth_port: int, acct_port: int) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LEDGATE_")}
    return inherited | {
        "LEDGATE_DATABASE_URL": cluster.url("ledgate"),
        "LEDGATE_STATE_DIR": str(directory / "state"),
        "LEDGATE_LISTEN": "127.0.0.1",
        "LEDGATE_AUTH_PORT": str(auth_port),
        "LEDGATE_ACCT_PORT": str(acct_port),
        "LEDGATE_AUTH_PROCESSES": "2",
        "LEDGATE_ACCT_PROCESSES": "2",
    }


def _ledgate(environment: dict[str, str], *arguments: str) -> None:
    done = subprocess.run([str(COMMAND), *arguments], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"ledgate {arguments[0]} failed: {done.stderr.strip()[-2000:]}")
