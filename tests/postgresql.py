"""A throw-away PostgreSQL 15 for one pytest run, shared by its workers.

A guardian process of its own (this file run as a program) keeps the server: it waits for the pytest process that owns
the run to end, however that happens, then stops the server and removes every file. So nothing stays behind when tests
fail, when pytest is interrupted, or when it is killed. If the guardian itself is killed, the kernel stops the server.
"""

import contextlib
import fcntl
import json
import os
import pwd
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import psycopg
from psycopg import sql

BINARIES = Path("/usr/lib/postgresql/15/bin")
START_SECONDS = 60.0
STOP_SECONDS = 15.0
SETTINGS = {
    # Nothing here outlives the run, so nothing needs to reach the disk.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "log_min_messages": "fatal",
    "timezone": "UTC",
}


class Cluster(NamedTuple):
    """A running server. The password is worth nothing elsewhere, but is kept out of process lists all the same."""

    port: int
    password: str
    guardian: int

    def url(self, database: str) -> str:
        """A URL for `ledgate` and SQLAlchemy."""
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/{database}"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path` against the other workers of this run."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def shared_cluster(folder: Path, owner: int) -> Cluster:
    """The cluster of the run that keeps its files in `folder`, started by the first who asks.

    It stops when process `owner` ends. Raises RuntimeError with the server's log when it does not start.
    """
    with locked(folder / "postgresql.lock"):
        known = folder / "postgresql.json"
        if not known.exists():
            known.write_text(json.dumps(_start_guardian(folder, owner)))
        return Cluster(**json.loads(known.read_text()))


def stop_shared_cluster(folder: Path) -> None:
    """Stop the run's cluster, if one was started, and wait until it is gone."""
    known = folder / "postgresql.json"
    if known.exists():
        with contextlib.suppress(ProcessLookupError):
            guardian = os.pidfd_open(json.loads(known.read_text())["guardian"])
            signal.pidfd_send_signal(guardian, signal.SIGTERM)
            select.select([guardian], [], [], STOP_SECONDS)
            os.close(guardian)


def connect(cluster: Cluster, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
    """An administrator's connection, in autocommit mode."""
    return psycopg.connect(cluster.url(database), autocommit=True)


def create(admin: psycopg.Connection[tuple[object, ...]], name: str, template: str = "template0") -> None:
    """Make database `name` as a copy of `template`, to which nobody may be connected."""
    admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))


def drop(admin: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    """Remove database `name`, throwing out who is connected."""
    admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextlib.contextmanager
def away(admin: psycopg.Connection[tuple[object, ...]], name: str) -> Iterator[None]:
    """Database `name` throws everybody out and takes no connections, until the block ends."""
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    admin.execute(allow.format(sql.Identifier(name), sql.Literal(False)))
    try:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        yield
    finally:
        admin.execute(allow.format(sql.Identifier(name), sql.Literal(True)))


def _start_guardian(folder: Path, owner: int) -> dict[str, object]:
    log = folder / "guardian.log"
    with log.open("wb") as errors:
        guardian = subprocess.Popen(
            [sys.executable, __file__, str(folder), str(owner)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # Ctrl-C is for pytest, which then tells the guardian
        )
    assert guardian.stdout is not None
    with guardian.stdout as answers:
        answer = answers.readline()
    if not answer:
        guardian.wait()
        raise RuntimeError(f"the throw-away PostgreSQL did not start:\n{log.read_text()}")
    _guardians.append(guardian)
    found: dict[str, object] = json.loads(answer)
    return found


_guardians: list[subprocess.Popen[bytes]] = []
"""Kept, because a Popen object that is dropped while its process runs warns, and warnings are errors."""


def _as_server_user() -> list[str]:
    """How to start a program that ends with us, and not as root, which PostgreSQL refuses."""
    command = ["setpriv", "--pdeathsig=QUIT"]
    if os.geteuid() == 0:
        command += ["--reuid=postgres", "--regid=postgres", "--init-groups"]
    return [*command, "--"]


def _initialise(home: Path, password: str) -> None:
    home.mkdir(mode=0o700)
    password_file = home / "password"
    password_file.write_text(password)
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        for path in (home, password_file):
            os.chown(path, user.pw_uid, user.pw_gid)
    arguments = ["--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C.UTF-8", "--username=postgres"]
    # Plain password: the connection never leaves the machine, and SCRAM would cost each test milliseconds.
    arguments += ["--auth-local=trust", "--auth-host=password", f"--pwfile={password_file}", "-D", str(home / "data")]
    subprocess.run(
        [*_as_server_user(), str(BINARIES / "initdb"), *arguments], cwd="/", check=True, stdout=subprocess.DEVNULL
    )
    (home / "data" / "postgresql.auto.conf").write_text("".join(f"{k} = '{v}'\n" for k, v in SETTINGS.items()))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _start_server(home: Path, password: str, log: IO[bytes]) -> tuple[subprocess.Popen[bytes], int]:
    """A server that answers, and its port. A port can be taken between choosing and binding, so try thrice."""
    deadline = time.monotonic() + START_SECONDS
    for _attempt in range(3):
        port = _free_port()
        where = ["-D", str(home / "data"), "-k", str(home), "-h", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(
            [*_as_server_user(), str(BINARIES / "postgres"), *where],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        while server.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(Cluster(port, password, 0).url("postgres")).close()
                return server, port
            time.sleep(0.02)
        _stop_server(server)
    raise RuntimeError("the server did not answer")


def _stop_server(server: subprocess.Popen[bytes]) -> None:
    # An immediate shutdown: what it holds is thrown away.
    server.send_signal(signal.SIGQUIT)
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def guard(folder: Path, owner: int) -> None:
    """Keep a server in `folder` until process `owner` ends or SIGTERM comes; when it answers, print a `Cluster`."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    home = folder / "postgresql"
    password = secrets.token_hex(16)
    owner_handle = os.pidfd_open(owner)
    try:
        _initialise(home, password)
        server, port = _start_server(home, password, sys.stderr.buffer)
        try:
            sys.stdout.write(json.dumps({"port": port, "password": password, "guardian": os.getpid()}) + "\n")
            sys.stdout.flush()
            select.select([owner_handle, os.pidfd_open(server.pid)], [], [])
        finally:
            _stop_server(server)
    finally:
        ended = bool(select.select([owner_handle], [], [], 0)[0])
        shutil.rmtree(folder if ended else home, ignore_errors=True)


if __name__ == "__main__":
    guard(Path(sys.argv[1]), int(sys.argv[2]))
