"""What moves money: charge and pay, each one transaction through access's door (shell)."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from aaa.commands.door import Change, change
from aaa.commands.recompile import Policies
from aaa.domain.money import format_amount
from aaa.domain.standing import Standing
from aaa.store import dialect, facts
from aaa.store.database import Database
from aaa.store.queries import ServiceRef
from aaa.store.tables import account
from billing import ledger, standing, tables

MOST: Final = 2**62
"""The greatest amount, debt or credit, in minor units: the sum of two still fits 64 bits."""
MOST_ID: Final = 200
MOST_NOTE: Final = 500


class Refused(ValueError):
    """A charge or payment that is not taken; the message says why, with the figures."""


@dataclass(frozen=True, slots=True)
class Posted:
    """The standing before and after, and the event. `repeated`: the id was known, nothing was posted. `held`: how many
    services it would have cut off at once, so many that this waits for a confirmation (R8.4).
    """

    before: Standing
    after: Standing
    event: int | None
    repeated: bool = False
    held: int = 0


def pay(
    db: Database, ref: ServiceRef, amount: int, *, external_id: str, provider: str = "cashier", actor: str, now: int
) -> Posted:
    """Post a payment on the service's account, once per (provider, external id) (R7.4); raises Refused."""
    _check_amount("a payment", amount)
    _check_text("the id of a payment", external_id, 1, MOST_ID)
    try:
        return _pay(db, ref, amount, external_id, provider, actor, now)
    except IntegrityError:  # the same id was posted to another account at the same moment
        return _pay(db, ref, amount, external_id, provider, actor, now)


def _pay(db: Database, ref: ServiceRef, amount: int, external_id: str, provider: str, actor: str, now: int) -> Posted:
    with change(db, actor=actor, now=now) as door:
        services = door.lock_account(ref.account_id)
        before = read_standing(door.conn, ref.account_id)
        known = door.conn.execute(
            select(tables.payment).where(
                tables.payment.c.provider == provider, tables.payment.c.external_id == external_id
            )
        ).first()
        if known is not None:
            if (known.amount, known.account_id) != (amount, ref.account_id):
                whose = "this account" if known.account_id == ref.account_id else "another account"
                raise Refused(
                    f"payment {external_id!r} is known already, with {known.amount} minor units on {whose}: "
                    "nothing was posted"
                )
            return Posted(before, before, None, repeated=True)
        after = _within(standing.paid(before, standing.Payment(amount, now)))
        event = door.event(
            "payment",
            f"account:{ref.account_id}",
            _money(before),
            _money(after) | {"amount": amount, "provider": provider, "id": external_id},
        )
        entry = post(door, "payment", ledger.payment(ref.account_id, before.currency, amount), event)
        door.conn.execute(
            tables.payment.insert(),
            {
                "entry_id": entry,
                "account_id": ref.account_id,
                "provider": provider,
                "external_id": external_id,
                "amount": amount,
                "at": now,
            },
        )
        write_standing(door.conn, after)
        door.touch(services, cause="payment", event=event)
        door.hold_cuts(db, services, event)
        return Posted(before, after, event, held=door.held)


def charge(
    db: Database,
    ref: ServiceRef,
    amount: int,
    *,
    due_at: int,
    note: str = "",
    override: bool = False,
    actor: str,
    now: int,
) -> Posted:
    """Post a charge that an operator asked for; refused above `max_debt` unless overridden, which is audited (R2.7)."""
    _check_amount("a charge", amount)
    _check_text("the note of a charge", note, 0, MOST_NOTE)
    with change(db, actor=actor, now=now) as door:
        services = door.lock_account(ref.account_id)
        before = read_standing(door.conn, ref.account_id)
        ceiling = _max_debt(door.conn, ref.service_id)
        would_be = max(0, before.debt - before.credit + amount)
        beyond = ceiling is not None and would_be > ceiling
        if ceiling is not None and beyond and not override:
            raise Refused(
                f"the charge of {_told(amount, before)} would bring the debt of {ref.username} from "
                f"{_told(before.debt, before)} to {_told(would_be, before)}, above max_debt {_told(ceiling, before)}: "
                "nothing was posted"
            )
        [charge_id] = dialect.new_ids(door.conn, tables.charge, 1)
        after = _within(standing.charged(before, standing.Charge(charge_id, amount, now, due_at)))
        details = {"amount": amount, "due_at": due_at, "note": note, "max_debt": ceiling, "overridden": beyond}
        event = door.event("charge", f"account:{ref.account_id}", _money(before), _money(after) | details)
        entry = post(door, "charge", ledger.charge(ref.account_id, before.currency, amount), event)
        row = {"account_id": ref.account_id, "amount": amount, "due_at": due_at, "note": note}
        door.conn.execute(tables.charge.insert(), row | {"id": charge_id, "entry_id": entry})
        write_standing(door.conn, after)
        door.touch(services, cause="charge", event=event)
        door.hold_cuts(db, services, event)
        return Posted(before, after, event, held=door.held)


def _told(amount: int, of: Standing) -> str:
    return format_amount(amount, of.currency)


def _check_amount(what: str, amount: int) -> None:
    if not 0 < amount <= MOST:
        raise Refused(f"{what} must be above zero and at most {MOST}, not {amount}")


def _check_text(what: str, text: str, least: int, most: int) -> None:
    if not least <= len(text) <= most or "\0" in text:
        raise Refused(f"{what} must have {least} to {most} characters, none of them NUL")


def _within(after: Standing) -> Standing:
    if max(after.debt, after.credit) > MOST:
        raise Refused(f"the account would come to more than {MOST} minor units: nothing was posted")
    return after


def post(door: Change, kind: str, postings: tuple[ledger.Posting, ...], event: int) -> int:
    """Append an entry with its postings; returns the entry's id."""
    row = {"at": door.now, "kind": kind, "event_id": event}
    entry = door.conn.execute(tables.entry.insert().returning(tables.entry.c.id), row).scalar_one()
    door.conn.execute(tables.posting.insert(), [ledger.row(one, entry) for one in postings])
    return int(entry)


def read_standing(conn: Connection, account_id: int) -> Standing:
    return facts.standing_of(account_id, conn.execute(select(account).where(account.c.id == account_id)).one())


def write_standing(conn: Connection, new: Standing) -> None:
    conn.execute(account.update().where(account.c.id == new.account_id).values(facts.standing_values(new)))


def _max_debt(conn: Connection, service_id: int) -> int | None:
    [found] = facts.read_services(conn, [service_id])
    own = facts.read_user_params(conn, {service_id: found.service.username})
    control = Policies(conn).of(found, own.get(service_id, ())).debit
    return None if control is None else control.max_debt


def _money(one: Standing) -> dict[str, Any]:
    return {"seq": one.seq, "debt": one.debt, "credit": one.credit}
