"""Every attempt is stored, with its octets where a router is set to keep them, and `ledgate attempts` shows them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from aaa.radius.integrity import MA_VALID, Secret, verify_signed_request
from aaa.radius.packet import COA_REQUEST, parse
from aaa.store.database import Database
from tests.integration.command import Ledgate
from tests.integration.live_change import SECRET, Live, scene, until


@pytest.fixture
def live(database: Database, database_url: str, tmp_path: Path) -> Iterator[Live]:
    with scene(database, database_url, tmp_path / "state") as live:
        yield live


def told(live: Live, *, keeps: bool) -> None:
    live.load({"username": "ali", "balance": 0}, nas=[live.nas(keep_packets=keeps)])
    with live.engine():
        live.log_in("ali")
        live.load({"username": "ali", "plan": "slow"}, nas=[live.nas(keep_packets=keeps)])
        until(live.attempts, "it is told")


def test_what_was_sent_is_kept_where_it_is_asked_for_and_holds_no_secret(live: Live, tmp_path: Path) -> None:
    told(live, keeps=True)
    [row] = live.attempts()
    sent = parse(bytes(row["octets"]))
    assert sent.code == COA_REQUEST
    assert verify_signed_request(sent, Secret(SECRET)) == MA_VALID
    assert bytes(row["octets"]) == live.router.received[0].data
    assert SECRET not in bytes(row["octets"])
    ledgate = Ledgate(live.url, live.folder)
    shown = ledgate("attempts", "ali", "--packets")
    assert bytes(row["octets"]).hex(" ") in shown
    [listed] = ledgate.json("attempts")
    assert "octets" not in listed
    assert listed["what"] == "Mikrotik-Rate-Limit=1M/1M"
    assert (listed["sent"], listed["result"], listed["cause"], listed["nas"]) == ("coa", "ack", "update", "mt1")
    assert listed["ms"] > 0


def test_nothing_of_it_is_kept_otherwise(live: Live) -> None:
    told(live, keeps=False)
    assert [row["octets"] for row in live.attempts()] == [None]
    ledgate = Ledgate(live.url, live.folder)
    assert "not kept" in ledgate("attempts", "--packets")
    assert "Mikrotik-Rate-Limit=1M/1M" in ledgate("attempts")
    assert "no subscriber is called" in ledgate.refuses("attempts", "nobody")


def test_the_latest_are_last_and_no_more_than_were_asked_for(live: Live) -> None:
    told(live, keeps=False)
    with live.engine():
        live.load({"username": "ali", "plan": "home20"})
        until(lambda: len(live.attempts()) == 2, "it is told")
    ledgate = Ledgate(live.url, live.folder)
    assert [one["what"] for one in ledgate.json("attempts", "ali")] == [
        "Mikrotik-Rate-Limit=1M/1M",
        "Mikrotik-Rate-Limit=20M/20M",
    ]
    assert [one["what"] for one in ledgate.json("attempts", "--last", "1")] == ["Mikrotik-Rate-Limit=20M/20M"]


def test_routers_were_told_nothing(live: Live) -> None:
    assert "routers were told nothing" in Ledgate(live.url, live.folder)("attempts")
