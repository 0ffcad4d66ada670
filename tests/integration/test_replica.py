"""The replica: what is read is what the database holds, across reloads, restarts and kills."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from aaa.store import feed
from aaa.store.database import Database, open_database
from aaa.store.replica import AMBIGUOUS, LiveSession, NasRow, Replica, ReplicaMissing, VispRow
from aaa.store.replica_writer import ReplicaBusy, ReplicaWriter
from aaa.store.tables import nas, profile, session, visp
from tests.integration.following import follow, reading
from tests.integration.population import (
    add_nas,
    add_profile,
    add_service,
    add_session,
    add_visp,
    close_session,
    set_access,
)


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    opened = open_database(sqlite_url)
    yield opened
    opened.close()


# --- what is read ---


def test_a_name_finds_its_record(database: Database, tmp_path: Path) -> None:
    with database.write() as conn:
        tehran, shiraz = add_visp(conn, "tehran"), add_visp(conn, "shiraz")
        ali = add_service(conn, tehran, "ali", b"ali in tehran")
        add_service(conn, tehran, "sara", b"sara in tehran")
        add_service(conn, shiraz, "sara", b"sara in shiraz")
        add_service(conn, shiraz, "کاربر", b"not only ASCII")
    follow(database, tmp_path)
    with reading(tmp_path) as replica:
        assert replica.find(b"ali") == b"ali in tehran"
        assert replica.find(b"ali", tehran) == b"ali in tehran"
        assert replica.find(b"ali", shiraz) is None
        assert replica.find(b"sara") is AMBIGUOUS
        assert replica.find(b"sara", tehran) == b"sara in tehran"
        assert replica.find(b"sara", shiraz) == b"sara in shiraz"
        assert replica.find("کاربر".encode()) == b"not only ASCII"
        assert replica.record(ali) == b"ali in tehran"
        assert replica.record(ali + 1000) is None


@pytest.mark.parametrize("name", [b"", b"nobody", b"ali\0", b"\xff\xfe", b"x" * 253, b"x" * 4000])
def test_a_name_that_nobody_has_finds_nothing(sqlite_database: Database, tmp_path: Path, name: bytes) -> None:
    with sqlite_database.write() as conn:
        add_service(conn, add_visp(conn), "ali", b"record")
    follow(sqlite_database, tmp_path)
    with reading(tmp_path) as replica:
        assert replica.find(name) is None
        assert replica.find(name, 1) is None


def test_renamed_moved_and_removed_services(database: Database, tmp_path: Path) -> None:
    with database.write() as conn:
        tehran, shiraz = add_visp(conn, "tehran"), add_visp(conn, "shiraz")
        ali, sara, reza = (add_service(conn, tehran, name, name.encode()) for name in ("ali", "sara", "reza"))
        other_reza = add_service(conn, shiraz, "reza", b"other reza")
    follow(database, tmp_path)
    with database.write() as conn:
        set_access(conn, ali, username="ali2")
        set_access(conn, sara, visp_id=shiraz, record=b"sara moved")
        set_access(conn, reza, record=None)
    follow(database, tmp_path)
    with reading(tmp_path) as replica:
        assert replica.find(b"ali") is None
        assert replica.find(b"ali2") == b"ali"
        assert replica.find(b"sara", tehran) is None
        assert replica.find(b"sara", shiraz) == b"sara moved"
        assert replica.find(b"reza") == b"other reza", "what remains of a name is no longer ambiguous"
        assert replica.record(reza) is None
    with database.write() as conn:
        set_access(conn, other_reza, record=None)
        set_access(conn, ali, username="reza")
    follow(database, tmp_path)
    with reading(tmp_path) as replica:
        assert replica.find(b"reza") == b"ali"
        assert replica.find(b"ali2") is None


def test_the_first_load_joins_equal_names(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the rows fall into chunks."""
    with database.write() as conn:
        visps = [add_visp(conn, f"visp{number}") for number in range(5)]
        for visp_id in visps:
            for number in range(5):
                add_service(conn, visp_id, f"user{number}", f"{visp_id}/{number}".encode())
    for chunk in (1, 7, 1000):
        monkeypatch.setattr(feed, "_CHUNK", chunk)
        state_dir = tmp_path / str(chunk)
        follow(database, state_dir)
        with reading(state_dir) as replica:
            for visp_id in visps:
                for number in range(5):
                    assert replica.find(f"user{number}".encode(), visp_id) == f"{visp_id}/{number}".encode()
                    assert replica.find(f"user{number}".encode()) is AMBIGUOUS


def test_profiles(database: Database, tmp_path: Path) -> None:
    with database.write() as conn:
        add_profile(conn, -(2**63), b"lowest")
        add_profile(conn, 2**63 - 1, b"highest")
    follow(database, tmp_path)
    with reading(tmp_path) as replica:
        assert replica.profile(-(2**63)) == b"lowest"
        assert replica.profile(2**63 - 1) == b"highest"
        assert replica.profile(0) is None
    with database.write() as conn:
        conn.execute(update(profile).where(profile.c.id < 0).values(encoded=b"encoded anew"))
    follow(database, tmp_path)
    with reading(tmp_path) as replica:
        assert replica.profile(-(2**63)) == b"encoded anew"


def test_routers_and_visps(database: Database, tmp_path: Path) -> None:
    with database.write() as conn:
        visp_id = add_visp(conn, "tehran", realm="tehran.example")
        first = add_nas(conn, "mt1", identifier="edge", previous_secret=b"\xffold")
        second = add_nas(conn, "mt2", address="10.1.0.0/16", octets="client")
    follow(database, tmp_path)
    rest = (None, 3799, "auto", "auto")
    expected = [
        NasRow(first, "mt1", "10.0.0.1", "edge", b"\0sealed", b"\xffold", *rest, "rfc", "from_start"),
        NasRow(second, "mt2", "10.1.0.0/16", None, b"\0sealed", None, *rest, "client", "from_start"),
    ]
    with reading(tmp_path) as replica:
        assert replica.nas_list() == expected
        assert replica.visps() == [VispRow(visp_id, "tehran", "IRR", "Asia/Tehran", "tehran.example")]
    with database.write() as conn:
        conn.execute(update(nas).where(nas.c.id == first).values(removed=True))
        conn.execute(update(visp).values(realm=None))
    follow(database, tmp_path)
    with reading(tmp_path) as replica:
        assert replica.nas_list() == expected[1:]
        assert [row.realm for row in replica.visps()] == [None]


def test_live_sessions(database: Database, tmp_path: Path) -> None:
    with database.write() as conn:
        visp_id, router = add_visp(conn), add_nas(conn)
        ali, sara = (add_service(conn, visp_id, name, b"record") for name in ("ali", "sara"))
        first, second = (add_session(conn, router, ali, number, f"AA:0{number}") for number in (1, 2))
        add_session(conn, router, sara, 3)
        add_session(conn, router, None, 4)  # a session of nobody we know
    follow(database, tmp_path)
    with reading(tmp_path) as replica:
        assert replica.live(ali) == [
            LiveSession(first, "AA:01", "10.0.0.1", "mt", "80000001"),
            LiveSession(second, "AA:02", "10.0.0.1", "mt", "80000002"),
        ]
        assert len(replica.live(sara)) == 1
        assert replica.live(sara + 1) == []
    with database.write() as conn:
        close_session(conn, first)
    follow(database, tmp_path)
    with reading(tmp_path) as replica:
        assert [one.session_id for one in replica.live(ali)] == [second]
    with database.write() as conn:
        conn.execute(update(session).where(session.c.id == first).values(closed_at=None, closed_by=None))
    follow(database, tmp_path)
    with reading(tmp_path) as replica:
        assert [one.session_id for one in replica.live(ali)] == [first, second]


# --- the writer ---


def test_there_is_nothing_to_read_before_the_first_load(tmp_path: Path) -> None:
    with pytest.raises(ReplicaMissing, match="yet"):
        Replica.open(tmp_path)


def test_two_writers_are_refused(tmp_path: Path) -> None:
    first = ReplicaWriter(tmp_path)
    with pytest.raises(ReplicaBusy, match="another process"):
        ReplicaWriter(tmp_path)
    first.close()
    ReplicaWriter(tmp_path).close()


def test_a_damaged_generation_is_replaced(sqlite_database: Database, tmp_path: Path) -> None:
    with sqlite_database.write() as conn:
        add_service(conn, add_visp(conn), "ali", b"record")
    follow(sqlite_database, tmp_path)
    (data,) = tmp_path.glob("replica/generation-*/data.mdb")
    data.write_bytes(b"\xa5" * data.stat().st_size)
    with pytest.raises(ReplicaMissing, match="cannot be read"):
        Replica.open(tmp_path)
    follow(sqlite_database, tmp_path)
    with reading(tmp_path) as replica:
        assert replica.find(b"ali") == b"record"


def test_a_load_that_fails_leaves_the_old_generation(sqlite_database: Database, tmp_path: Path) -> None:
    with sqlite_database.write() as conn:
        add_service(conn, add_visp(conn), "ali", b"record")
    follow(sqlite_database, tmp_path)

    def broken() -> feed.Rows:
        yield "access", []
        raise ConnectionError

    writer = ReplicaWriter(tmp_path)
    with pytest.raises(ConnectionError):
        writer.take(feed.Reading("other", "5", "", True, (3,), True), broken())
    writer.close()
    assert len(list(tmp_path.glob("replica/generation-*"))) == 1
    with reading(tmp_path) as replica:
        assert replica.find(b"ali") == b"record"


_KILLED_WHILE_IT_WRITES = """
import sys, time
from aaa.store.feed import Reading
from aaa.store.replica_writer import ReplicaWriter

def endless():
    for number in range(1, 1 << 30):
        yield "access", [(number, 1, f"user{number}", b"half written" * 50) for number in range(number, number + 50)]
        if number == 40:
            print("writing", flush=True)

writer = ReplicaWriter(sys.argv[1])
complete = sys.argv[2] == "load"
writer.take(Reading(writer.epoch, "999", writer.position, complete, (3,), True), endless())
"""


@pytest.mark.parametrize("what", ["apply", "load"])
def test_killed_in_the_middle_the_writer_leaves_what_was_there(
    sqlite_database: Database, tmp_path: Path, what: str
) -> None:
    with sqlite_database.write() as conn:
        ali = add_service(conn, add_visp(conn), "ali", b"record")
    follow(sqlite_database, tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", _KILLED_WHILE_IT_WRITES, str(tmp_path), what], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        process.kill()
    with reading(tmp_path) as replica:
        assert replica.find(b"ali") == b"record"
        assert replica.find(b"user2") is None
    with sqlite_database.write() as conn:
        set_access(conn, ali, record=b"newer")
    follow(sqlite_database, tmp_path)
    assert len(list(tmp_path.glob("replica/generation-*"))) == 1, "the half-made generation is gone"
    with reading(tmp_path) as replica:
        assert replica.find(b"ali") == b"newer"
        assert replica.find(b"user2") is None
