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


@dataclass(frozen=True, slots=True)
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

    def stop(self) -> None:
        """Stop the database (fast shutdown) and wait until it is gone."""
        processes.stop(self.process)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Start a cluster in /var/tmp (a disk, where /tmp may be memory); it is gone when the block ends."""
    directory = Path(tempfile.mkdtemp(prefix="lgbench-pg-", dir="/var/tmp"))
    process: subprocess.Popen[bytes] | None = None
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
        options = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        command = [str(BINARIES / "postgres"), "-D", str(data), "-k", str(directory), *options]
        process = processes.start(command, log, user="postgres")
        started = Cluster(directory, process)
        _wait(started, process, log)
        yield started
    finally:
        if process is not None:
            processes.stop(process)
        shutil.rmtree(directory, ignore_errors=True)


def _wait(started: Cluster, process: subprocess.Popen[bytes], log: Path, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        try:
            psycopg.connect(started.conninfo("postgres")).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise RuntimeError(f"PostgreSQL did not start: {log.read_text(errors='replace')[-1000:]}")
