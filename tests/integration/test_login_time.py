"""Login-time end to end: loaded, told, and enforced on live sessions at a window's end, on both databases (R1.4)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from aaa import clock
from aaa.coa import boundaries
from aaa.domain.grace import grace
from aaa.domain.timeline import Cause, Verdict
from aaa.store.database import Database
from ledgate.lab.nas import Refused
from ledgate.load import BadLoad
from tests.integration.command import Ledgate
from tests.integration.ledger import timeline_of
from tests.integration.live_change import Live, scene, until
from tests.integration.system import System

TEHRAN = ZoneInfo("Asia/Tehran")
HOUR = 3600 * clock.SECOND


@pytest.fixture
def live(database: Database, database_url: str, tmp_path: Path) -> Iterator[Live]:
    with scene(database, database_url, tmp_path / "state") as live:
        yield live


def window(begins: int, ends: int) -> str:
    """A daily window of Tehran between two instants, to the minute."""
    start, end = (datetime.fromtimestamp(at // clock.SECOND, TEHRAN) for at in (begins, ends))
    return f"daily {start:%H:%M}-{end:%H:%M}"


def hours(*windows: str, scope: str = "server") -> dict[str, Any]:
    return {"scope": scope, "name": "login-time", "value": list(windows)}


def minute_of(instant: int) -> int:
    return instant - instant % (60 * clock.SECOND)


def test_r1_4_a_live_session_ends_with_its_window(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    now = clock.now()
    closes = minute_of(now) + 3 * HOUR
    live.load({"username": "ali"}, params=[hours(window(now - HOUR, closes))])
    session = live.log_in("ali")
    # the router itself would end it, some seconds late
    left = (closes - now) // clock.SECOND + grace(live.ref("ali").service_id)
    assert left - 5 <= session.told["Session-Timeout"] <= left
    assert live.session_row(session)["given_end"] == closes
    assert boundaries.next_due(live.db, clock.now()) == closes
    # the engine does so in time
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + closes - now)
    live.router.behaviour.redial = True
    with live.engine():
        change = live.change()
        assert change.kind == "disconnect"
        until(lambda: live.logins, "the subscriber dials again")
        assert isinstance(live.logins[0], Refused)
        until(lambda: not live.wishes(), "the wish is fulfilled")
    [told] = [one for one in live.attempts() if one["result"] == "ack"]
    assert (told["kind"], told["cause"]) == ("disconnect", "boundary")


def test_r1_4_explain_tells_the_hours_and_when_they_begin(
    live: Live, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    now = clock.now()
    opens = minute_of(now) + 2 * HOUR
    text = window(opens, opens + 5 * HOUR)
    live.load({"username": "ali"}, params=[hours(text, scope="plan:home20")])
    found = timeline_of(live.db, "ali")[0].at(now)
    assert (found.verdict, found.reason and found.reason.cause, found.end) == (Verdict.DENY, Cause.LOGIN_TIME, opens)
    ledgate = Ledgate(database_url, live.folder)
    told = ledgate("explain", "ali")
    until_text = (datetime.fromtimestamp(0, UTC) + timedelta(microseconds=opens)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert f"deny because it is outside the hours of login-time, {text} (plan:home20)" in told
    assert f"until {until_text}, then allow" in told
    as_json = ledgate.json("explain", "ali")
    assert (as_json["cause"], as_json["figures"]) == ("login-time", {"login_time": text})


def test_r1_4_login_time_is_loaded_with_its_paths(live: Live) -> None:
    live.load({"username": "ali"}, params=[hours("mon-fri 08:00-18:00", "sat,sun 10:00-24:00")])
    with pytest.raises(BadLoad, match=r"params\[2\]\.value\[1\]: 'sat 25:00-26:00' has no such time of day"):
        live.load(params=[hours("mon-fri 08:00-18:00", "sat 25:00-26:00")])
    live.load(params=[hours(scope="server") | {"value": None}])
    assert timeline_of(live.db, "ali")[0].at(clock.now()).verdict is Verdict.ALLOW


def test_r1_4_a_login_outside_the_hours_is_refused_and_says_why(world: System, name: str) -> None:
    opens = minute_of(clock.now()) + 2 * HOUR
    closed = hours(window(opens, opens + HOUR), scope=f"user:{name}")
    world.load({"username": name})
    world.everywhere(lambda at: world.ask(name, process=at)[0] == "Access-Accept", "he is known")
    world.load(params=[closed])
    world.everywhere(lambda at: world.ask(name, process=at)[0] == "Access-Reject", "the hours")
    assert world.ask(name)[1]["Reply-Message"] == "Access is not allowed at this hour."

    def lines() -> list[str]:
        return [line for line in world.made.log.splitlines() if f"user={name} " in line and "verdict=deny" in line]

    line = until(lines, "the log tells it")[0]
    assert "result=reject verdict=deny cause=login-time" in line
    assert f"scope=user:{name}" in line
