"""`ledgate preview`, `load --yes-cut` and `jobs` as an operator meets them (R8.4)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aaa import clock
from aaa.commands import door, jobs
from aaa.commands.jobs import run_batch
from aaa.domain.instant import iso
from aaa.store.database import Database
from ledgate.cli import changing
from tests.integration.command import Ledgate
from tests.integration.ledger import content, example, subscriber

STRICTER = {"controls": [{"name": "Home-Users", "max_debt": 1}]}


@pytest.fixture
def ledgate(database_url: str, tmp_path: Path) -> Ledgate:
    return Ledgate(database_url, tmp_path / "state")


@pytest.fixture
def file(tmp_path: Path) -> Callable[[Any], str]:
    def written(document: Any) -> str:
        path = tmp_path / "change.json"
        path.write_text(json.dumps(document))
        return str(path)

    return written


@pytest.fixture
def crowd(ledgate: Ledgate, file: Callable[[Any], str]) -> None:
    """Thirty who owe a little, and bob who owes too much."""
    many = [subscriber(f"u{number:02}", -5) for number in range(30)]
    ledgate("load", file(example(subscribers=[*many, subscriber("bob", -900_000)])))


def test_r8_4_preview_tells_numbers_and_on_demand_names(
    ledgate: Ledgate, crowd: None, file: Callable[[Any], str], database: Database
) -> None:
    before = content(database)
    change = file({**STRICTER, "params": [{"scope": "user:bob", "name": "DebitControl", "value": "VIP"}]})
    assert ledgate("preview", change).splitlines() == [
        "30 of 31 services that are allowed now would be cut off, 0 slowed, 1 restored (reached: 32, new: 0)",
        "visp    effect    cause  services",
        "tehran  cut       debit  30",
        "tehran  restored  debit  1",
        f"more than 20 are cut off only if it is confirmed: ledgate load {change} --yes-cut 30",
    ]
    listed = ledgate("preview", change, "--names").splitlines()
    assert listed[5:7] == ["", "username  visp    effect    cause  at"]
    assert len(listed) == 7 + 31 and listed[7].startswith("bob       tehran  restored  debit  20")
    found = ledgate.json("preview", change)
    assert "names" not in found
    assert {key: found[key] for key in ("cut", "slowed", "restored", "allowed", "limit", "confirm", "reached")} == {
        "cut": 30,
        "slowed": 0,
        "restored": 1,
        "allowed": 31,
        "limit": 20,
        "confirm": 30,
        "reached": 32,
    }
    assert found["groups"][0] == {"visp": "tehran", "effect": "cut", "cause": "debit", "services": 30}
    names = ledgate.json("preview", change, "--names")["names"]
    assert [one["username"] for one in names] == ["bob", *(f"u{number:02}" for number in range(30))]
    assert content(database) == before


def test_r8_4_a_preview_without_effect_says_so(ledgate: Ledgate, crowd: None, file: Callable[[Any], str]) -> None:
    assert ledgate("preview", file({})) == (
        "0 of 31 services that are allowed now would be cut off, 0 slowed, 0 restored (reached: 0, new: 0)\n"
    )


def test_r8_4_a_preview_looks_ahead_as_far_as_timelines_reach(
    ledgate: Ledgate, crowd: None, file: Callable[[Any], str]
) -> None:
    end = iso(clock.now() + 2 * clock.DAY)
    change = file({"subscribers": [{"username": "u00", "active_to": end}]})
    assert ledgate.json("preview", change)["cut"] == 0
    assert ledgate.json("preview", change, "--at", end)["cut"] == 1
    for wrong in (iso(clock.now() + 6 * clock.DAY), "2026-01-01"):
        assert (
            ledgate.refuses("preview", change, "--at", wrong) == f"--at: {wrong} is not between now and five days ahead"
        )
    assert ledgate.refuses("preview", change, "--at", "soon").startswith("--at: 'soon' is not an instant such as")


def test_preview_refuses_in_one_line(ledgate: Ledgate, crowd: None, file: Callable[[Any], str]) -> None:
    assert ledgate.refuses("preview", file({"visp": []})).startswith("visp: unknown key")
    assert ledgate.refuses("preview", "/nonexistent.json") == "/nonexistent.json: No such file or directory"


def test_r8_4_load_stops_with_the_preview_until_the_number_is_confirmed(
    ledgate: Ledgate, crowd: None, file: Callable[[Any], str], database: Database
) -> None:
    change, before = file(STRICTER), content(database)
    printed, told = ledgate.stops("load", change)
    assert printed == ledgate("preview", change)
    assert told == (
        f"{change}: this would cut off 30 services; without a confirmation it may be 20: "
        "nothing was changed, confirm with --yes-cut 30"
    )
    printed, told = ledgate.stops("load", change, "--yes-cut", "29", "--json")
    assert json.loads(printed) == ledgate.json("preview", change)
    assert "cut off 30 services, not the 29 that were confirmed" in told
    assert content(database) == before
    assert ledgate("load", change, "--yes-cut", "30").endswith("1 controls; 0 subscribers are new\n")
    assert "restrict because debt 5 IRR has reached the limit of 1 IRR" in ledgate("explain", "u07")


def test_jobs_lists_what_is_under_way_and_what_was(
    ledgate: Ledgate,
    crowd: None,
    file: Callable[[Any], str],
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ledgate("jobs") == "there was no mass change yet\n"
    assert ledgate.json("jobs") == []
    for module in (door, jobs):
        monkeypatch.setattr(module, "INLINE", 20)
    told = ledgate("load", file(STRICTER), "--yes-cut", "30")
    [open_job] = ledgate.json("jobs")
    assert told.endswith(f"the engine recompiles the rest in the background (jobs {open_job['id']})\n")
    wanted = {"kind": "control", "scope": "server", "finished": None, "done": 0, "total": 32}
    assert open_job.items() >= wanted.items()
    run_batch(database, clock.now())
    [half] = ledgate.json("jobs")
    assert (half["done"], half["total"], half["finished"]) == (20, 32, None)
    run_batch(database, clock.now())
    [done] = ledgate.json("jobs")
    assert done["done"] == done["total"] == 32 and done["finished"] >= done["created"]
    ledgate("load", file({"params": [{"scope": "visp:tehran", "name": "Idle-Timeout", "value": 60}]}))
    assert [(one["id"], one["scope"]) for one in ledgate.json("jobs")] == [
        (open_job["id"] + 1, "visp:tehran"),
        (open_job["id"], "server"),
    ]
    [head, first, _] = ledgate("jobs").splitlines()
    assert head.split() == ["id", "kind", "scope", "created", "finished", "done", "total"]
    assert first.split()[:3] == [str(open_job["id"] + 1), "param", "visp:tehran"]


def test_on_a_terminal_load_shows_a_mass_change_to_its_end_or_says_that_nobody_works_on_it(
    ledgate: Ledgate,
    crowd: None,
    file: Callable[[Any], str],
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for module in (door, jobs):
        monkeypatch.setattr(module, "INLINE", 20)
    ledgate("load", file(STRICTER), "--yes-cut", "30")
    [job_id] = [one["id"] for one in ledgate.json("jobs")]
    monkeypatch.setattr(changing, "on_terminal", lambda: True)
    monkeypatch.setattr(changing, "_PATIENCE", 0.01)
    monkeypatch.setattr(changing, "_WATCH", 0.02)
    changing.watch(database, job_id)
    assert f"no engine seems to be running: job {job_id} waits for one" in capsys.readouterr().err
    monkeypatch.setattr("time.sleep", lambda seconds: run_batch(database, clock.now()))
    changing.watch(database, job_id)
    shown = capsys.readouterr().err
    assert "20 of 32" in shown and shown.endswith("32 of 32\n")
