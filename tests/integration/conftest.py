"""Fixtures for tests with a database: fresh and migrated, SQLite and PostgreSQL alike."""

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from aaa.store.database import Database, open_database
from ledgate.migrate import upgrade
from tests import postgresql
from tests.conftest import Run
from tests.integration.system import System, system

TEMPLATE = "ledgate_template"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgresql_cluster(run: Run) -> postgresql.Cluster:
    """The run's PostgreSQL 15; it holds a migrated template database."""
    cluster = postgresql.shared_cluster(run.folder, run.owner)
    with postgresql.locked(run.folder / "template.lock"):
        done = run.folder / "template.done"
        if not done.exists():
            with postgresql.connect(cluster) as admin:
                postgresql.drop(admin, TEMPLATE)
                postgresql.create(admin, TEMPLATE)
            upgrade(cluster.url(TEMPLATE))
            done.touch()
    return cluster


@pytest.fixture(scope="session")
def postgresql_admin(postgresql_cluster: postgresql.Cluster) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """An administrator's connection to the run's PostgreSQL."""
    with postgresql.connect(postgresql_cluster) as admin:
        yield admin


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file that tests copy."""
    template = tmp_path_factory.mktemp("template") / "ledgate.sqlite"
    upgrade(f"sqlite:///{template}")
    return template


@pytest.fixture
def postgresql_url(
    postgresql_cluster: postgresql.Cluster, postgresql_admin: psycopg.Connection[tuple[object, ...]]
) -> Iterator[str]:
    """A fresh, migrated PostgreSQL database of the test's own: `postgresql://user:password@127.0.0.1:port/name`."""
    yield from _postgresql_database(postgresql_cluster, postgresql_admin, TEMPLATE)


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A fresh, migrated SQLite database of the test's own: `sqlite:////absolute/path`."""
    copy = tmp_path / "ledgate.sqlite"
    shutil.copyfile(sqlite_template, copy)
    return f"sqlite:///{copy}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh, migrated database of each kind in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of each kind in turn with nothing in it, for the tests of migrations."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.sqlite'}"
    else:
        cluster = request.getfixturevalue("postgresql_cluster")
        yield from _postgresql_database(cluster, request.getfixturevalue("postgresql_admin"), "template0")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """`database_url`, opened."""
    opened = open_database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def postgresql_away(
    postgresql_admin: psycopg.Connection[tuple[object, ...]],
) -> Callable[[str], AbstractContextManager[None]]:
    """`with postgresql_away(url):` the database throws everybody out and refuses connections, until the block ends."""

    def away(url: str) -> AbstractContextManager[None]:
        name = make_url(url).database
        assert name is not None
        return postgresql.away(postgresql_admin, name)

    return away


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def world(
    request: pytest.FixtureRequest, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """The whole server running on a database of each kind in turn. Tests share it: each has names of its own."""
    folder = tmp_path_factory.mktemp("world")
    if request.param == "sqlite":
        shutil.copyfile(sqlite_template, folder / "ledgate.sqlite")
        with system(f"sqlite:///{folder / 'ledgate.sqlite'}", folder) as running:
            yield running
    else:
        cluster = request.getfixturevalue("postgresql_cluster")
        for url in _postgresql_database(cluster, request.getfixturevalue("postgresql_admin"), TEMPLATE):
            with system(url, folder, acct_processes=2) as running:
                yield running


@pytest.fixture
def name() -> str:
    """A user name that no other test has."""
    return f"user{next(_numbers)}"


def _postgresql_database(
    cluster: postgresql.Cluster, admin: psycopg.Connection[tuple[object, ...]], template: str
) -> Iterator[str]:
    name = f"test_{os.getpid()}_{next(_numbers)}"
    postgresql.create(admin, name, template)
    yield cluster.url(name)
    postgresql.drop(admin, name)
