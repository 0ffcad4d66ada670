"""`ledgate routers`: list, plan, apply with a canary, remove, and the doctor."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from aaa import clock
from aaa.routeros import lease
from aaa.routeros.rows import ADDRESS_LIST, FILTER, NAT, RADIUS
from aaa.store.database import open_database
from aaa.store.tables import router
from ledgate.cli.routers import _at_once
from tests.integration.command import Ledgate
from tests.integration.routers import Box, box

SETTINGS = {"server_ip": "192.0.2.80", "allowed_pages": ["bank.example"], "router_drift": "report"}


class Site:
    """A command with a database that has the routers mt1, mt2, … and mt9, which has no API."""

    def __init__(self, ledgate: Ledgate, folder: Path, boxes: list[Box]) -> None:
        self.ledgate = ledgate
        self.boxes = boxes
        self._file = folder / "site.json"
        routers = [
            {"name": f"mt{number}", "address": f"127.0.0.{number}", "secret": "testing123", "api": one.api()}
            for number, one in enumerate(boxes, start=1)
        ]
        self.load(nas=[*routers, {"name": "mt9", "address": "127.0.0.9", "secret": "testing123"}], settings=SETTINGS)

    def load(self, **document: Any) -> None:
        self._file.write_text(json.dumps(document))
        self.ledgate("load", str(self._file))

    def ends(self, status: int, *arguments: str, **environment: str) -> str:
        """What the command prints; it ends with that status."""
        ended = self.ledgate._invoke(["routers", *arguments], environment)
        assert ended.exit_code == status, ended.output
        return ended.stdout

    def states(self) -> dict[str, str]:
        return {one["name"]: one["state"] for one in self.ledgate.json("routers")}


@pytest.fixture
def site(sqlite_url: str, tmp_path: Path) -> Iterator[Site]:
    ledgate = Ledgate(sqlite_url, tmp_path / "state")
    ledgate("migrate")
    with ExitStack() as stack:
        yield Site(ledgate, tmp_path, [stack.enter_context(box()) for _ in range(3)])


def test_the_list_says_how_routers_stand(site: Site) -> None:
    assert site.states() == {"mt1": "new", "mt2": "new", "mt3": "new"}
    site.ends(0, "apply", "mt1", "--yes")
    text = site.ends(0)
    assert text.splitlines()[0].split() == ["name", "state", "checked", "in_step", "version", "detail"]
    assert text.splitlines()[1].split()[:2] == ["mt1", "in_step"]
    assert "7.16.2 (stable)" in text.splitlines()[1]


def test_a_plan_shows_a_patch_and_changes_nothing(site: Site) -> None:
    text = site.ends(1, "plan", "mt1")
    assert text.splitlines()[0].startswith("mt1 (7.16.2 (stable)): ")
    assert "  /ip/firewall/nat" in text
    assert '  + chain=ledgate-srcnat dst-address=192.0.2.80 action=accept comment="ledgate:portal:' in text.replace(
        "comment=ledgate", 'comment="ledgate'
    )
    assert "secret=***" in text
    assert site.boxes[0].writes == []
    site.ends(0, "apply", "--yes")
    assert site.ends(0, "plan").splitlines() == [f"mt{one} (7.16.2 (stable)): in step" for one in (1, 2, 3)]
    jump = next(row for row in site.boxes[1].ours(FILTER) if row["chain"] == "forward")
    site.boxes[1].do(FILTER, "set", **{".id": jump[".id"], "disabled": "yes"})
    assert site.ends(1, "plan").splitlines() == [
        "mt1 (7.16.2 (stable)): in step",
        "mt2 (7.16.2 (stable)): 1 set",
        "  /ip/firewall/filter",
        f"  ~ {jump['.id']} ({jump['comment']}) disabled=true",
        "    => disabled=no",
        "mt3 (7.16.2 (stable)): in step",
    ]
    site.boxes[2].behaviour.api_down = True
    assert "mt3: 127.0.0.1 port" in site.ends(2, "plan")
    assert site.ends(0, "plan", "mt1")


def test_apply_asks_first_and_changes_what_differs(site: Site) -> None:
    ended = site.ledgate._invoke(["routers", "apply"], {})
    assert ended.exit_code == 1
    for line, name in zip(ended.stderr.splitlines(), ("mt1", "mt2", "mt3"), strict=False):
        assert line.startswith(f"{name}: ") and line.endswith(" added, 1 set")
    assert "Change 3 routers?" in ended.stderr
    assert ended.stderr.splitlines()[-1] == (
        "ledgate: nobody is here to answer, so nothing was changed; --yes does not ask"
    )
    assert all(one.writes == [] for one in site.boxes)
    text = site.ends(0, "apply", "--yes")
    assert [line.split()[:2] for line in text.splitlines()[1:]] == [[f"mt{one}", "in_step"] for one in (1, 2, 3)]
    assert all(one.ours(NAT) for one in site.boxes)
    writes = [len(one.writes) for one in site.boxes]
    site.ends(0, "apply", "--yes")
    assert [len(one.writes) for one in site.boxes] == writes


def test_an_interrupted_apply_begins_no_further_router() -> None:
    begun: list[int] = []

    def work(nas_id: int) -> int:
        begun.append(nas_id)
        if nas_id == 1:
            raise KeyboardInterrupt
        time.sleep(0.01)
        return nas_id

    with pytest.raises(KeyboardInterrupt):
        list(_at_once({f"mt{one}": one for one in range(1, 1_001)}, work))
    assert len(begun) < 1_000


def test_a_canary_goes_first_and_stops_the_rest_if_it_fails(site: Site) -> None:
    site.boxes[1].behaviour.api_refuses = True
    text = site.ends(1, "apply", "--canary", "mt2", "--yes")
    assert text.splitlines()[1].split()[:2] == ["mt2", "failed"]
    assert text.splitlines()[-1] == "mt2 is not in step: 2 routers left as they were"
    assert [one.writes for one in site.boxes] == [[], [], []]
    site.boxes[1].behaviour.api_refuses = False
    site.ends(0, "apply", "--canary", "mt2", "--yes")
    assert set(site.states().values()) == {"in_step"}
    assert site.boxes[1].events[0].kind == "refused"


def test_a_router_that_is_away_is_told_and_the_others_are_changed(site: Site) -> None:
    site.boxes[0].behaviour.api_down = True
    site.ends(1, "apply", "--yes")
    assert site.states() == {"mt1": "offline", "mt2": "in_step", "mt3": "in_step"}


def test_everything_is_taken_off_one_router(site: Site) -> None:
    site.ends(0, "apply", "--yes")
    site.ends(0, "apply", "mt3", "--remove", "--yes")
    assert site.states()["mt3"] == "removed"
    for menu in (FILTER, NAT, RADIUS, ADDRESS_LIST):
        assert site.boxes[2].ours(menu) == []
    assert site.boxes[0].ours(FILTER)
    assert "needs the name of a router" in site.ledgate.refuses("routers", "apply", "--remove", "--yes")
    site.ends(0, "apply", "mt3", "--yes")
    assert site.states()["mt3"] == "in_step"


def test_names_that_are_none_are_refused(site: Site) -> None:
    for arguments in (
        ("plan", "mt7"),
        ("apply", "mt7", "--yes"),
        ("apply", "--canary", "mt7", "--yes"),
        ("doctor", "mt7"),
    ):
        assert site.ledgate.refuses("routers", *arguments) == "no router is called 'mt7'"
    assert site.ledgate.refuses("routers", "plan", "mt9") == "mt9 has no api"


def test_apply_waits_for_an_engine_that_is_at_the_router(
    site: Site, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledgate.cli.routers._PATIENCE", 0.2)
    db = open_database(sqlite_url)
    with db.read() as conn:
        nas_id = conn.execute(router.select().order_by(router.c.nas_id)).first()
    assert nas_id is not None
    assert lease.take(db, nas_id.nas_id, "rules", "an engine", clock.now(), 60)
    assert "another process works on it" in site.ends(1, "apply", "mt1", "--yes")
    lease.let_go(db, nas_id.nas_id, "rules", "an engine")
    site.ends(0, "apply", "mt1", "--yes")
    db.close()


# --- the doctor ------------------------------------------------------------------------------------------------------


def doctor(site: Site, name: str = "mt1", status: int | None = None) -> dict[str, str]:
    """Faults and notes, with what mends each."""
    ended = site.ledgate._invoke(["routers", "doctor", name, "--json"], {})
    found = json.loads(ended.stdout)
    faults = [one for one in found if one["level"] == "fault"]
    assert ended.exit_code == (1 if faults else 0)
    assert status is None or ended.exit_code == status
    return {one["what"]: one["mend"] for one in found if one["level"] != "ok"}


def test_a_healthy_router_has_no_fault(site: Site) -> None:
    site.ends(0, "apply", "--yes")
    found = doctor(site, status=0)
    assert list(found) == [
        "FastTrack takes connections past the queues, too: Mikrotik-Rate-Limit does not hold for them"
    ]
    text = site.ends(0, "doctor", "mt1")
    for line in (
        "ok     holds what it is to hold",
        "ok     /ip/firewall/filter: ours stands before FastTrack",
        "ok     takes CoA and Disconnect on port 3799",
        "ok     the clock is right",
        "ok     reaches the portal at 192.0.2.80",
    ):
        assert line in text.splitlines()
    assert len(site.boxes[0].writes) == len(site.boxes[1].writes), "the doctor changes nothing"


def test_every_fault_is_named_with_what_mends_it(site: Site) -> None:
    site.ends(0, "apply", "--yes")
    one = site.boxes[0]
    site.load(
        visps=[{"name": "tehran", "currency": "IRR", "timezone": "Asia/Tehran"}],
        plans=[{"name": "home", "visp": "tehran", "reply": {"Framed-Pool": "gone", "Mikrotik-Group": "default"}}],
        finish_rules=[{"name": "garden", "debit": {"restrict": {"pool": "finish"}}}],
    )
    one.do("/ip/pool", "add", name="finish", ranges="100.64.0.2-100.64.0.9")
    one.do("/radius", "set", **{".id": one.ours(RADIUS)[0][".id"], "timeout": "300ms", "secret": "theirs"})
    one.do("/radius/incoming", "set", port="1700")
    one.do("/ppp/aaa", "set", **{"use-radius": "no"})
    one.behaviour.clock_offset = 3600
    one.behaviour.reachable = False
    fast = next(row for row in one.rows(FILTER) if row["action"] == "fasttrack-connection")
    jump = next(row for row in one.ours(FILTER) if row["chain"] == "forward")
    one.do(FILTER, "move", numbers=fast[".id"], destination=jump[".id"])
    found = doctor(site, status=1)
    assert "theirs" not in str(found) and "testing123" not in str(found)
    radius = "/radius 192.0.2.80"
    mend = "/radius set [find address=192.0.2.80]"
    assert {
        "differs from what it is to hold in 4 places": "ledgate routers plan mt1; ledgate routers apply mt1",
        "/ip/firewall/filter: FastTrack stands before ours, and takes connections past it": "ledgate routers apply mt1",
        f"{radius}: timeout 300ms is too short: an answer may take 1 s": f"{mend} timeout=3s",
        f"{radius}: the secret is another than in the load file": f"{mend} secret=…",
        "/radius incoming is port 1700, not port 3799": "/radius incoming set accept=yes port=3799",
        "/ppp aaa has use-radius=no": "/ppp aaa set use-radius=yes",
        "Framed-Pool gone of the plan home is not there": "/ip pool add name=gone ranges=…",
    }.items() <= found.items()
    [clock_fault] = [what for what in found if what.startswith("the clock is ") and what.endswith(" ahead")]
    assert found[clock_fault] == "/system ntp client set enabled=yes servers=pool.ntp.org"
    assert [what for what in found if "does not reach the portal" in what]
    assert not [what for what in found if "finish" in what or "Group" in what]


def test_who_cannot_be_reached_or_lets_nobody_in_is_a_fault(site: Site) -> None:
    site.boxes[0].behaviour.api_refuses = True
    [(what, mend)] = doctor(site, status=1).items()
    assert "refuses user ledgate" in what
    assert "/user add name=ledgate group=ledgate password=…" in mend
    site.boxes[0].behaviour.api_refuses = False
    site.boxes[0].behaviour.api_down = True
    [(what, mend)] = doctor(site, status=1).items()
    assert mend.startswith("/ip service set api disabled=no port=")
    site.load(nas=[{"name": "mt1", "api": {"host": "mt1.invalid"}}])
    [(what, mend)] = doctor(site, status=1).items()
    assert what.startswith("mt1.invalid does not resolve: ")
    assert "give api.host an address" in mend


def test_r5_5_a_router_without_an_api_shows_no_reminders_and_the_doctor_says_so(site: Site) -> None:
    site.ends(0, "apply", "--yes")
    assert doctor(site, "mt9", 0) == {"it cannot be looked at: it has no api": ""}
    site.load(overdue_policies=[{"name": "remind", "remind_pay": 1}])
    told = "mt9 has no API: reminders are not shown to its subscribers"
    assert told in doctor(site, "mt9", 1)
    assert told in doctor(site, "mt1")
    site.load(settings={"mikrotik_nat_disable_users": 0})
    assert "an OverduePolicy has remind_pay 1, but nothing is shown to anybody" in doctor(site, "mt1", 1)
