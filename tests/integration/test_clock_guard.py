"""The engine's clock and its heartbeat, on both databases (R8.4)."""

import logging

import pytest

from aaa.clock import SECOND
from aaa.coa.clock_guard import BEAT_EVERY, ClockGuard
from aaa.domain.clock_watch import Sample
from aaa.store import holds
from aaa.store.database import Database
from aaa.store.holds import Beat, Hold

HOUR = 3_600 * SECOND
NOW = 1_795_000_000 * SECOND


class Machine:
    """A machine's clocks, and the guard of the engine that runs there."""

    def __init__(self, db: Database, name: str, wall: int = NOW) -> None:
        self.db = db
        self.name = name
        self.at = Sample(wall, 0)
        self.restart()

    def restart(self) -> None:
        self.guard = ClockGuard(self.db, self.name, lambda: self.at)

    def passes(self, span: int, jump: int = 0) -> int:
        """Time elapses, and somebody sets the wall clock; what the guard says it is then."""
        self.at = Sample(self.at.wall + span + jump, self.at.elapsed + span)
        return self.guard.now()


def held(db: Database) -> Hold | None:
    with db.read() as conn:
        return holds.read_hold(conn)


def written(db: Database) -> Beat | None:
    """The heartbeat in the database, left as it is."""
    with db.engine.connect() as conn:
        return holds.beat(conn, "test", 0)


def test_r8_4_time_goes_on_with_a_heartbeat_every_few_seconds(database: Database) -> None:
    here = Machine(database, "here")
    assert here.guard.now() == NOW
    assert written(database) == Beat("here", NOW)
    assert here.passes(BEAT_EVERY - 1) == NOW + BEAT_EVERY - 1
    assert written(database) == Beat("here", NOW)
    here.passes(1)
    assert written(database) == Beat("here", NOW + BEAT_EVERY)
    here.at = Sample(here.at.wall + 2 * BEAT_EVERY, here.at.elapsed + 2 * BEAT_EVERY)
    assert here.guard.now(beats=False) == here.at.wall
    assert written(database) == Beat("here", NOW + BEAT_EVERY)
    here.passes(30 * 24 * HOUR)  # the machine slept: both clocks went on
    assert held(database) is None


@pytest.mark.parametrize("jump, way", [(2 * HOUR, "forward"), (-2 * HOUR, "back")])
def test_r8_4_a_jump_holds_cuts_since_the_last_good_moment(
    database: Database, caplog: pytest.LogCaptureFixture, jump: int, way: str
) -> None:
    here = Machine(database, "here")
    here.guard.now()
    here.passes(SECOND)
    with caplog.at_level(logging.ERROR):
        now = here.passes(SECOND, jump)
    why = f"the clock jumped {way} by 7200 seconds"
    assert held(database) == Hold(NOW + SECOND, why, "here", now)
    [line] = caplog.messages
    assert "clock machine=here" in line and why in line and "ledgate hold" in line
    here.passes(SECOND)
    here.passes(HOUR)
    assert len(caplog.messages) == 1


def test_r8_4_the_first_of_two_holds_stays(database: Database) -> None:
    here = Machine(database, "here")
    here.guard.now()
    here.passes(SECOND, 2 * HOUR)
    first = held(database)
    here.passes(SECOND, 3 * HOUR)
    assert held(database) == first


def test_r8_4_downtime_is_no_jump_but_a_start_in_the_past_is_one(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    here = Machine(database, "here")
    here.guard.now()
    here.at = Sample(NOW + 90 * 24 * HOUR, 5)
    here.restart()
    here.guard.now()
    assert held(database) is None
    here.at = Sample(NOW, 5)
    here.restart()
    here.guard.now()
    found = held(database)
    assert (
        found is not None and found.since == NOW + 90 * 24 * HOUR and found.why.endswith("behind what here wrote last")
    )
    here.restart()
    caplog.clear()
    here.guard.now()
    assert "cuts are held since" in caplog.text  # the operator is told at every start


def test_r8_4_two_machines_whose_clocks_differ_hold_cuts(database: Database) -> None:
    here, there = Machine(database, "here"), Machine(database, "there", NOW + 2 * HOUR)
    here.guard.now()
    here.passes(SECOND)
    there.guard.now()
    here.passes(BEAT_EVERY)
    found = held(database)
    assert found is not None and (found.since, found.machine) == (NOW + SECOND, "here")


def test_r8_4_an_ended_hold_makes_room_for_the_next(database: Database) -> None:
    here = Machine(database, "here")
    here.guard.now()
    here.passes(SECOND, 2 * HOUR)
    with database.write() as conn:
        holds.lift(conn)
    assert held(database) is None
    here.passes(BEAT_EVERY)
    assert held(database) is None  # it is in order now
    good = here.at.wall
    here.passes(SECOND, -2 * HOUR)
    found = held(database)
    assert found is not None and found.since == good
