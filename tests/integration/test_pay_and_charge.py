"""Payments and charges: once per id, none lost under concurrency, the ledger in balance, limits on sales (R2.7, R7)."""

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select

from aaa.domain.standing import Standing
from aaa.domain.timeline import Verdict
from aaa.store.database import Database, open_database
from aaa.store.facts import standing_of
from aaa.store.tables import account, event
from billing import tables
from billing.commands import MOST, Posted, Refused, charge, pay
from billing.standing import Charge, Payment, derive
from tests.integration.ledger import DAY, EXAMPLE, NOW, content, example, put, ref, rows, subscriber, timeline_of

DUE = NOW + 10 * DAY


def _pay(db: Database, name: str, amount: int, identity: str, now: int = NOW) -> Posted:
    return pay(db, ref(db, name), amount, external_id=identity, actor="test", now=now)


def _charge(db: Database, name: str, amount: int, *, override: bool = False, now: int = NOW) -> Posted:
    return charge(db, ref(db, name), amount, due_at=DUE, override=override, actor="test", now=now)


def standing(db: Database, account_id: int) -> Standing:
    [row] = rows(db, account, account.c.id == account_id)
    return standing_of(row.id, row)


def assert_books_agree(db: Database) -> None:
    """Every entry sums to zero, and every standing is what its postings and its history come to (R7.1)."""
    sides: dict[int, int] = defaultdict(int)
    receivable: dict[int, int] = defaultdict(int)
    for one in rows(db, tables.posting):
        sides[one.entry_id] += one.amount
        if one.ledger == "receivable":
            receivable[one.account_id] += one.amount
    assert set(sides.values()) <= {0}
    at = {row.id: row.at for row in rows(db, tables.entry)}
    for row in rows(db, account):
        kept = standing_of(row.id, row)
        assert receivable[row.id] == kept.debt - kept.credit
        history: list[tuple[int, Charge | Payment]] = []
        start = Standing(row.id, row.currency)
        for opening in rows(db, tables.opening, tables.opening.c.account_id == row.id):
            start = replace(start, last_payment_at=opening.last_payment_at, credit=max(0, opening.balance))
        for one in rows(db, tables.charge, tables.charge.c.account_id == row.id):
            posted = one.due_at if one.note == "opening balance" else at[one.entry_id]
            history.append((one.entry_id, Charge(one.id, one.amount, posted, one.due_at)))
        for one in rows(db, tables.payment, tables.payment.c.account_id == row.id):
            history.append((one.entry_id, Payment(one.amount, one.at)))
        # entries are numbered in the order in which the account's lock let them post
        assert kept == derive(start, [posting for _, posting in sorted(history, key=lambda pair: pair[0])])


def in_threads(jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run these at the same moment; their results, or the exceptions they raised."""
    gate = threading.Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        gate.wait()
        try:
            return job()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def test_r7_4_a_payment_is_posted_once_per_id(database: Database) -> None:
    put(database, example(subscribers=[subscriber("bob", -900)]))
    first = _pay(database, "bob", 500, "bank-1")
    assert (first.before.debt, first.after.debt, first.repeated) == (900, 400, False)
    before = content(database)
    again = _pay(database, "bob", 500, "bank-1", NOW + DAY)
    assert again.repeated and again.event is None and again.after == again.before == first.after
    assert content(database) == before
    assert_books_agree(database)


def test_r7_4_a_known_id_with_another_amount_or_account_is_refused(database: Database) -> None:
    put(database, example(subscribers=[subscriber("bob", -900), subscriber("eve", -900)]))
    _pay(database, "bob", 500, "bank-1")
    before = content(database)
    with pytest.raises(Refused, match="'bank-1' is known already, with 500 minor units on this account"):
        _pay(database, "bob", 501, "bank-1")
    with pytest.raises(Refused, match="'bank-1' is known already, with 500 minor units on another account"):
        _pay(database, "eve", 500, "bank-1")
    assert content(database) == before


def test_r7_4_the_same_id_of_another_provider_is_another_payment(database: Database) -> None:
    put(database, EXAMPLE)
    _pay(database, "ali", 500, "1")
    posted = pay(database, ref(database, "ali"), 500, external_id="1", provider="bank", actor="test", now=NOW)
    assert not posted.repeated and posted.after.debt == 811_000


@pytest.mark.parametrize("amount", [0, -1, MOST + 1, 2**70])
def test_amounts_that_no_ledger_holds_are_refused(database: Database, amount: int) -> None:
    put(database, EXAMPLE)
    before = content(database)
    with pytest.raises(Refused, match="must be above zero"):
        _pay(database, "ali", amount, "1")
    with pytest.raises(Refused, match="must be above zero"):
        _charge(database, "ali", amount)
    assert content(database) == before


def test_an_account_cannot_outgrow_its_columns(database: Database) -> None:
    put(database, EXAMPLE)
    _pay(database, "ali", MOST, "1")
    before = content(database)
    with pytest.raises(Refused, match="nothing was posted"):
        _pay(database, "ali", MOST, "2")
    assert content(database) == before
    _charge(database, "ali", MOST)  # the credit covers it
    assert_books_agree(database)


@pytest.mark.parametrize("identity", ["", "x" * 201, "a\0b"])
def test_an_id_that_no_column_holds_is_refused(database: Database, identity: str) -> None:
    put(database, EXAMPLE)
    with pytest.raises(Refused, match="the id of a payment must have 1 to 200 characters"):
        _pay(database, "ali", 1, identity)
    with pytest.raises(Refused, match="the note of a charge"):
        charge(database, ref(database, "ali"), 1, due_at=DUE, note="x" * 501, actor="test", now=NOW)


def test_r7_4_of_many_who_post_the_same_payment_at_once_one_does(database: Database, database_url: str) -> None:
    put(database, example(subscribers=[subscriber("bob", -900)]))
    bob = ref(database, "bob")
    results = in_threads(
        [lambda: pay(database, bob, 500, external_id="bank-1", actor="test", now=NOW) for _ in range(5)]
    )
    assert sorted(one.repeated for one in results) == [False, True, True, True, True]
    assert standing(database, bob.account_id).debt == 400
    assert_books_agree(database)


def test_r7_4_of_two_accounts_that_are_given_the_same_id_at_once_one_is_refused(database: Database) -> None:
    put(database, example(subscribers=[subscriber("bob", -900), subscriber("eve", -900)]))
    refs = [ref(database, "bob"), ref(database, "eve")]
    for turn in range(5):

        def post(to: Any, identity: str) -> Callable[[], Posted]:
            return lambda: pay(database, to, 1, external_id=identity, actor="test", now=NOW)

        first, second = in_threads([post(one, f"bank-{turn}") for one in refs])
        refused = [one for one in (first, second) if isinstance(one, Refused)]
        assert len(refused) == 1 and "another account" in str(refused[0])
    assert_books_agree(database)


def test_r7_1_no_update_is_lost_when_many_pay_and_charge_one_account(database: Database, database_url: str) -> None:
    put(database, example(subscribers=[subscriber("bob", -1_000)]))
    bob = ref(database, "bob")
    databases = [open_database(database_url) for _ in range(4)]

    def pays(db: Database, number: int) -> Callable[[], object]:
        return lambda: [
            pay(db, bob, number * 10 + turn, external_id=f"{number}-{turn}", actor="test", now=NOW + turn)
            for turn in range(1, 6)
        ]

    def charges(db: Database, number: int) -> Callable[[], object]:
        return lambda: [
            charge(db, bob, number * 100 + turn, due_at=DUE - number * DAY, actor="test", now=NOW + turn)
            for turn in range(1, 6)
        ]

    work = [pays(databases[0], 1), pays(databases[1], 2), charges(databases[2], 3), charges(databases[3], 4)]
    results = in_threads(work)
    for db in databases:
        db.close()
    assert [one for one in results if isinstance(one, Exception)] == []
    after = standing(database, bob.account_id)
    paid = sum(number * 10 + turn for number in (1, 2) for turn in range(1, 6))
    charged = sum(number * 100 + turn for number in (3, 4) for turn in range(1, 6))
    assert (after.debt, after.seq) == (1_000 + charged - paid, 21)
    assert_books_agree(database)
    stored, version = timeline_of(database, "bob")
    [row] = rows(database, event, event.c.id == max(one.id for one in rows(database, event)))
    assert row.after["debt"] == after.debt  # the log ends where the account does
    assert dict(stored.segments[-1].reason.figures)["debt"] == after.debt if stored.segments[-1].reason else False
    assert version == 21


def test_r2_7_a_charge_above_the_ceiling_is_refused_with_the_figures(database: Database) -> None:
    put(database, example(subscribers=[subscriber("bob", -799_000)]))
    before = content(database)
    figures = "from 799,000 IRR to 800,001 IRR, above max_debt 800,000 IRR"
    told = f"the charge of 1,001 IRR would bring the debt of bob {figures}"
    with pytest.raises(Refused, match=told):
        _charge(database, "bob", 1001)
    assert content(database) == before


def test_r2_7_reaching_the_ceiling_exactly_is_allowed_and_blocks(database: Database) -> None:
    put(database, example(subscribers=[subscriber("bob", -799_000)]))
    assert timeline_of(database, "bob")[0].at(NOW).verdict is Verdict.ALLOW
    assert _charge(database, "bob", 1000).after.debt == 800_000
    assert timeline_of(database, "bob")[0].at(NOW).verdict is Verdict.RESTRICT
    [row] = rows(database, event, event.c.kind == "charge")
    assert row.after["overridden"] is False


def test_r2_7_an_override_is_audited(database: Database) -> None:
    put(database, example(subscribers=[subscriber("bob", -799_000)]))
    assert _charge(database, "bob", 1001, override=True).after.debt == 800_001
    [row] = rows(database, event, event.c.kind == "charge")
    assert row.actor == "test" and row.before == {"seq": 1, "debt": 799_000, "credit": 0}
    assert row.after == {
        "seq": 2,
        "debt": 800_001,
        "credit": 0,
        "amount": 1001,
        "due_at": DUE,
        "note": "",
        "max_debt": 800_000,
        "overridden": True,
    }


def test_r2_7_credit_counts_before_the_ceiling(database: Database) -> None:
    put(database, example(subscribers=[subscriber("bob", 500)]))
    with pytest.raises(Refused, match="from 0 IRR to 800,001 IRR"):
        _charge(database, "bob", 800_501)
    assert _charge(database, "bob", 800_500).after == replace(
        standing(database, ref(database, "bob").account_id), debt=800_000, credit=0
    )


def test_r2_7_the_service_of_a_vip_has_no_ceiling(database: Database) -> None:
    put(database, EXAMPLE)
    assert _charge(database, "ali", 10**12).after.debt == 10**12 + 812_000
    assert_books_agree(database)


def test_r2_4_prepaid_refuses_what_the_credit_does_not_cover(database: Database) -> None:
    put(database, example(subscribers=[subscriber("bob", 500)]))
    prepaid = {"name": "prepaid", "max_debt": 0}
    put(
        database, {"controls": [prepaid], "params": [{"scope": "user:bob", "name": "DebitControl", "value": "prepaid"}]}
    )
    with pytest.raises(Refused, match="max_debt 0"):
        _charge(database, "bob", 501)
    _charge(database, "bob", 500)
    assert timeline_of(database, "bob")[0].at(NOW).verdict is Verdict.ALLOW  # zero debt never blocks


def test_postings_of_a_payment_and_a_charge_name_their_event_and_sum_to_zero(database: Database) -> None:
    put(database, EXAMPLE)
    paid = _pay(database, "ali", 900_000, "1")
    charged = _charge(database, "ali", 100_000)
    with database.read() as conn:
        sums = conn.execute(
            select(tables.entry.c.kind, tables.entry.c.event_id, func.count(), func.sum(tables.posting.c.amount))
            .join(tables.posting, tables.posting.c.entry_id == tables.entry.c.id)
            .group_by(tables.entry.c.id)
            .order_by(tables.entry.c.id)
        ).all()
    assert [tuple(row) for row in sums[1:]] == [("payment", paid.event, 2, 0), ("charge", charged.event, 2, 0)]
    assert (charged.after.debt, charged.after.credit) == (12_000, 0)
    assert_books_agree(database)
