"""The database fixtures themselves: fresh, migrated, apart from each other, and gone afterwards."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from aaa.store.database import Database, open_database
from aaa.store.tables import metadata
from tests import postgresql


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_a_migrated_database_of_its_own(database: Database, turn: int) -> None:
    tables = set(inspect(database.engine).get_table_names())
    assert set(metadata.tables) <= tables
    with database.write() as connection:
        connection.execute(text("CREATE TABLE left_behind (turn integer)"))  # the second turn must not find it


def test_an_empty_database_is_empty(empty_database_url: str) -> None:
    database = open_database(empty_database_url)
    assert inspect(database.engine).get_table_names() == []
    database.close()


def test_postgresql_away_refuses_until_the_block_ends(
    postgresql_url: str, postgresql_away: Callable[[str], AbstractContextManager[None]]
) -> None:
    database = open_database(postgresql_url)
    with database.read() as connection:
        connection.execute(text("SELECT 1"))
    with postgresql_away(postgresql_url), pytest.raises(OperationalError), database.read():
        pass
    with database.read() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    database.close()


def test_a_test_database_is_dropped_though_somebody_is_connected(
    postgresql_cluster: postgresql.Cluster, postgresql_admin: psycopg.Connection[tuple[object, ...]]
) -> None:
    name = f"dropped_{os.getpid()}"
    postgresql.create(postgresql_admin, name)
    with postgresql.connect(postgresql_cluster, name) as lingering:
        postgresql.drop(postgresql_admin, name)
        with pytest.raises(psycopg.OperationalError):
            lingering.execute("SELECT 1")


def test_the_server_goes_when_the_run_is_killed() -> None:
    folder = Path(tempfile.mkdtemp(prefix="ledgate-tests-"))
    folder.chmod(0o711)  # user postgres passes through
    owner = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    cluster = postgresql.shared_cluster(folder, owner.pid)
    with postgresql.connect(cluster) as admin:
        found = admin.execute("SELECT current_setting('server_version_num')").fetchone()
    assert found is not None and str(found[0]).startswith("15")

    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert owner.stdin is not None
    owner.stdin.close()

    _until(lambda: not folder.exists())
    with pytest.raises(psycopg.OperationalError):
        postgresql.connect(cluster)


def test_urls_name_the_database(postgresql_url: str, sqlite_url: str) -> None:
    assert make_url(postgresql_url).host == "127.0.0.1"
    assert sqlite_url.startswith("sqlite:////")


def _until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
