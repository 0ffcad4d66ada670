"""`ledgate hold` and `explain` as an operator meets them, and real processes whose clock is wrong (R8.4)."""

import json
from pathlib import Path

import pytest

from aaa import clock
from aaa.domain.clock_watch import Doubt
from aaa.domain.instant import iso
from aaa.store import holds
from aaa.store.database import Database, open_database
from tests.integration.command import Ledgate
from tests.integration.ledger import example, subscriber
from tests.integration.serving import document, installation, running, until
from tests.integration.serving import subscriber as served

HOUR = 3_600 * clock.SECOND
DAY = 24 * HOUR
LOGIN = "User-Name=ali,User-Password=secret"


@pytest.fixture
def ledgate(database_url: str, tmp_path: Path) -> Ledgate:
    return Ledgate(database_url, tmp_path / "state")


def expiring(ledgate: Ledgate, tmp_path: Path, count: int, active_to: int) -> None:
    file = tmp_path / "many.json"
    many = [subscriber(f"u{number:02}", active_to=iso(active_to)) for number in range(count)]
    file.write_text(json.dumps(example(subscribers=many)))
    ledgate("load", str(file))


def hold_cuts(db: Database, since: int) -> None:
    with db.write() as conn:
        holds.place(conn, Doubt(since, "the clock jumped forward by 7200 seconds"), "here", since + 2 * HOUR)


def test_r8_4_hold_tells_why_and_how_many_wait_and_ends_by_their_number(
    ledgate: Ledgate, tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = clock.now()
    expiring(ledgate, tmp_path, 22, began + HOUR)
    assert ledgate("hold") == "cuts are not held\n"
    assert ledgate.json("hold") == {"held": False}
    assert ledgate("hold", "--release") == "cuts are not held\n"
    hold_cuts(database, began)
    ahead = began + 2 * HOUR
    monkeypatch.setattr(clock, "now", lambda: ahead)
    lines = [
        f"cuts are held since {iso(began)}: the clock jumped forward by 7200 seconds (machine here)",
        f"by this machine's clock it is {iso(ahead)} now; 22 of 23 services that are allowed wait to be cut off",
        "if that clock is right: ledgate hold --release --yes-cut 22",
    ]
    assert ledgate("hold").splitlines() == lines
    found = ledgate.json("hold")
    assert (found["held"], found["since"], found["waiting"], found["limit"]) == (True, iso(began), 22, 20)
    printed, line = ledgate.stops("hold", "--release", "--yes-cut", "21")
    assert printed.splitlines() == lines
    assert line == (
        "this would cut off 22 services, not the 21 that were confirmed; without a confirmation it may be 20: "
        "cuts are still held, confirm with --yes-cut 22"
    )
    assert ledgate.refuses("hold", "--yes-cut", "22") == "--yes-cut goes with --release"
    assert ledgate("hold", "--release", "--yes-cut", "22") == "cuts are not held any more: 22 services are cut off\n"
    assert ledgate.json("hold") == {"held": False}


def test_r8_4_r8_3_explain_tells_what_is_served_and_what_the_clock_says(
    ledgate: Ledgate, tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = clock.now()
    expiring(ledgate, tmp_path, 1, began + HOUR)
    began = clock.now()
    hold_cuts(database, began)
    ahead = began + 2 * HOUR
    monkeypatch.setattr(clock, "now", lambda: ahead)
    told = ledgate.json("explain", "u00")
    assert (told["verdict"], told["at"], told["cuts_held_since"]) == ("allow", iso(began), iso(began))
    assert f"by it, it is {iso(ahead)}, and the verdict deny" in ledgate("explain", "u00")
    assert ledgate.json("explain", "u00", "--at", iso(ahead))["verdict"] == "deny"


def test_r8_4_real_processes_with_a_clock_that_fell_back_and_was_set_right(tmp_path: Path, sqlite_url: str) -> None:
    made = installation(sqlite_url, tmp_path)
    made.load(document(subscribers=[served("ali", active_to=iso(clock.now() + 2 * HOUR))]))
    db = open_database(sqlite_url)
    with db.write() as conn:
        holds.beat(conn, "before", clock.now())
    made.environment |= {"LEDGATE_TEST": "1", "LEDGATE_CLOCK_OFFSET": "-7200"}
    with running(made, "engine"):
        until(lambda: "cuts are held since" in made.log, "the alarm")
        assert "seconds behind what before wrote last" in made.log
    made.environment["LEDGATE_CLOCK_OFFSET"] = "86400"
    with running(made, "replica", "auth", "engine"):
        reply = until(lambda: made.radclient(LOGIN, wait=1), "auth serves")
        assert reply.code == "Access-Accept"
        assert int(reply.attributes["Session-Timeout"]) > 3 * 3_600
        ledgate = Ledgate(sqlite_url, made.state)
        ledgate.environment |= {"LEDGATE_TEST": "1", "LEDGATE_CLOCK_OFFSET": "86400"}
        assert ledgate.process("hold", "--release") == "cuts are not held any more: 1 services are cut off\n"

        def rejected() -> bool:
            reply = made.radclient(LOGIN)
            return reply is not None and reply.code == "Access-Reject"

        until(rejected, "the cut acts")
    db.close()
