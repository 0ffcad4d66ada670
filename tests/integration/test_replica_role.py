"""The replica role in a process of its own: what is committed is served, across reloads, restarts and kills."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select, update

from aaa.store import replica as replica_module
from aaa.store import replica_role
from aaa.store.database import Database, open_database
from aaa.store.replica import Replica, read_current
from aaa.store.scratch import Scratch
from aaa.store.tables import access, nas, profile, replica_position
from tests.integration.following import DEADLINE, reading, renewed, until
from tests.integration.population import (
    add_nas,
    add_profile,
    add_service,
    add_session,
    add_visp,
    close_session,
    renew_epoch,
    set_access,
)


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    opened = open_database(sqlite_url)
    yield opened
    opened.close()


@pytest.fixture
def database_away(request: pytest.FixtureRequest, database_url: str) -> Callable[[str], AbstractContextManager[None]]:
    """`with database_away(url):` nobody can open the database until the block ends."""
    if database_url.startswith("postgresql"):
        away: Callable[[str], AbstractContextManager[None]] = request.getfixturevalue("postgresql_away")
        return away

    @contextmanager
    def hidden(url: str) -> Iterator[None]:
        file = Path(url.removeprefix("sqlite:///"))
        kept = file.rename(file.with_suffix(".kept"))
        file.mkdir()
        yield
        file.rmdir()
        kept.rename(file)

    return hidden


_ROLE = """
import logging, signal, sys, threading
from aaa.store import replica_role
logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(message)s", level=logging.INFO)
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
replica_role.run(database_url=sys.argv[1], state_dir=sys.argv[2], machine="here", stop=stop,
                 ready=lambda: print("ready", flush=True))
"""


class Role:
    """A replica role in a process of its own."""

    def __init__(self, database_url: str, state_dir: Path) -> None:
        self.log = state_dir / "replica.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _ROLE, database_url, str(state_dir)], stdout=subprocess.PIPE, stderr=log
            )

    def wait_ready(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n", self.log.read_text()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(DEADLINE)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(DEADLINE)


@pytest.fixture
def start_role(database_url: str, tmp_path: Path) -> Iterator[Callable[[], Role]]:
    started: list[Role] = []

    def start() -> Role:
        role = Role(database_url, tmp_path)
        started.append(role)
        return role

    yield start
    for role in started:
        role.process.kill()
        role.process.wait(DEADLINE)
        assert role.process.stdout is not None
        role.process.stdout.close()


def test_a_change_is_served_within_a_second(database: Database, start_role: Callable[[], Role], tmp_path: Path) -> None:
    with database.write() as conn:
        visp_id, router = add_visp(conn), add_nas(conn)
        ali = add_service(conn, visp_id, "ali", b"0")
    role = start_role()
    role.wait_ready()
    replica = Replica.open(tmp_path)

    def served(name: bytes, record: bytes) -> bool:
        replica.renew()
        return replica.find(name) == record

    assert served(b"ali", b"0")
    routers, visps = replica.nas_version, replica.visp_version
    for number in range(1, 6):
        record = b"%d" % number
        with database.write() as conn:
            set_access(conn, ali, record=record)
        until(partial(served, b"ali", record), 1.0)
    with database.write() as conn:
        add_service(conn, visp_id, "sara", b"new")
        add_session(conn, router, ali, 1)
    until(lambda: served(b"sara", b"new"), 1.0)
    assert len(replica.live(ali)) == 1
    assert (replica.nas_version, replica.visp_version) == (routers, visps), "only what changed is said to have changed"
    with database.write() as conn:
        add_profile(conn, 7, b"encoded")
    until(lambda: renewed(replica).profile(7) == b"encoded", 1.0)
    with database.write() as conn:
        conn.execute(update(profile).values(encoded=b"encoded anew"))
    until(lambda: renewed(replica).profile(7) == b"encoded anew", 1.0)
    with database.write() as conn:
        conn.execute(update(nas).values(secret=b"renewed"))
    until(lambda: renewed(replica).nas_version > routers, 1.0)
    assert [row.secret for row in replica.nas_list()] == [b"renewed"]
    assert replica.visp_version == visps

    def reported() -> bool:
        with database.read() as conn:
            position = conn.execute(select(replica_position.c.position)).scalar()
            return bool(position == renewed(replica).position()[1])

    until(reported, 1.0)
    replica.close()
    assert role.stop() == 0


def test_a_new_epoch_is_loaded_while_readers_read(
    database: Database, start_role: Callable[[], Role], tmp_path: Path
) -> None:
    with database.write() as conn:
        visp_id = add_visp(conn)
        add_nas(conn)
        ali = add_service(conn, visp_id, "ali", b"before")
        add_service(conn, visp_id, "sara", b"stays")
        add_profile(conn, 7, b"before")
    role = start_role()
    role.wait_ready()
    replica = Replica.open(tmp_path)
    assert replica.profile(7) == b"before"
    routers = replica.nas_version
    with database.write() as conn:
        # What a restore does: rows that differ without a mark of their own, and another epoch.
        renew_epoch(conn, "restored")
        unmarked = {"feed": access.c.feed, "record": b"after"}
        conn.execute(update(access).where(access.c.service_id == ali).values(unmarked))
        conn.execute(update(profile).values(encoded=b"after", feed=profile.c.feed))

    def swapped() -> bool:
        replica.renew()
        assert replica.find(b"sara") == b"stays", "at no moment is there nothing"
        return replica.find(b"ali") == b"after"

    until(swapped)
    assert replica.profile(7) == b"after"
    assert replica.nas_version > routers
    assert len(list(tmp_path.glob("replica/generation-*"))) == 1
    with database.write() as conn:
        set_access(conn, ali, record=b"and on")
    until(lambda: renewed(replica).find(b"ali") == b"and on", 1.0)
    replica.close()


def test_restart_continues_and_needs_no_database(
    database: Database,
    database_url: str,
    start_role: Callable[[], Role],
    database_away: Callable[[str], AbstractContextManager[None]],
    tmp_path: Path,
) -> None:
    with database.write() as conn:
        ali = add_service(conn, add_visp(conn), "ali", b"0")
    role = start_role()
    role.wait_ready()
    role.kill()
    with database.write() as conn:
        set_access(conn, ali, record=b"1")
    database.close()
    with database_away(database_url):
        role = start_role()
        role.wait_ready()
        replica = Replica.open(tmp_path)
        assert replica.find(b"ali") == b"0"
        until(lambda: "database=away" in role.log.read_text())
    until(lambda: renewed(replica).find(b"ali") == b"1")
    replica.close()
    assert role.stop() == 0
    log = role.log.read_text()
    assert log.count("replica loading") == 1, "it went on from its position"
    assert log.count("database=away") == 1, "once per change of state"


def test_a_replica_that_cannot_be_written_is_loaded_anew(
    sqlite_database: Database,
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(replica_module, "MAP_SIZE", 256 * 1024)
    with sqlite_database.write() as conn:
        ali = add_service(conn, add_visp(conn), "ali", b"0")
    stop, ready = threading.Event(), threading.Event()
    role = threading.Thread(
        target=replica_role.run,
        kwargs={
            "database_url": sqlite_url,
            "state_dir": tmp_path,
            "machine": "here",
            "stop": stop,
            "ready": ready.set,
        },
    )
    role.start()
    try:
        assert ready.wait(DEADLINE)
        with sqlite_database.write() as conn:
            set_access(conn, ali, record=bytes(512 * 1024))
        until(lambda: "file=broken serving=True" in caplog.text)
        monkeypatch.undo()
        until(lambda: read_current(tmp_path / "replica") == "generation-2")
    finally:
        stop.set()
        role.join(DEADLINE)
    with reading(tmp_path) as replica:
        assert replica.find(b"ali") == bytes(512 * 1024)


_READS_UNTIL_KILLED = """
import sys
from aaa.store.replica import Replica

replica = Replica.open(sys.argv[1])
print("open", flush=True)
input()
"""


def test_a_killed_reader_leaves_no_slot_behind(
    database: Database, start_role: Callable[[], Role], tmp_path: Path
) -> None:
    """Else the file would grow for ever behind it."""
    with database.write() as conn:
        add_service(conn, add_visp(conn), "ali", b"0")
    role = start_role()
    role.wait_ready()
    with subprocess.Popen(
        [sys.executable, "-c", _READS_UNTIL_KILLED, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.kill()
    replica = Replica.open(tmp_path)
    until(lambda: str(process.pid) not in replica._env.readers())
    replica.close()


def test_a_start_gives_its_reservation_back(database: Database, start_role: Callable[[], Role], tmp_path: Path) -> None:
    with database.write() as conn:
        visp_id, router = add_visp(conn), add_nas(conn)
        ali = add_service(conn, visp_id, "ali", b"0")
    role = start_role()
    role.wait_ready()
    scratch = Scratch(tmp_path)
    assert scratch.reserve(ali, 1, b"AA", [], 0)
    assert not scratch.reserve(ali, 1, b"BB", [], 0)
    replica = Replica.open(tmp_path)
    with database.write() as conn:
        started = add_session(conn, router, ali, 1, "AA")
    until(lambda: renewed(replica).live(ali))
    with database.write() as conn:
        close_session(conn, started)
    until(lambda: not renewed(replica).live(ali))
    assert scratch.reserve(ali, 1, b"BB", [], 0), "the session came and went: the place is free before the ten seconds"
    scratch.close()
    replica.close()
