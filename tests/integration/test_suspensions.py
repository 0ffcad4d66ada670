"""Manual suspension from the load file and the command line to logins and live sessions, on both databases (R4)."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from aaa import clock
from aaa.coa import boundaries
from aaa.commands.suspensions import suspend, unsuspend
from aaa.domain.instant import iso
from aaa.domain.suspension import Repeat, Suspension
from aaa.domain.timeline import Cause, Verdict
from aaa.store import facts
from aaa.store.database import Database
from aaa.store.queries import suspension_rows
from aaa.store.tables import event, suspension
from billing.commands import pay
from ledgate.cli import main
from ledgate.load import BadLoad
from ledgate.load.fields import parse_instant
from tests.integration import serving
from tests.integration.ledger import DAY, NOW, content, example, put, ref, rows, subscriber, timeline_of
from tests.integration.live_change import Live, scene
from tests.integration.serving import installation, running

SUMMER = {
    "reason": "profile3",
    "from": "2026-12-01T00:00:00",
    "to": "2027-02-01T00:00:00",
    "repeat": "yearly",
    "suspend_invoicing": True,
}
FROM, TO = parse_instant("2026-11-30T20:30:00Z", "UTC"), parse_instant("2027-01-31T20:30:00Z", "UTC")
HOUR = DAY // 24


def bob(*suspensions: dict[str, Any] | None) -> dict[str, Any]:
    """A document that gives bob these suspensions, beginning with nothing owed."""
    listed = None if suspensions == (None,) else list(suspensions)
    return example(subscribers=[subscriber("bob", suspensions=listed)])


def held(db: Database) -> list[Suspension]:
    """Bob's suspensions that nobody lifted."""
    service_id = ref(db, "bob").service_id
    with db.read() as conn:
        return list(facts.read_suspensions(conn, [service_id]).get(service_id, {}).values())


def steps(db: Database) -> list[tuple[int, str | None]]:
    """When what holds for bob begins: the reason of his suspension, None where he is free."""
    found = timeline_of(db, "bob")[0].segments
    return [(one.start, str(dict(one.reason.figures)["reason"]) if one.reason else None) for one in found]


# --- the load file ---------------------------------------------------------------------------------------------------


def test_r4_1_a_file_suspends_in_the_local_time_of_the_visp(database: Database) -> None:
    put(database, bob(SUMMER))
    assert held(database) == [Suspension("profile3", FROM, TO, Repeat.YEARLY, True)]
    assert steps(database) == [(NOW, None), (FROM, "profile3")]
    [row] = rows(database, suspension)
    assert (row.made_at, row.made_by, row.lifted_at, row.lifted_by) == (NOW, "test", None, None)


def test_r4_1_a_file_with_offsets_and_open_ends(database: Database) -> None:
    put(
        database,
        bob({"reason": "not_set", "to": "2026-11-25T00:00:00Z"}, {"reason": "non_payer", "from": "2026-12-01"}),
    )
    until = parse_instant("2026-11-25T00:00:00Z", "UTC")
    assert steps(database) == [(NOW, "not_set"), (until, None), (FROM, "non_payer")]


def test_r4_10_a_file_replaces_the_list_and_keeps_the_history(database: Database) -> None:
    put(database, bob(SUMMER, {"reason": "not_set"}))
    before = content(database)
    put(database, bob(SUMMER, {"reason": "not_set"}), NOW + 1)
    put(database, example(subscribers=[subscriber("bob")]), NOW + 2)  # says nothing of suspensions
    assert content(database) == before
    put(database, bob(SUMMER, {"reason": "unregistered", "from": "2026-11-25"}), NOW + HOUR)
    assert [one.reason for one in held(database)] == ["profile3", "unregistered"]
    assert steps(database)[0] == (NOW + HOUR, None)
    history = [(row.reason, row.made_at, row.lifted_at, row.lifted_by) for row in rows(database, suspension)]
    assert history == [
        ("profile3", NOW, None, None),
        ("not_set", NOW, NOW + HOUR, "test"),
        ("unregistered", NOW + HOUR, None, None),
    ]
    put(database, bob(None), NOW + 2 * HOUR)
    assert held(database) == []
    assert steps(database) == [(NOW + 2 * HOUR, None)]


def test_r4_10_a_suspension_that_has_ended_was_not_lifted(database: Database) -> None:
    put(database, bob({"reason": "not_set", "from": "2026-11-24", "to": "2026-11-25"}))
    later = NOW + 5 * DAY
    put(database, bob(), later)
    one = ref(database, "bob")
    assert unsuspend(database, one.service_id, one.account_id, actor="ana", now=later) == []
    [row] = rows(database, suspension)
    assert row.lifted_at is None
    assert not rows(database, event, event.c.kind == "unsuspend")


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({}, "suspensions"),
        (["non_payer"], "suspensions[0]"),
        ([{}], "suspensions[0].reason"),
        ([SUMMER, {"reason": "lazy"}], "suspensions[1].reason"),
        ([{"reason": "not_set", "until": "2026-12-01"}], "suspensions[0].until"),
        ([{"reason": "not_set", "from": "soon"}], "suspensions[0].from"),
        ([{"reason": "not_set", "from": "2026-12-01", "to": "2026-12-01"}], "suspensions[0].to"),
        ([{"reason": "not_set", "repeat": "daily"}], "suspensions[0].repeat"),
        ([{"reason": "not_set", "from": "2026-12-01", "repeat": "weekly"}], "suspensions[0].repeat"),
        ([{**SUMMER, "repeat": "monthly"}], "suspensions[0].to"),
        ([{**SUMMER, "suspend_invoicing": 1}], "suspensions[0].suspend_invoicing"),
    ],
)
def test_r4_1_a_fault_is_refused_with_its_path(database: Database, value: Any, path: str) -> None:
    put(database, bob(SUMMER))
    before = content(database)
    with pytest.raises(BadLoad) as caught:
        put(database, {"subscribers": [{"username": "bob", "suspensions": value}]})
    assert str(caught.value).startswith(f"subscribers[0].{path}: ")
    assert content(database) == before


def test_r3_1_a_rule_has_an_action_for_each_reason(database: Database) -> None:
    rule = {"name": "garden", "suspended": {"non_payer": {"restrict": {"address_list": "pay"}}, "*": "deny"}}
    document = bob({"reason": "non_payer", "to": "2026-11-25"}, {"reason": "profile9", "from": "2026-11-26"})
    put(database, document | {"finish_rules": [rule]})
    found = timeline_of(database, "bob")[0].segments
    assert [one.verdict for one in found] == [Verdict.RESTRICT, Verdict.ALLOW, Verdict.DENY]
    assert dict(found[0].profile)["Mikrotik-Address-List"] == "pay"
    put(database, {"finish_rules": [{"name": "garden", "suspended": "deny"}]}, NOW + 1)
    assert timeline_of(database, "bob")[0].segments[0].verdict is Verdict.DENY


# --- commands --------------------------------------------------------------------------------------------------------


def test_r4_4_only_lifting_lifts_it(database: Database) -> None:
    put(database, example(subscribers=[subscriber("bob", -900_000)]))
    one = ref(database, "bob")
    suspend(database, one.service_id, one.account_id, Suspension("non_payer", NOW + 1), actor="ana", now=NOW + 1)
    pay(database, one, 900_000, external_id="1", actor="test", now=NOW + 2)
    reason = timeline_of(database, "bob")[0].at(NOW + 2).reason
    assert reason is not None and reason.cause is Cause.SUSPENDED
    assert unsuspend(database, one.service_id, one.account_id, actor="eva", now=NOW + 3)
    assert timeline_of(database, "bob")[0].at(NOW + 3).verdict is Verdict.ALLOW
    with database.read() as conn:
        [row] = suspension_rows(conn, one.service_id)
    assert (row.made_at, row.made_by, row.lifted_at, row.lifted_by) == (NOW + 1, "ana", NOW + 3, "eva")
    told = [(row.kind, row.actor) for row in rows(database, event, event.c.kind.in_(("suspend", "unsuspend")))]
    assert told == [("suspend", "ana"), ("unsuspend", "eva")]


@pytest.fixture
def ledgate(database_url: str, tmp_path: Path) -> Callable[..., Result]:
    """The `ledgate` command, run by ana."""
    cleared: dict[str, str | None] = {name: None for name in os.environ if name.startswith(("LEDGATE_", "SUDO_USER"))}
    environment = {**cleared, "LEDGATE_DATABASE_URL": database_url, "LEDGATE_STATE_DIR": str(tmp_path), "USER": "ana"}
    return lambda *arguments: CliRunner().invoke(main, arguments, env=environment, catch_exceptions=False)


def test_r4_1_from_the_command_line(ledgate: Callable[..., Result], database: Database) -> None:
    put(database, example(subscribers=[subscriber("bob")]), clock.now())
    told = ledgate("suspend", "bob", "--reason", "profile3", "--with-invoicing").output
    assert told.startswith("bob is suspended: profile3 from 2")
    [one] = held(database)
    assert (one.reason, one.end, one.repeat, one.suspend_invoicing) == ("profile3", None, Repeat.NONE, True)
    assert "because an operator suspended it, profile3 from " in ledgate("explain", "bob").output

    times = ("--from", "2099-12-01", "--to", "2099-12-02T12:00", "--repeat", "weekly")
    second = json.loads(ledgate("suspend", "bob", "--reason", "not_set", *times, "--json").output)
    assert second == {
        "username": "bob",
        "reason": "not_set",
        "from": "2099-11-30T20:30:00Z",
        "to": "2099-12-02T08:30:00Z",
        "repeat": "weekly",
        "suspend_invoicing": False,
    }
    lifted = json.loads(ledgate("unsuspend", "bob", "--json").output)
    assert [found["reason"] for found in lifted["lifted"]] == ["profile3", "not_set"]
    assert "allow" in ledgate("explain", "bob").output
    assert ledgate("unsuspend", "bob").output == "bob has no suspension to lift\n"
    listed = json.loads(ledgate("suspensions", "bob", "--json").output)
    assert [(row["reason"], row["made_by"], row["lifted_by"]) for row in listed] == [
        ("profile3", "cli:ana", "cli:ana"),
        ("not_set", "cli:ana", "cli:ana"),
    ]
    assert "lifted_by" in ledgate("suspensions", "bob").output
    assert ledgate("suspensions", "ali").output == "ali was never suspended\n"


def test_r4_2_that_invoicing_is_suspended_too_is_kept_and_told(
    ledgate: Callable[..., Result], database: Database
) -> None:
    put(database, bob(SUMMER, {"reason": "not_set", "from": "2027-03-01"}), clock.now())
    assert [one.suspend_invoicing for one in held(database)] == [True, False]  # it is off by default
    head, *listed = ledgate("suspensions", "bob").output.splitlines()
    at = head.index("invoicing")
    assert [line[at : at + 9] for line in listed] == ["suspended", "goes on  "]
    told = ledgate("suspend", "bob", "--reason", "profile3", "--with-invoicing").output
    assert told.endswith(", with invoicing\n")
    assert "with invoicing" not in ledgate("suspend", "bob", "--reason", "not_set").output


def test_r4_1_profiles_have_the_operators_names(database: Database, ledgate: Any) -> None:
    summer = {"reason": "profile3", "from": "2026-07-01T00:00:00"}
    put(database, example(subscribers=[subscriber("bob", suspensions=[summer])]))
    put(database, {"settings": {"profile_names": {"profile3": "Summer house"}}}, NOW + 1)
    assert "profile3 (Summer house)" in ledgate("suspensions", "bob").output
    assert json.loads(ledgate("suspensions", "bob", "--json").output)[0]["reason"] == "profile3"
    assert "suspended it, profile3 (Summer house) from" in ledgate("explain", "bob", "--at", iso(NOW + 9)).output
    put(database, {"settings": {"profile_names": None}}, NOW + 2)
    assert "profile3 from" in ledgate("explain", "bob", "--at", iso(NOW + 9)).output
    for value, path in (
        ({"profile10": "x"}, "settings.profile_names.profile10"),
        ({"non_payer": "x"}, "settings.profile_names.non_payer"),
        ({"profile1": ""}, "settings.profile_names.profile1"),
        (["profile1"], "settings.profile_names"),
    ):
        with pytest.raises(BadLoad) as caught:
            put(database, {"settings": {"profile_names": value}}, NOW + 3)
        assert caught.value.path == path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("suspend", "bob"), "Missing option '--reason'"),
        (("suspend", "bob", "--reason", "lazy"), "Invalid value for '--reason'"),
        (("suspend", "bob", "--reason", "not_set", "--to", "soon"), "--to: 'soon' is not an instant"),
        (("suspend", "bob", "--reason", "not_set", "--to", "2001-01-01"), "--to: must be later than from"),
        (("suspend", "bob", "--reason", "not_set", "--repeat", "weekly"), "--repeat: weekly needs both from and to"),
        (("suspend", "nobody", "--reason", "not_set"), "no subscriber is called 'nobody'"),
        (("unsuspend", "nobody"), "no subscriber is called 'nobody'"),
    ],
)
def test_r4_1_the_command_line_refuses_in_one_line(
    ledgate: Callable[..., Result], database: Database, arguments: tuple[str, ...], message: str
) -> None:
    put(database, example(subscribers=[subscriber("bob")]))
    before = content(database)
    ended = ledgate(*arguments)
    [line] = ended.stderr.splitlines()
    assert (ended.exit_code, line.startswith(f"ledgate: {message}")) == (2, True), line
    assert content(database) == before


def test_r8_3_explain_tells_the_suspension_and_what_follows(ledgate: Callable[..., Result], database: Database) -> None:
    put(database, bob({**SUMMER, "to": "2026-12-10T00:00:00"}))
    now = json.loads(ledgate("explain", "bob", "--at", iso(NOW), "--json").output)
    assert now["next"] == [
        {"from": "2026-11-30T20:30:00Z", "verdict": "deny", "cause": "suspended"},
        {"from": "2026-12-09T20:30:00Z", "verdict": "allow", "cause": None},
    ]
    then = json.loads(ledgate("explain", "bob", "--at", iso(FROM), "--json").output)
    assert (then["verdict"], then["cause"], then["scope"]) == ("deny", "suspended", "user:bob")
    assert then["figures"] == {
        "reason": "profile3",
        "from_at": "2026-11-30T20:30:00Z",
        "to_at": "2026-12-09T20:30:00Z",
        "repeat": "yearly",
    }
    assert then["until"] == "2026-12-09T20:30:00Z"


# --- live sessions and logins ----------------------------------------------------------------------------------------


@pytest.fixture
def live(database: Database, database_url: str, tmp_path: Path) -> Iterator[Live]:
    with scene(database, database_url, tmp_path / "state") as live:
        yield live


SLOW = {"name": "garden", "suspended": {"restrict": {"rate_limit": "64k/64k"}}}


def test_r4_1_from_and_to_are_boundaries(live: Live) -> None:
    start, end = clock.now() + 3_600 * clock.SECOND, clock.now() + 7_200 * clock.SECOND
    window = {"reason": "not_set", "from": iso(start), "to": iso(end)}
    live.load({"username": "ali", "suspensions": [window]}, finish_rules=[SLOW])
    live.log_in("ali")
    for due in (start, end):
        assert boundaries.next_due(live.db, due - 1) == due
        assert not boundaries.run(live.db, due - 1)
        boundaries.run(live.db, due)
        [wish] = live.wishes()
        assert (wish["cause"], wish["requested_at"]) == ("boundary", due)


def test_r4_1_a_live_session_is_slowed_at_from_and_restored_at_to(live: Live) -> None:
    start = clock.now() + 2 * clock.SECOND
    end = start + 2 * clock.SECOND
    window = {"reason": "not_set", "from": iso(start), "to": iso(end)}
    live.load({"username": "ali", "suspensions": [window]}, finish_rules=[SLOW])
    with live.engine():
        live.log_in("ali")
        slowed, restored = live.change(0), live.change(1)
    assert (slowed.kind, slowed.asked["Mikrotik-Rate-Limit"]) == ("coa", "64k/64k")
    assert (restored.kind, restored.asked["Mikrotik-Rate-Limit"]) == ("coa", "20M/20M")
    assert 0 <= slowed.at - start < clock.SECOND and 0 <= restored.at - end < clock.SECOND


def test_r4_4_a_command_cuts_a_live_session_and_lifting_lets_it_in_again(live: Live) -> None:
    live.load({"username": "ali"})
    one = live.ref("ali")
    with live.engine():
        live.log_in("ali")
        now = clock.now()
        suspend(live.db, one.service_id, one.account_id, Suspension("unregistered", now), actor="test", now=now)
        assert live.change().kind == "disconnect"
        unsuspend(live.db, one.service_id, one.account_id, actor="test", now=clock.now())
        assert live.log_in("ali").told["Framed-Pool"] == "pool1"


def test_r3_1_radclient_is_told_what_the_reason_gets(database_url: str, tmp_path: Path) -> None:
    rule = {"name": "garden", "suspended": {"non_payer": {"restrict": {"address_list": "pay"}}, "*": "deny"}}
    suspended = [
        serving.subscriber("payer", suspensions=[{"reason": "non_payer", "from": "2026-01-01"}]),
        serving.subscriber("gone", suspensions=[{"reason": "profile1"}]),
        serving.subscriber("back", suspensions=[{"reason": "profile1", "to": "2026-01-01"}]),
    ]
    made = installation(database_url, tmp_path / "ledgate", auth_processes=1)
    made.load(serving.document(finish_rules=[rule], subscribers=suspended))
    with running(made, "replica", "auth") as served:
        payer, gone, back = (
            served.radclient(f"User-Name={name},User-Password=secret") for name in ("payer", "gone", "back")
        )
        assert payer is not None and gone is not None and back is not None
        assert (payer.code, payer.attributes["Mikrotik-Address-List"]) == ("Access-Accept", "pay")
        told = "Access is blocked: the service is suspended."
        assert (gone.code, gone.attributes["Reply-Message"]) == ("Access-Reject", told)
        assert (back.code, "Mikrotik-Address-List" in back.attributes) == ("Access-Accept", False)
    log = "cause=suspended reason=non_payer from_at=2025-12-31T20:30:00Z repeat=none scope=user:payer"
    serving.until(lambda: log in served.log, "the line of the log")
    assert "result=reject verdict=deny cause=suspended reason=profile1 repeat=none scope=user:gone" in served.log
