"""`explain` from what is stored: now, the past through the history, the future through the timeline (R8.3)."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from aaa import clock
from aaa.clock import DAY
from aaa.commands import door, jobs
from aaa.commands.jobs import run_batch
from aaa.domain.instant import iso
from aaa.routeros.lists import stored
from aaa.store.database import Database
from aaa.store.tables import session
from billing.commands import charge, pay
from ledgate.cli import main
from tests.integration.ledger import LAST_PAYMENT, NOW, example, make_live, put, ref, subscriber

HOUR = DAY // 24


@pytest.fixture
def explain(database_url: str, tmp_path: Path) -> Any:
    """`explain(user, at)`: what `ledgate explain USER --at AT --json` prints; None: now. `text`: without `--json`."""
    cleared: dict[str, str | None] = {name: None for name in os.environ if name.startswith("LEDGATE_")}
    environment = {**cleared, "LEDGATE_DATABASE_URL": database_url, "LEDGATE_STATE_DIR": str(tmp_path)}

    def run(user: str, at: int | None, *more: str, text: bool = False) -> Any:
        given = () if at is None else ("--at", iso(at))
        arguments = ["explain", user, *given, *(more or (() if text else ("--json",)))]
        ended = CliRunner().invoke(main, arguments, env=environment, catch_exceptions=False)
        assert ended.exit_code == 0, ended.output
        return ended.stdout if more or text else json.loads(ended.stdout)

    return run


def _pay(db: Database, name: str, amount: int, identity: str, now: int) -> None:
    pay(db, ref(db, name), amount, external_id=identity, actor="test", now=now)


def test_who_reached_the_limit(database: Database, explain: Any) -> None:
    put(database, example(subscribers=[subscriber("bob", -812_000, last_payment="2026-11-01T00:00:00Z")]))
    told = explain("bob", NOW + HOUR)
    assert [rule["state"] for rule in told.pop("considered")].count("decides") == 1
    assert told == {
        "username": "bob",
        "at": "2026-11-24T09:30:00Z",
        "verdict": "restrict",
        "cause": "debit",
        "figures": {
            "control": "Home-Users",
            "currency": "IRR",
            "debt": 812_000,
            "limit": "max_debt",
            "max_debt": 800_000,
        },
        "scope": "server",
        "since": "2026-11-24T08:30:00Z",
        "until": None,
        "profile": {
            "Acct-Interim-Interval": 300,
            "Framed-Pool": "finish",
            "Mikrotik-Address-List": "overdue",
            "Mikrotik-Rate-Limit": "128k/128k",
        },
        "next": [],
    }


def test_r2_3_who_will_reach_the_deadline(database: Database, explain: Any) -> None:
    put(database, example(subscribers=[subscriber("bob", -5, last_payment="2026-11-01T00:00:00Z")]))
    deadline = LAST_PAYMENT + 30 * DAY
    now = explain("bob", NOW)
    assert (now["verdict"], now["cause"], now["figures"], now["scope"]) == ("allow", None, {}, None)
    assert now["until"] == "2026-12-01T00:00:00Z"
    assert now["next"] == [{"from": "2026-12-01T00:00:00Z", "verdict": "restrict", "cause": "debit"}]
    assert explain("bob", deadline - 1)["verdict"] == "allow"
    then = explain("bob", deadline)
    assert (then["verdict"], then["since"], then["until"]) == ("restrict", "2026-12-01T00:00:00Z", None)
    assert then["figures"] == {
        "control": "Home-Users",
        "currency": "IRR",
        "debt": 5,
        "limit": "max_delay",
        "max_delay": 2592000,
        "clock_start_at": "2026-11-01T00:00:00Z",
        "deadline_at": "2026-12-01T00:00:00Z",
    }
    assert then["profile"]["Framed-Pool"] == "finish"


def test_the_past_is_told_as_it_was_whatever_happened_since(database: Database, explain: Any) -> None:
    put(database, example(subscribers=[subscriber("bob", -812_000)]))
    lifted, blocked = NOW + 2 * HOUR, NOW + 5 * HOUR
    _pay(database, "bob", 812_000, "1", lifted)
    bob = ref(database, "bob")
    charge(database, bob, 900_000, due_at=blocked, override=True, actor="test", now=blocked)
    _pay(database, "bob", 900_000, "2", NOW + 9 * HOUR)

    was = explain("bob", NOW + HOUR)
    assert (was["verdict"], was["cause"], was["since"], was["until"]) == ("restrict", "debit", iso(NOW), iso(lifted))
    assert was["figures"]["debt"] == 812_000
    assert [step["from"] for step in was["next"]] == [iso(lifted), iso(blocked), iso(NOW + 9 * HOUR)]
    between = explain("bob", NOW + 3 * HOUR)
    assert (between["verdict"], between["since"], between["until"]) == ("allow", iso(lifted), iso(blocked))
    assert explain("bob", blocked)["figures"]["debt"] == 900_000
    assert explain("bob", blocked - 1)["verdict"] == "allow"
    last = explain("bob", NOW + 10 * HOUR)
    assert (last["verdict"], last["since"], last["until"], last["next"]) == ("allow", iso(NOW + 9 * HOUR), None, [])


def test_since_reaches_back_over_timelines_that_say_the_same(database: Database, explain: Any) -> None:
    put(database, example(subscribers=[subscriber("bob", -900_000)]))
    for day in range(1, 25):
        _pay(database, "bob", 1, str(day), NOW + day * DAY)  # still too much: a new figure, the same verdict
    told = explain("bob", NOW + 24 * DAY)
    assert (told["figures"]["debt"], told["since"]) == (900_000 - 24, iso(NOW))


def test_the_expiry_of_a_service_is_told(database: Database, explain: Any) -> None:
    put(database, example(subscribers=[subscriber("bob", active_to="2026-12-01")]))
    midnight = "2026-11-30T20:30:00Z"  # in Tehran
    assert explain("bob", NOW)["next"] == [{"from": midnight, "verdict": "deny", "cause": "expire"}]
    then = explain("bob", NOW + 20 * DAY)
    assert (then["verdict"], then["scope"], then["figures"]) == ("deny", "user:bob", {"active_to_at": midnight})
    assert then["profile"] == {}


def test_in_words(database: Database, explain: Any) -> None:
    put(database, example(subscribers=[subscriber("bob", -5, last_payment="2026-11-01T00:00:00Z")]))
    first, *rules = explain("bob", NOW, "--at", iso(NOW)).splitlines()
    assert first == (
        "bob at 2026-11-24T08:30:00Z: allow, since 2026-11-24T08:30:00Z, until 2026-12-01T00:00:00Z, "
        "then restrict (debit)"
    )
    assert "  suspension: no operator suspended it" in rules
    [debit] = [rule for rule in rules if "DebitControl" in rule]
    assert debit.startswith("  DebitControl: from 2026-12-01T00:00:00Z: debt 5 IRR")


def test_r8_3_every_rule_that_was_asked_says_why_it_does_not_decide(database: Database, explain: Any) -> None:
    put(database, example(subscribers=[subscriber("bob", -812_000, active_to="2026-11-01")]))
    rules = {rule["rule"]: rule for rule in explain("bob", NOW)["considered"]}
    assert {name: rule["state"] for name, rule in rules.items()} == {
        "suspension": "silent",
        "SuspendPolicy": "silent",
        "DebitControl": "decides",
        "active_to": "weaker",
        "FupPolicy": "silent",
        "login-time": "silent",
        "OverduePolicy": "silent",
    }
    assert (rules["DebitControl"]["scope"], rules["active_to"]["scope"]) == ("server", "user:bob")
    assert rules["active_to"]["why"].endswith("but DebitControl is stronger")


def test_r8_3_the_past_names_the_event_that_ended_it(database: Database, explain: Any) -> None:
    put(database, example(subscribers=[subscriber("bob", -812_000)]))
    _pay(database, "bob", 812_000, "1", NOW + 2 * HOUR)
    _pay(database, "bob", 5, "2", NOW + 3 * HOUR)  # changes no timeline
    charge(database, ref(database, "bob"), 900_000, due_at=NOW, override=True, actor="test", now=NOW + 5 * HOUR)
    blocked = explain("bob", NOW + HOUR)
    account = blocked["replaced"].pop("subject")
    assert blocked["replaced"] == {"at": iso(NOW + 2 * HOUR), "kind": "payment", "actor": "test"}
    assert account.startswith("account:") and "considered" not in blocked
    assert explain("bob", NOW + 4 * HOUR)["replaced"]["kind"] == "charge"
    assert "replaced" not in explain("bob", NOW + 6 * HOUR)
    assert f"replaced at {iso(NOW + 2 * HOUR)} by payment of {account} (test)" in explain(
        "bob", NOW + HOUR, "--at", iso(NOW + HOUR)
    )


def test_r8_3_the_past_names_the_param_that_ended_it(database: Database, explain: Any) -> None:
    put(database, example(subscribers=[subscriber("bob")]))
    for scope, hours in (("user:bob", 2), ("server", 4)):
        put(database, {"params": [{"scope": scope, "name": "Idle-Timeout", "value": 60}]}, NOW + hours * HOUR)
    put(database, {"params": [{"scope": "user:bob", "name": "Idle-Timeout", "value": 61}]}, NOW + 6 * HOUR)
    put(database, {"params": [{"scope": "user:bob", "name": "Idle-Timeout", "value": None}]}, NOW + 8 * HOUR)
    assert explain("bob", NOW + HOUR)["replaced"]["param"] == "Idle-Timeout"
    for hours, told in (
        (2, "the new param Idle-Timeout of user:bob"),
        (6, "a change of param Idle-Timeout of user:bob"),
        (8, "the removal of param Idle-Timeout of user:bob"),
    ):
        at = NOW + (hours - 1) * HOUR
        assert f"replaced at {iso(NOW + hours * HOUR)} by {told} (test)" in explain("bob", at, text=True)


def test_r1_5_what_limits_logins_is_told_with_its_scope(database: Database, explain: Any) -> None:
    limits: list[dict[str, Any]] = [
        {"scope": "server", "name": "simultaneous-use", "value": 2},
        {"scope": "plan:home20", "name": "allowed-methods", "value": ["chap", "mschapv2"]},
        {"scope": "visp:tehran", "name": "allowed-nas", "value": ["mt1"]},
        {"scope": "visp:tehran", "name": "caller-id-lock", "value": "learn"},
    ]
    put(database, example(subscribers=[subscriber("bob"), subscriber("eve", mac="aabbccddeeff")], params=limits))
    assert explain("bob", NOW)["limits"] == [
        {"name": "caller-id-lock", "value": "learn", "scope": "visp:tehran"},
        {"name": "allowed-nas", "value": ["mt1"], "scope": "visp:tehran"},
        {"name": "allowed-methods", "value": ["chap", "mschapv2"], "scope": "plan:home20"},
        {"name": "simultaneous-use", "value": 2, "scope": "server"},
    ]
    assert explain("bob", NOW, text=True).splitlines()[-4:] == [
        "  caller-id-lock: the first device that comes online (visp:tehran)",
        "  allowed-nas: mt1 (visp:tehran)",
        "  allowed-methods: chap, mschapv2 (plan:home20)",
        "  simultaneous-use: 2 (server)",
    ]
    eve = {"name": "caller-id-lock", "value": "AA:BB:CC:DD:EE:FF", "scope": "user:eve"}
    assert explain("eve", NOW)["limits"][0] == eve
    put(database, {"params": [{"scope": "user:eve", "name": "caller-id-lock", "value": "off"}]})
    assert explain("eve", NOW)["limits"][0] == {**eve, "value": "off"}


def test_r6_3_what_live_sessions_were_given_is_told(database: Database, explain: Any) -> None:
    start = clock.now() - DAY
    put(database, example(subscribers=[subscriber("bob"), subscriber("eve")]), start)
    live = make_live(database, ["bob", "eve"])
    given = {"limit_octets": 5 * 10**9, "limit_kind": "download", "limit_seconds": 7_200, "given_end": start + 9 * DAY}
    used = {"up": 10**9, "down": 1_200_000_000, "seconds": 3_720}
    with database.write() as conn:
        conn.execute(session.update().where(session.c.id == live["bob"]).values(**given, **used))
    [told] = explain("bob", None)["sessions"]
    assert told == {
        "nas": "live",
        "acct_session_id": told["acct_session_id"],
        "started": "2026-09-21T14:13:20Z",
        "limit": {
            "octets": 5 * 10**9,
            "direction": "download",
            "used": 1_200_000_000,
            "seconds": 7_200,
            "online": 3_720,
            "ends": iso(start + 9 * DAY),
        },
        "lists": [],
    }
    assert explain("eve", None)["sessions"][0]["limit"] is None
    assert "sessions" not in explain("ali", None)
    head = f"online on live since 2026-09-21T14:13:20Z (session {told['acct_session_id']}): "
    assert (
        f"{head}was given 5 GB (download), of which 1.2 GB are used and 2 h 0 min online, of which 1 h 2 min are used "
        f"and nothing after {iso(start + 9 * DAY)}\n"
    ) in explain("bob", None, text=True)
    assert "): was given no limit\n" in explain("eve", None, text=True)


def test_r8_3_the_lists_that_a_live_session_is_on_are_told(database: Database, explain: Any) -> None:
    put(database, example(subscribers=[subscriber("bob"), subscriber("eve")]), clock.now() - DAY)
    live = make_live(database, ["bob", "eve"])
    with database.write() as conn:
        for name, lists in (("bob", ("garden", "slow")), ("eve", ("garden", "?"))):
            conn.execute(session.update().where(session.c.id == live[name]).values(lists=stored(lists, name == "eve")))
    assert explain("eve", None)["sessions"][0]["lists"] == ["?", "garden"]
    assert "no limit, and is on the address-lists garden, slow\n" in explain("bob", None, text=True)
    assert "no limit, and may be on the address-list garden\n" in explain("eve", None, text=True)


def test_r8_3_beyond_the_horizon_todays_facts_are_compiled(database: Database, explain: Any) -> None:
    put(database, example(subscribers=[subscriber("bob", active_to="2027-06-01")]))
    end = "2027-05-31T20:30:00Z"  # midnight in Tehran
    within = explain("bob", NOW + 30 * DAY)
    assert "beyond_horizon" not in within and within["next"] == []
    before = explain("bob", NOW + 170 * DAY)
    assert (before["beyond_horizon"], before["verdict"], before["until"]) == (True, "allow", end)
    after = explain("bob", NOW + 300 * DAY)
    assert (after["beyond_horizon"], after["verdict"], after["since"]) == (True, "deny", end)
    assert "further ahead than its timeline reaches" in explain("bob", NOW, "--at", iso(NOW + 300 * DAY))


def test_who_waits_for_a_mass_change_is_marked(
    database: Database, explain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "INLINE", 1)
    monkeypatch.setattr(jobs, "INLINE", 2)
    put(database, example(subscribers=[subscriber("bob", -5), subscriber("eve", -5)]))
    assert "pending" not in explain("bob", NOW)
    put(database, {"controls": [{"name": "Home-Users", "max_debt": 5}]}, NOW + 1)
    assert (explain("bob", NOW + 2)["pending"], explain("bob", NOW + 2)["verdict"]) == (True, "allow")
    assert "a mass change has not reached this subscriber yet" in explain("eve", NOW + 2, "--at", iso(NOW + 2))
    run_batch(database, NOW + 3)  # ali and bob
    assert "pending" not in explain("bob", NOW + 3) and explain("bob", NOW + 3)["verdict"] == "restrict"
    assert explain("eve", NOW + 3)["pending"] is True
    run_batch(database, NOW + 4)
    assert "pending" not in explain("eve", NOW + 4) and explain("eve", NOW + 4)["verdict"] == "restrict"
