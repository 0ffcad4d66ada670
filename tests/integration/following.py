"""Bringing a replica up to date and reading it, and waiting for what others do."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aaa.store import feed
from aaa.store.database import Database
from aaa.store.replica import Replica
from aaa.store.replica_writer import ReplicaWriter

DEADLINE = 30.0


def until(found: Callable[[], Any], seconds: float = DEADLINE) -> Any:
    """What `found` returns once it is true."""
    end = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.005)
    return result


def renewed(replica: Replica) -> Replica:
    """The replica as it is now."""
    replica.renew()
    return replica


def follow(database: Database, state_dir: Path) -> None:
    """Bring the replica up to date, as a replica role that is started and stopped would. (LMDB lets no process open a
    file twice, so the tests that stay in one process take turns.)"""
    writer = ReplicaWriter(state_dir)
    try:
        with database.snapshot() as conn:
            reading = feed.look(conn, writer.epoch, writer.position)
            writer.take(reading, feed.rows(conn, reading))
    finally:
        writer.close()


@contextmanager
def reading(state_dir: Path) -> Iterator[Replica]:
    opened = Replica.open(state_dir)
    try:
        yield opened
    finally:
        opened.close()
