"""Services that share an account, and billing days, through the load file on both databases (R1.1, R2.1, R6.2)."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from aaa.commands import door
from aaa.commands.recompile import recompile
from aaa.domain.timeline import Cause
from aaa.store import facts
from aaa.store.database import Database
from aaa.store.tables import account, event, service, subscriber
from billing.commands import charge, pay
from billing.tables import opening
from ledgate.load import BadLoad, apply
from tests.integration.ledger import (
    DAY,
    NOW,
    content,
    example,
    put,
    ref,
    rows,
    service_row,
    timeline_of,
)
from tests.integration.ledger import subscriber as entry

FAMILY = "family-ali"


def family(*names: str, **more: Any) -> list[dict[str, Any]]:
    return [entry(name, account=FAMILY, **more) for name in names]


def accounts(db: Database) -> dict[str, tuple[int, str | None, int]]:
    """By username: the account's id, its name and billing day."""
    found = {row.id: row for row in rows(db, account)}
    return {
        row.username: (row.account_id, found[row.account_id].name, found[row.account_id].billing_day)
        for row in rows(db, service)
    }


def account_events(db: Database) -> list[tuple[Any, Any]]:
    changed = rows(db, event, event.c.kind == "update", event.c.subject.like("account:%"))
    return [(row.before, row.after) for row in changed]


# --- joining ---------------------------------------------------------------------------------------------------------


def test_r1_1_the_first_entry_that_names_an_account_makes_it_and_later_ones_join(database: Database) -> None:
    counts = put(database, example(subscribers=[entry("zoe"), *family("bob", "eve"), entry("tom")]))
    assert counts.created == 5
    found = accounts(database)
    assert found["bob"] == found["eve"] == (found["bob"][0], FAMILY, 1)
    assert len({one[0] for one in found.values()}) == 4
    assert found["zoe"][1] is found["tom"][1] is None
    assert len(rows(database, subscriber)) == 4  # who joins is no other payer
    put(database, {"subscribers": family("kim")}, NOW + 1)  # and so does one of a later file
    assert accounts(database)["kim"] == found["bob"]
    [created] = rows(database, event, event.c.subject == f"service:{service_row(database, 'kim').id}")
    assert created.after["account"] == {"id": found["bob"][0], "name": FAMILY}


def test_r1_1_the_same_file_again_changes_nothing(database: Database) -> None:
    document = example(subscribers=[*family("bob", "eve", billing_day=5), entry("zoe", billing_day=31)])
    put(database, document)
    before = content(database)
    put(database, document, NOW + 1)
    put(database, {"subscribers": [{"username": name} for name in ("bob", "eve", "zoe")]}, NOW + 2)
    assert content(database) == before


def test_r2_1_one_debt_blocks_every_service_of_the_account_and_one_payment_lifts_it(database: Database) -> None:
    put(database, example(subscribers=[*family("bob", "eve"), entry("zoe")]))
    charge(database, ref(database, "eve"), 800_000, due_at=NOW, actor="test", now=NOW)

    def causes() -> dict[str, Cause | None]:
        reasons = {name: timeline_of(database, name)[0].at(NOW + 1).reason for name in ("bob", "eve", "zoe")}
        return {name: reason.cause if reason else None for name, reason in reasons.items()}

    assert causes() == {"bob": Cause.DEBIT, "eve": Cause.DEBIT, "zoe": None}
    pay(database, ref(database, "bob"), 800_000, external_id="1", actor="test", now=NOW + 1)
    assert causes() == {"bob": None, "eve": None, "zoe": None}


def test_r2_1_who_joins_an_account_in_debt_shares_it_at_once(database: Database) -> None:
    debtor, joiner = family("bob", balance=-900_000)[0], family("eve")[0]
    put(database, example(subscribers=[debtor, joiner]))
    for name in ("bob", "eve"):
        reason = timeline_of(database, name)[0].at(NOW).reason
        assert reason is not None and reason.cause is Cause.DEBIT
    assert [row.balance for row in rows(database, opening, opening.c.account_id == accounts(database)["bob"][0])] == [
        -900_000
    ]


def test_r1_1_a_name_counts_in_its_visp(database: Database) -> None:
    shiraz = {"name": "shiraz", "currency": "EUR", "timezone": "Europe/Vienna"}
    other = entry("eve", visp="shiraz", plan=None, account=FAMILY)
    put(database, example(visps=[shiraz], subscribers=[*family("bob"), other]))
    found = accounts(database)
    assert found["bob"][0] != found["eve"][0]
    assert {row.currency for row in rows(database, account, account.c.name == FAMILY)} == {"IRR", "EUR"}


def test_r1_1_who_joins_may_be_suspended_and_opted_out(database: Database) -> None:
    suspended = entry("eve", account=FAMILY, suspensions=[{"reason": "not_set"}], dont_show_overdue=True)
    put(database, example(subscribers=[suspended | {"username": "bob"}, suspended, *family("kim")]))
    for name, reason in (("bob", "not_set"), ("eve", "not_set"), ("kim", None)):
        told = timeline_of(database, name)[0].at(NOW).reason
        assert (dict(told.figures)["reason"] if told else None) == reason
        assert service_row(database, name).dont_show_overdue is (reason is not None)


def test_r1_1_chunks_of_one_file_share_accounts(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply, "CHUNK", 2)
    people = [entry("zoe"), *family("bob"), *family("eve"), entry("tom"), *family("kim")]
    put(database, example(subscribers=people))
    found = accounts(database)
    assert found["bob"] == found["eve"] == found["kim"]
    assert len(rows(database, subscriber)) == 4


def test_r1_1_two_loads_at_once_make_one_account(database: Database) -> None:
    put(database, example())
    names = [f"user{number}" for number in range(6)]
    with ThreadPoolExecutor(3) as pool:
        done = [pool.submit(put, database, {"subscribers": family(name)}) for name in names]
    assert [one.result().created for one in done] == [1] * 6
    found = accounts(database)
    assert len({found[name] for name in names}) == 1
    assert len(rows(database, account, account.c.name == FAMILY)) == 1


# --- naming what is there --------------------------------------------------------------------------------------------


def test_r1_1_the_account_of_a_service_that_is_there_is_named_and_can_be_joined(database: Database) -> None:
    put(database, example(subscribers=[entry("bob", -5)]))
    versions = timeline_of(database, "bob")[1]
    put(database, {"subscribers": [{"username": "bob", "account": FAMILY}, *family("eve")]}, NOW + 1)
    found = accounts(database)
    assert found["bob"] == found["eve"] == (found["bob"][0], FAMILY, 1)
    assert account_events(database) == [({"name": None}, {"name": FAMILY})]
    assert timeline_of(database, "bob")[1] == versions  # a name changes no verdict


def test_r1_1_who_has_an_account_alone_may_drop_its_name(database: Database) -> None:
    put(database, example(subscribers=family("bob")))
    put(database, {"subscribers": [{"username": "bob", "account": None}, *family("eve")]}, NOW + 1)
    found = accounts(database)
    assert found["bob"][1] is None and found["eve"][1] == FAMILY
    assert found["bob"][0] != found["eve"][0]


@pytest.mark.parametrize(
    ("entries", "path", "message"),
    [
        ([{"username": "tom", "account": FAMILY}], "[0].account", "'tom' has an account of its own: it cannot move to"),
        ([{"username": "bob", "account": "other"}], "[0].account", "'bob' is on the account 'family-ali': it cannot"),
        ([{"username": "bob", "account": None}], "[0].account", "'bob' shares the account 'family-ali': it cannot"),
        (
            [*family("kim"), {"username": "solo", "account": FAMILY}],
            "[1].account",
            "'solo' is on the account 'alone': it cannot move to 'family-ali'",
        ),
        (
            [entry("kim", account="alone"), {"username": "solo", "account": None}],
            "[1].account",
            "'solo' shares the account 'alone': it cannot leave it",
        ),
        (
            [entry("kim", account="new"), {"username": "tom", "account": "new"}],
            "[1].account",
            "'tom' has an account of its own: it cannot move to 'new'",
        ),
        (family("kim", balance=5), "[0].balance", "belongs to the entry that makes the account 'family-ali'"),
        (family("kim", last_payment="2026-11-01"), "[0].last_payment", "belongs to the entry that makes"),
        (
            [entry("kim", account="new", balance=-5), entry("pat", account="new", balance=-5)],
            "[1].balance",
            "belongs to the entry that makes the account 'new'",
        ),
        ([entry("kim", account="")], "[0].account", "must have 1 to 64 characters"),
        ([entry("kim", account=7)], "[0].account", "must be text"),
        ([entry("kim", billing_day=0)], "[0].billing_day", "must be a whole number from 1 to 31"),
        ([entry("kim", billing_day=32)], "[0].billing_day", "must be a whole number from 1 to 31"),
        ([{"username": "bob", "billing_day": "1"}], "[0].billing_day", "must be a whole number from 1 to 31"),
        (
            [{"username": "bob", "billing_day": 5}, {"username": "eve", "billing_day": 6}],
            "[1].billing_day",
            "an earlier entry gives the account 'family-ali' the billing day 5",
        ),
        (
            [entry("kim", account="new", billing_day=5), entry("pat", account="new", billing_day=None)],
            "[1].billing_day",
            "an earlier entry gives the account 'new' the billing day 5",
        ),
    ],
)
def test_r1_1_r6_2_a_fault_is_refused_with_its_path(
    database: Database, entries: list[dict[str, Any]], path: str, message: str
) -> None:
    put(database, example(subscribers=[*family("bob", "eve"), entry("tom"), entry("solo", account="alone")]))
    before = content(database)
    with pytest.raises(BadLoad) as caught:
        put(database, {"subscribers": entries})
    assert caught.value.path == f"subscribers{path}"
    assert message in str(caught.value)
    assert content(database) == before


# --- billing days ----------------------------------------------------------------------------------------------------


def days(db: Database) -> dict[str, int]:
    """The billing day of each service, as policy sees it."""
    names = [row.username for row in rows(db, service)]
    with db.read() as conn:
        found = facts.read_services(conn, [ref(db, name).service_id for name in names])
    return {one.service.username: one.service.billing_day for one in found}


def test_r6_2_an_account_has_a_billing_day(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    put(database, example(subscribers=[*family("bob", billing_day=28), *family("eve"), entry("zoe", billing_day=31)]))
    assert days(database) == {"ali": 1, "bob": 28, "eve": 28, "zoe": 31}
    put(database, {"subscribers": [{"username": "eve", "billing_day": 5}, {"username": "bob", "billing_day": 5}]})
    assert days(database) == {"ali": 1, "bob": 5, "eve": 5, "zoe": 31}
    assert account_events(database) == [({"billing_day": 28}, {"billing_day": 5})]
    touched: list[int] = []

    def noted(conn: Any, ids: Any, **more: Any) -> int:
        touched.extend(ids)
        return recompile(conn, ids, **more)

    monkeypatch.setattr(door, "recompile", noted)
    put(database, {"subscribers": [{"username": "zoe", "billing_day": None}, *family("kim", billing_day=7)]}, NOW + DAY)
    assert days(database) == {"ali": 1, "bob": 7, "eve": 7, "zoe": 1, "kim": 7}
    assert set(touched) == {ref(database, name).service_id for name in ("bob", "eve", "kim", "zoe")}
    put(database, {"subscribers": [entry("pat", account="new"), entry("lea", account="new", billing_day=9)]})
    assert days(database)["pat"] == days(database)["lea"] == 9
