"""kill -9 of every role under load: the rest serve on, it comes back, and every answered record counts once (R8.2)."""

import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.integration.serving import Installation, installation, running, until
from tests.load import chaos, truth
from tests.load.storm import Storm, subscribers

SEED = 5080
SUBSCRIBERS = 120
LONGEST_LOGIN_GAP = 2.0
"""Seconds. Nobody waits for a process that starts, but on two shared cores its start takes time from everybody."""


def loaded(url: str, folder: Path, processes: dict[str, int]) -> tuple[Installation, list[str]]:
    """An installation with subscribers for a storm."""
    counts = {f"{role}_processes": count for role, count in processes.items() if role in ("auth", "acct")}
    made = installation(url, folder, **counts)
    document, names = subscribers(SUBSCRIBERS)
    made.load(document)
    return made, names


def assert_sound(made: Installation, storm: Storm) -> None:
    """Logins were answered throughout, and what was answered is in the database, once."""
    print(storm.told())
    assert storm.refused == 0
    assert storm.longest_login_gap < LONGEST_LOGIN_GAP
    assert storm.sessions and all(one.stopped for one in storm.sessions)
    assert truth.faults(made.database_url, storm.sessions) == []
    assert "Traceback" not in made.log
    assert " ERROR " not in made.log


@pytest.mark.parametrize(
    ("database", "processes"),
    [
        ("sqlite", {"replica": 1, "auth": 4, "acct": 1, "engine": 1}),
        ("postgresql", {"replica": 1, "auth": 4, "acct": 2, "engine": 1}),
    ],
)
def test_every_role_is_killed_under_load(
    request: pytest.FixtureRequest, tmp_path: Path, database: str, processes: dict[str, int]
) -> None:
    made, names = loaded(request.getfixturevalue(f"{database}_url"), tmp_path / "ledgate", processes)
    with running(made, *processes), Storm(made, names, SEED) as storm:
        for role, index in chaos.plan(dict.fromkeys(processes, 1), 1, SEED):
            chaos.kill(made, role, index)
        storm.calm(30)
    assert_sound(made, storm)


def test_the_database_goes_away_and_comes_back(
    postgresql_url: str, postgresql_away: Callable[[str], AbstractContextManager[None]], tmp_path: Path
) -> None:
    processes = {"replica": 1, "auth": 2, "acct": 2, "engine": 1}
    made, names = loaded(postgresql_url, tmp_path / "ledgate", processes)
    with running(made, *processes), Storm(made, names, SEED) as storm:
        until(lambda: storm.records > 100, "records are taken")
        with postgresql_away(postgresql_url):
            until(lambda: "accounting is silent" in made.log, "accounting falls silent")
            logins = storm.logins
            # An auth process that starts now has nothing but the replica.
            for index in range(2):
                chaos.kill(made, "auth", index)
            until(lambda: storm.logins > logins + 20, "logins go on")
            # Nor does one of accounting answer before it can store.
            records = storm.records
            os.kill(made.pid("acct"), signal.SIGKILL)
            until(lambda: storm.logins > logins + 40, "logins go on")
            assert storm.records == records
        until(lambda: storm.records > records + 100, "records are taken again")
        storm.calm(30)
    assert storm.slowest_record > 1.0
    assert_sound(made, storm)
