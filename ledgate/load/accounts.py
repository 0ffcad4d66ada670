"""The keys `account` and `billing_day` of a subscriber: services that share an account, and its billing day (shell).

An account that services share has a name within its VISP. The first entry that names it makes it, later ones join it.
Money stays where it is: a service that is there already does not move to another account.
"""

from collections.abc import Collection, Sequence
from typing import Any, NoReturn

from sqlalchemy import Connection, func, select

from aaa.commands.door import Change
from aaa.commands.services import Made, NewService
from aaa.domain.billing_period import MOST_BILLING_DAY
from aaa.store import dialect
from aaa.store.tables import account, service
from ledgate.load import fields
from ledgate.load.fields import BadLoad, Reader


def ids_named(conn: Connection, readers: Sequence[Reader]) -> Sequence[int]:
    """The accounts of the names in these entries, in whatever VISP."""
    names = _names(readers)
    if not names:
        return ()
    return conn.execute(select(account.c.id).where(dialect.among(conn, account.c.name, names))).scalars().all()


class Accounts:
    """The accounts that a load under way meets; their locks are held."""

    def __init__(self, door: Change) -> None:
        self._door = door
        self._named: dict[tuple[int, str], int | None] = {}
        """By VISP id and name; None: it is to be made with this chunk."""
        self._rows: dict[int, dict[str, Any]] = {}
        self._joined: set[int] = set()
        self._days: dict[tuple[int, str], int] = {}

    def begin(self, readers: Sequence[Reader], account_ids: Collection[int]) -> None:
        """Read what the entries of a chunk need; `account_ids` are those of services that are there already."""
        conn, columns = self._door.conn, (account.c.id, account.c.visp_id, account.c.name, account.c.billing_day)
        names = _names(readers)
        if names:
            for row in conn.execute(select(*columns).where(dialect.among(conn, account.c.name, names))):
                self._named[row.visp_id, row.name] = row.id
        self._rows = {}
        if account_ids and any(one.has("account") or one.has("billing_day") for one in readers):
            found = select(*columns).where(dialect.among(conn, account.c.id, account_ids))
            self._rows = {row["id"]: dict(row) for row in conn.execute(found).mappings()}

    def update(self, reader: Reader, username: str, account_id: int) -> None:
        """Put what the entry of a service that is there already says of its account."""
        changed: dict[str, Any] = {}
        if reader.has("account"):
            name = reader.take("account", fields.name)
            if name != self._rows[account_id]["name"]:
                self._rename(reader, username, account_id, name)
                changed["name"] = name
        if reader.has("billing_day"):
            row = self._rows[account_id]
            changed["billing_day"] = self._day(reader, row["visp_id"], changed.get("name", row["name"]))
        self._write(account_id, self._rows.get(account_id, {}), changed)

    def _rename(self, reader: Reader, username: str, account_id: int, name: str | None) -> None:
        row = self._rows[account_id]
        visp_id, present = row["visp_id"], row["name"]
        if name is not None:
            if present is not None:
                _refuse(reader, f"{username!r} is on the account {present!r}: it cannot move to {name!r}")
            if (visp_id, name) in self._named:
                _refuse(reader, f"{username!r} has an account of its own: it cannot move to {name!r}")
            self._named[visp_id, name] = account_id
            return
        owned = select(func.count()).select_from(service).where(service.c.account_id == account_id)
        if account_id in self._joined or self._door.conn.execute(owned).scalar_one() > 1:
            _refuse(reader, f"{username!r} shares the account {present!r}: it cannot leave it")
        self._named.pop((visp_id, present), None)

    def joins(self, reader: Reader, visp_id: int) -> bool:
        """Whether a new service joins an account that is there, or is made by an earlier entry."""
        name = reader.take("account", fields.name)
        if name is None:
            return False
        if (visp_id, name) not in self._named:
            self._named[visp_id, name] = None
            return False
        for key in ("balance", "last_payment"):
            if reader.raw(key):
                raise BadLoad(
                    reader.at(key), f"belongs to the entry that makes the account {name!r}: this one joins it"
                )
        joined = self._named[visp_id, name]
        if joined is not None:
            self._joined.add(joined)
        return True

    def columns(self, reader: Reader, visp_id: int) -> dict[str, Any]:
        """What a new service's entry says of its account, as columns."""
        name = reader.take("account", fields.name)
        found: dict[str, Any] = {} if name is None else {"name": name}
        if reader.has("billing_day"):
            found["billing_day"] = self._day(reader, visp_id, name)
        return found

    def made(self, new: Sequence[NewService], made: Sequence[Made]) -> None:
        """These accounts are there now."""
        for one, its in zip(new, made, strict=True):
            if "name" in one.account:
                self._named[one.visp_id, one.account["name"]] = its.account_id

    def joined(self, new: Sequence[NewService]) -> list[int]:
        """The ids of the accounts that these services join, each with the billing day that its entry gives."""
        found: list[int] = []
        for one in new:
            account_id = self._named[one.visp_id, one.account["name"]]
            assert account_id is not None
            found.append(account_id)
            if "billing_day" in one.account:
                day = select(account.c.billing_day).where(account.c.id == account_id)
                stored = {"billing_day": self._door.conn.execute(day).scalar_one()}
                self._write(account_id, stored, {"billing_day": one.account["billing_day"]})
        return found

    def _day(self, reader: Reader, visp_id: int, name: str | None) -> int:
        day = reader.take("billing_day", fields.whole(1, MOST_BILLING_DAY)) or 1
        if name is not None and self._days.setdefault((visp_id, name), day) != day:
            other = self._days[visp_id, name]
            raise BadLoad(
                reader.at("billing_day"), f"an earlier entry gives the account {name!r} the billing day {other}"
            )
        return day

    def _write(self, account_id: int, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
        before = {key: stored[key] for key in wanted if stored[key] != wanted[key]}
        if not before:
            return
        after = {key: wanted[key] for key in before}
        stored.update(after)
        self._door.conn.execute(account.update().where(account.c.id == account_id).values(after))
        event = self._door.event("update", f"account:{account_id}", before, after)
        if "billing_day" in after:
            owned = select(service.c.id).where(service.c.account_id == account_id)
            self._door.touch(self._door.conn.execute(owned).scalars(), cause="update", event=event)


def _names(readers: Sequence[Reader]) -> set[str]:
    return {name for one in readers if (name := one.take("account", fields.name)) is not None}


def _refuse(reader: Reader, message: str) -> NoReturn:
    raise BadLoad(reader.at("account"), message)
