"""Opening balances: what an account brings along when its subscriber is made, posted once (shell).

A debt begins and is due at the last payment, if that is known, else at the opening.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from aaa.commands.door import Change
from aaa.domain.standing import Standing
from aaa.store import dialect
from billing import ledger, standing, tables


class Opening(NamedTuple):
    """`balance` in minor units, below zero is debt; `last_payment_at` in UTC microseconds, if known."""

    currency: str
    balance: int
    last_payment_at: int | None


def prepare(change: Change, openings: Sequence[Opening]) -> list[Standing]:
    """The standings that these openings come to, for accounts yet to be made."""
    debts = [one for one in openings if one.balance < 0]
    charges = iter(dialect.new_ids(change.conn, tables.charge, len(debts)))
    return [_standing(one, next(charges) if one.balance < 0 else 0, change.now) for one in openings]


def _standing(opening: Opening, charge_id: int, now: int) -> Standing:
    empty = Standing(account_id=0, currency=opening.currency, last_payment_at=opening.last_payment_at)
    if opening.balance < 0:
        since = opening.last_payment_at if opening.last_payment_at is not None else now
        return standing.charged(empty, standing.Charge(charge_id, -opening.balance, since, since))
    return replace(empty, credit=opening.balance)


def post(
    change: Change, accounts: Sequence[tuple[int, int]], openings: Sequence[Opening], standings: Sequence[Standing]
) -> None:
    """Post the openings of accounts just made, given as (account id, event id)."""
    entries = iter(dialect.new_ids(change.conn, tables.entry, sum(1 for one in openings if one.balance)))
    entry_rows: list[dict[str, Any]] = []
    posting_rows: list[dict[str, Any]] = []
    charge_rows: list[dict[str, Any]] = []
    opening_rows: list[dict[str, Any]] = []
    for (account_id, event_id), one, after in zip(accounts, openings, standings, strict=True):
        if not one.balance and one.last_payment_at is None:
            continue
        entry = None
        if one.balance:
            entry = next(entries)
            entry_rows.append({"id": entry, "at": change.now, "kind": "opening", "event_id": event_id})
            for side in ledger.opening(account_id, one.currency, one.balance):
                posting_rows.append(ledger.row(side, entry))
        for due in after.dues:
            charge_rows.append(
                {
                    "id": due.id,
                    "entry_id": entry,
                    "account_id": account_id,
                    "amount": due.remaining,
                    "due_at": due.due_at,
                    "note": "opening balance",
                }
            )
        opening_rows.append(
            {
                "account_id": account_id,
                "entry_id": entry,
                "balance": one.balance,
                "last_payment_at": one.last_payment_at,
            }
        )
    dialect.insert_many(change.conn, tables.entry, entry_rows)
    dialect.insert_many(change.conn, tables.posting, posting_rows)
    dialect.insert_many(change.conn, tables.charge, charge_rows)
    dialect.insert_many(change.conn, tables.opening, opening_rows)
