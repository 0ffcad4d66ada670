"""The tables that billing owns, keyed by access's ids. Append-only: a correction is a new entry (R7.1)."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

from aaa.store.dialect import Id
from aaa.store.tables import NAMING, account, plan
from aaa.store.tables import event as event_table

metadata = MetaData(naming_convention=NAMING)

price = Table(
    "price",
    metadata,
    Column("plan_id", Id, ForeignKey(plan.c.id), primary_key=True, autoincrement=False),
    Column("months", Integer, primary_key=True, autoincrement=False),
    Column("amount", BigInteger, nullable=False),
)

entry = Table(
    "entry",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False),  # opening, charge, payment
    Column("event_id", Id, ForeignKey(event_table.c.id), nullable=False, index=True),
)

posting = Table(
    "posting",
    metadata,
    Column("id", Id, primary_key=True),
    Column("entry_id", Id, ForeignKey("entry.id"), nullable=False, index=True),
    Column("ledger", String(16), nullable=False),  # receivable, revenue, cash, opening
    Column("account_id", Id, ForeignKey(account.c.id), nullable=False, index=True),
    Column("currency", String(3), nullable=False),
    Column("amount", BigInteger, nullable=False),  # debits above zero, credits below; an entry sums to zero
    CheckConstraint("amount <> 0", name="not_zero"),
)

opening = Table(
    "opening",
    metadata,
    Column("account_id", Id, ForeignKey(account.c.id), primary_key=True, autoincrement=False),
    Column("entry_id", Id, ForeignKey("entry.id")),  # null: the balance was zero
    Column("balance", BigInteger, nullable=False),  # below zero is debt
    Column("last_payment_at", BigInteger),
)

charge = Table(
    "charge",
    metadata,
    Column("id", Id, primary_key=True),
    Column("entry_id", Id, ForeignKey("entry.id"), nullable=False, index=True),
    Column("account_id", Id, ForeignKey(account.c.id), nullable=False, index=True),
    Column("amount", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("note", String(500), nullable=False, server_default=""),
    CheckConstraint("amount > 0", name="positive"),
)

payment = Table(
    "payment",
    metadata,
    Column("id", Id, primary_key=True),
    Column("entry_id", Id, ForeignKey("entry.id"), nullable=False, index=True),
    Column("account_id", Id, ForeignKey(account.c.id), nullable=False, index=True),
    Column("provider", String(32), nullable=False),
    Column("external_id", String(200), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    UniqueConstraint("provider", "external_id"),  # idempotent (R7.4)
    CheckConstraint("amount > 0", name="positive"),
)
