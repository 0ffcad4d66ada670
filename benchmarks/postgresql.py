"""A throw-away PostgreSQL 15 with durable settings, the same for every server that is measured with a database."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks import processes

BINARIES = Path("/usr/lib/postgresql/15/bin")

# fsync, synchronous_commit and full_page_writes stay at their defaults: on.
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
}


@dataclass(slots=True)
class Cluster:
    """A running cluster; `directory` holds its Unix socket, `process` is the postmaster."""

    directory: Path
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return self.process.pid

    def conninfo(self, database: str) -> str:
        """A libpq connection string, as psycopg and rlm_sql_postgresql take it."""
        return f"host={self.directory} port=5432 user=postgres dbname={database}"

    def url(self, database: str) -> str:
        """A SQLAlchemy URL."""
        return f"postgresql://postgres@/{database}?host={self.directory}&port=5432"

    def create(self, database: str) -> None:
        """Create an empty database."""
        with psycopg.connect(self.conninfo("postgres"), autocommit=True) as connection:
            connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(database)))

    def settle(self, database: str) -> None:
        """After a bulk load: statistics, visibility and a checkpoint, so that none of it falls into a measurement."""
        with psycopg.connect(self.conninfo(database), autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")

    def crash(self) -> None:
        """kill -9 the postmaster, and start the server again; returns when it answers."""
        self.process.kill()
        self.process.wait()
        # Until the orphaned backends have noticed, they hold the data directory.
        deadline = time.monotonic() + 60
        while True:
            self.process = _start(self.directory)
            try:
                _wait(self, self.process, self.directory / "log")
                return
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise

    def stop(self) -> None:
        """Stop the database (fast shutdown) and wait until it is gone."""
        processes.stop(self.process)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Start a cluster in /var/tmp (a disk, where /tmp may be memory); it is gone when the block ends."""
    directory = Path(tempfile.mkdtemp(prefix="lgbench-pg-", dir="/var/tmp"))
    started: Cluster | None = None
    try:
        if os.getuid() == 0:
            shutil.chown(directory, "postgres", "postgres")
        data, log = directory / "data", directory / "log"
        become = processes.as_user("postgres")
        initdb = [
            str(BINARIES / "initdb"),
            "-D",
            str(data),
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        ]
        subprocess.run(
            ["setpriv", *become, *initdb] if become else initdb, check=True, stdout=subprocess.DEVNULL, cwd="/"
        )
        started = Cluster(directory, _start(directory))
        _wait(started, started.process, log)
        yield started
    finally:
        if started is not None:
            started.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _start(directory: Path) -> subprocess.Popen[bytes]:
    options = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
    command = [str(BINARIES / "postgres"), "-D", str(directory / "data"), "-k", str(directory), *options]
    return processes.start(command, directory / "log", user="postgres")


def _wait(started: Cluster, process: subprocess.Popen[bytes], log: Path, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        try:
            psycopg.connect(started.conninfo("postgres")).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise RuntimeError(f"PostgreSQL did not start: {log.read_text(errors='replace')[-1000:]}")
