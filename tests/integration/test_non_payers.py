"""Automatic suspension from the load file to the timeline and live sessions, on both databases (R4.5 to R4.9)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aaa import clock
from aaa.commands.leniency import exempt
from aaa.domain.instant import iso
from aaa.domain.timeline import Cause, Reason, Verdict
from aaa.store.database import Database
from aaa.store.tables import access, account, control, enforcement, event, job, service
from billing.commands import charge, pay
from ledgate.load import BadLoad, load
from ledgate.load.fields import parse_instant
from tests.integration.command import Ledgate
from tests.integration.ledger import (
    DAY,
    NOW,
    content,
    example,
    make_live,
    put,
    ref,
    rows,
    service_row,
    subscriber,
    timeline_of,
)
from tests.integration.live_change import Live, scene

STRICT = {
    "name": "strict",
    "pozastavit_neplatice": 1,
    "pozastavit_po_splatnosti": 14,
    "pozastavit_neplatice_min_castka": 39_900,
    "match": "all",
}
ON_SERVER = {"scope": "server", "name": "SuspendPolicy", "value": "strict"}
DUE = parse_instant("2026-11-20", "Asia/Tehran")
CUT = parse_instant("2026-12-05", "Asia/Tehran")  # day 14 is still a day to pay
LATER = CUT + DAY


def strict(*people: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The document of the manual with a SuspendPolicy on the server, and no limit of debt, for these subscribers."""
    known: dict[str, Any] = example(subscribers=list(people))
    return known | {
        "controls": [{"name": "Home-Users", "max_debt": None, "max_delay": None}, {"name": "VIP"}],
        "suspend_policies": [STRICT | changes],
        "params": [*known["params"], ON_SERVER],
    }


def bill(db: Database, name: str, amount: int, due_at: int = DUE, now: int = NOW) -> None:
    charge(db, ref(db, name), amount, due_at=due_at, actor="test", now=now)


def reason(db: Database, name: str, at: int) -> Reason | None:
    return timeline_of(db, name)[0].at(at).reason


def begins(db: Database, name: str) -> int | None:
    """When the service is suspended."""
    found = timeline_of(db, name)[0].segments
    return next((one.start for one in found if one.reason and one.reason.cause is Cause.SUSPENDED), None)


# --- the load file ---------------------------------------------------------------------------------------------------


def test_r4_5_a_policy_of_the_file_suspends_who_does_not_pay(database: Database) -> None:
    put(database, strict(subscriber("bob")))
    [stored] = rows(database, control, control.c.kind == "SuspendPolicy")
    assert (stored.name, stored.value) == ("strict", {key: value for key, value in STRICT.items() if key != "name"})
    assert begins(database, "bob") is None  # R8.5
    bill(database, "bob", 39_900)
    assert begins(database, "bob") is None  # R4.6: reached is not exceeded
    bill(database, "bob", 1)
    assert begins(database, "bob") == CUT
    segment = timeline_of(database, "bob")[0].at(CUT)
    assert segment.verdict is Verdict.DENY and segment.reason is not None
    assert dict(segment.reason.figures) == {
        "reason": "non_payer",
        "policy": "strict",
        "currency": "IRR",
        "overdue": 39_901,
        "oldest_due_at": DUE,
        "limit": "both",
        "days": 14,
        "least": 39_900,
    }
    pay(database, ref(database, "bob"), 2, external_id="1", actor="test", now=LATER)
    assert timeline_of(database, "bob")[0].at(LATER).verdict is Verdict.ALLOW  # R4.8: it lifts itself


def test_r4_8_the_switch_lifts_and_restores_and_nothing_of_it_is_stored(database: Database) -> None:
    put(database, strict(subscriber("bob")))
    bill(database, "bob", 50_000)
    put(database, {"suspend_policies": [{"name": "strict", "pozastavit_neplatice": 0}]}, LATER)
    assert reason(database, "bob", LATER) is None
    [stored] = rows(database, control, control.c.kind == "SuspendPolicy")
    assert (stored.value["pozastavit_neplatice"], stored.value["pozastavit_po_splatnosti"]) == (0, 14)
    before = service_row(database, "bob")
    put(database, {"suspend_policies": [{"name": "strict", "suspend_non_payers": 1}]}, LATER + 1)
    told = reason(database, "bob", LATER + 1)
    assert told is not None and told.cause is Cause.SUSPENDED
    assert service_row(database, "bob") == before


def test_r4_5_absent_keys_stay_and_null_is_the_default(database: Database) -> None:
    put(database, strict(match="any"))
    put(database, {"suspend_policies": [{"name": "strict", "suspend_days_after_due": 5}]}, NOW + 1)
    put(database, {"suspend_policies": [{"name": "strict", "pozastavit_neplatice_min_castka": None}]}, NOW + 2)
    [stored] = rows(database, control, control.c.kind == "SuspendPolicy")
    assert stored.value == {
        "pozastavit_neplatice": 1,
        "pozastavit_po_splatnosti": 5,
        "pozastavit_neplatice_min_castka": None,
        "match": "any",
    }
    before = content(database)
    put(database, {"suspend_policies": [{"name": "strict", "suspend_days_after_due": 5}]}, NOW + 3)
    assert content(database) == before


def test_r1_2_it_counts_on_every_scope(database: Database) -> None:
    member = {"center": "c1", "reseller": "r1", "class": "students"}
    document = strict(subscriber("bob", **member), subscriber("eve"))
    document["suspend_policies"].append({"name": "mild", "suspend_non_payers": 1, "suspend_days_after_due": 30})
    document |= {"centers": [{"name": "c1"}], "resellers": [{"name": "r1"}], "classes": [{"name": "students"}]}
    put(database, document)
    bill(database, "bob", 50_000)
    bill(database, "eve", 50_000)
    mild = CUT + 16 * DAY
    for scope in ("center:c1", "visp:tehran", "reseller:r1", "plan:home20", "class:students", "user:bob"):
        put(database, {"params": [{"scope": scope, "name": "SuspendPolicy", "value": "mild"}]})
        assert begins(database, "bob") == mild
        told = reason(database, "bob", mild)
        assert told is not None and told.scope == scope
        assert begins(database, "eve") == (mild if scope in ("visp:tehran", "plan:home20") else CUT)
        put(database, {"params": [{"scope": scope, "name": "SuspendPolicy", "value": None}]})
        assert begins(database, "bob") == CUT


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"suspend_policies": [{}]}, "suspend_policies[0].name"),
        ({"suspend_policies": ["strict"]}, "suspend_policies[0]"),
        (
            {"suspend_policies": [{"name": "x", "pozastavit_neplatice": 2}]},
            "suspend_policies[0].pozastavit_neplatice",
        ),
        (
            {"suspend_policies": [{"name": "strict", "suspend_days_after_due": "14"}]},
            "suspend_policies[0].suspend_days_after_due",
        ),
        (
            {"suspend_policies": [{"name": "x", "suspend_min_amount": 1, "pozastavit_neplatice_min_castka": 1}]},
            "suspend_policies[0].suspend_min_amount",
        ),
        ({"suspend_policies": [{"name": "x", "match": "none"}]}, "suspend_policies[0].match"),
        ({"suspend_policies": [{"name": "x", "days": 1}]}, "suspend_policies[0].days"),
        ({"params": [{"scope": "server", "name": "SuspendPolicy", "value": "gone"}]}, "params[0].value"),
    ],
)
def test_r4_5_a_fault_is_refused_with_its_path(database: Database, document: dict[str, Any], path: str) -> None:
    put(database, strict())
    before = content(database)
    with pytest.raises(BadLoad) as caught:
        put(database, document)
    assert caught.value.path == path
    assert content(database) == before


# --- exemptions ------------------------------------------------------------------------------------------------------


@pytest.fixture
def ledgate(database_url: str, tmp_path: Path) -> Ledgate:
    return Ledgate(database_url, tmp_path)


def test_r4_9_an_exemption_holds_for_one_service_until_its_end(database: Database) -> None:
    put(database, strict(subscriber("bob"), subscriber("eve")))
    bill(database, "bob", 50_000)
    bill(database, "eve", 50_000)
    live = make_live(database, ["bob", "eve"])
    one, until = ref(database, "bob"), CUT + 10 * DAY
    assert exempt(database, one.service_id, one.account_id, until, actor="ana", now=LATER) is None
    assert service_row(database, "bob").exempt_until == until
    assert reason(database, "bob", until - 1) is None
    told = reason(database, "bob", until)
    assert told is not None and dict(told.figures)["exempt_until_at"] == until
    assert begins(database, "eve") == CUT
    assert [(row.session_id, row.cause) for row in rows(database, enforcement)] == [(live["bob"], "exempt")]
    events = len(rows(database, event))
    assert exempt(database, one.service_id, one.account_id, until, actor="ana", now=LATER + 1) == until
    assert len(rows(database, event)) == events
    assert exempt(database, one.service_id, one.account_id, None, actor="eva", now=LATER + 2) == until
    assert reason(database, "bob", LATER + 2) is not None
    told_of = [
        (row.actor, row.subject, row.before, row.after) for row in rows(database, event, event.c.kind == "exempt")
    ]
    subject = f"service:{one.service_id}"
    assert told_of == [
        ("ana", subject, {"exempt_until": None}, {"exempt_until": until}),
        ("eva", subject, {"exempt_until": until}, {"exempt_until": None}),
    ]


def test_r4_9_from_the_command_line(ledgate: Ledgate, database: Database) -> None:
    put(database, strict(subscriber("bob")), clock.now())
    bill(database, "bob", 50_000, due_at=parse_instant("2020-01-01", "UTC"), now=clock.now())
    told = ledgate("explain", "bob")
    assert "deny because non-payer: overdue 50,000 IRR is above 39,900 IRR, unpaid more than 14 days after " in told
    assert ledgate("exempt", "bob", "--until", "2099-12-24") == (
        "bob is not suspended by itself before 2099-12-23T20:30:00Z\n"
    )
    assert ledgate.json("explain", "bob")["cause"] is None
    assert ledgate.json("exempt", "bob", "--until", "2099-01-01T00:00:00Z") == {
        "username": "bob",
        "exempt_until": "2099-01-01T00:00:00Z",
        "before": "2099-12-23T20:30:00Z",
    }
    assert ledgate("exempt", "bob") == "bob is exempt no more; it was until 2099-01-01T00:00:00Z\n"
    assert ledgate.json("explain", "bob")["cause"] == "suspended"
    assert ledgate("exempt", "bob", "--until", "none") == "bob had no exemption\n"
    [first, *_] = rows(database, event, event.c.kind == "exempt")
    assert first.actor == "cli:ana"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("exempt",), "Missing argument 'USER'"),
        (("exempt", "nobody", "--until", "2099-12-24"), "no subscriber is called 'nobody'"),
        (("exempt", "bob", "--until", "soon"), "--until: 'soon' is not an instant such as"),
        (("exempt", "bob", "--until", "2020-01-01"), "--until: 2019-12-31T20:30:00Z is over already"),
    ],
)
def test_r4_9_the_command_line_refuses_in_one_line(
    ledgate: Ledgate, database: Database, arguments: tuple[str, ...], message: str
) -> None:
    put(database, strict(subscriber("bob")))
    before = content(database)
    assert ledgate.refuses(*arguments).startswith(message)
    assert content(database) == before


# --- live sessions ----------------------------------------------------------------------------------------------------


@pytest.fixture
def live(database: Database, database_url: str, tmp_path: Path) -> Iterator[Live]:
    with scene(database, database_url, tmp_path / "state") as live:
        yield live


def test_r4_8_a_live_session_is_restricted_and_a_payment_lifts_it(live: Live) -> None:
    slow = {"name": "garden", "suspended": {"non_payer": {"restrict": {"rate_limit": "64k/64k"}}, "*": "deny"}}
    lenient = {"name": "strict", "suspend_non_payers": 1, "suspend_days_after_due": 0}
    live.load(
        {"username": "ali", "balance": -50_000, "last_payment": iso(clock.now() - 5 * DAY)},
        finish_rules=[slow],
    )
    with live.engine():
        live.log_in("ali")
        document = {"suspend_policies": [lenient], "params": [ON_SERVER]}
        load(live.db, document, live.sealer, actor="test", now=clock.now())
        slowed = live.change(0)
        live.pay("ali", 50_000)
        restored = live.change(1)
    assert (slowed.kind, slowed.asked["Mikrotik-Rate-Limit"]) == ("coa", "64k/64k")
    assert (restored.kind, restored.asked["Mikrotik-Rate-Limit"]) == ("coa", "20M/20M")
    assert not live.rows(job)
    assert len(live.rows(access)) == len(live.rows(service)) == len(live.rows(account)) == 1
