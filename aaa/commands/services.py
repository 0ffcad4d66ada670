"""Subscribers, accounts and services, made in bulk or changed one by one, inside an open change (shell)."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from aaa.commands.door import Change
from aaa.domain.standing import Standing
from aaa.store import dialect, facts
from aaa.store.seal import Sealer
from aaa.store.tables import account, event, service, subscriber


class NewService(NamedTuple):
    """A service to be made, with a subscriber and an account of its own or on an account that is there.

    `values` are columns of `service`, `account` the name and billing day of its account.
    """

    username: str
    password: str
    visp_id: int
    currency: str
    values: Mapping[str, Any]
    account: Mapping[str, Any] = MappingProxyType({})


class Made(NamedTuple):
    """The ids of what was made."""

    service_id: int
    account_id: int
    event_id: int


def create(change: Change, new: Sequence[NewService], standings: Sequence[Standing], sealer: Sealer) -> list[Made]:
    """Make subscribers with an account and a service each, in a few set-based statements; they are compiled with the
    change.

    `standings` are what the accounts start with, in the same order.
    """
    change.lock_scopes()
    subscribers = dialect.new_ids(change.conn, subscriber, len(new))
    accounts = dialect.new_ids(change.conn, account, len(new))
    insert = dialect.insert_many
    insert(
        change.conn,
        subscriber,
        [{"id": row, "visp_id": one.visp_id, "name": one.username} for row, one in zip(subscribers, new, strict=True)],
    )
    insert(
        change.conn,
        account,
        [
            {
                "id": row,
                "subscriber_id": owner,
                "visp_id": one.visp_id,
                "currency": one.currency,
                "name": one.account.get("name"),
                "billing_day": one.account.get("billing_day", 1),
                **facts.standing_values(standing),
            }
            for row, owner, one, standing in zip(accounts, subscribers, new, standings, strict=True)
        ],
    )
    return _on(change, new, accounts, sealer)


def join(change: Change, new: Sequence[NewService], accounts: Sequence[int], sealer: Sealer) -> list[Made]:
    """Make services on these accounts, in the same order, whose locks the change holds. No money moves."""
    if not new:
        return []
    change.lock_scopes()
    return _on(change, new, accounts, sealer)


_COLUMNS: Final[Mapping[str, Any]] = {
    "plan_id": None,
    "center_id": None,
    "reseller_id": None,
    "class_id": None,
    "static_ip": None,
    "mac": None,
    "mac_auth": False,
    "active_to": None,
    "dont_show_overdue": False,
}
"""What a new service may be given, and has if not."""


def _on(change: Change, new: Sequence[NewService], accounts: Sequence[int], sealer: Sealer) -> list[Made]:
    services = dialect.new_ids(change.conn, service, len(new))
    events = dialect.new_ids(change.conn, event, len(new))
    insert = dialect.insert_many
    insert(
        change.conn,
        service,
        [
            {
                "id": row,
                "account_id": owner,
                "visp_id": one.visp_id,
                "username": one.username,
                "password": sealer.seal("service", "password", row, one.password.encode()),
                **{name: one.values.get(name, default) for name, default in _COLUMNS.items()},
            }
            for row, owner, one in zip(services, accounts, new, strict=True)
        ],
    )
    insert(
        change.conn,
        event,
        [
            {
                "id": row,
                "at": change.now,
                "actor": change.actor,
                "kind": "create",
                "subject": f"service:{service_id}",
                "before": None,
                "after": {"username": one.username, "account": {"id": owner, **one.account}, **one.values},
            }
            for row, service_id, owner, one in zip(events, services, accounts, new, strict=True)
        ],
    )
    made = [Made(*ids) for ids in zip(services, accounts, events, strict=True)]
    for one in made:
        change.touch_new([one.service_id], cause="create", event=one.event_id)
    return made


def update(
    change: Change, row: Mapping[str, Any], values: Mapping[str, Any], password: str | None, sealer: Sealer
) -> bool:
    """Change the given columns of a service, and its password if one is given; False if all was so already.

    `row` is the service as stored, read under the lock of its account.
    """
    service_id = row["id"]
    before: dict[str, Any] = {name: row[name] for name, value in values.items() if row[name] != value}
    after: dict[str, Any] = {name: values[name] for name in before}
    written = dict(after)
    if password is not None and sealer.unseal("service", "password", service_id, row["password"]) != password.encode():
        written["password"] = sealer.seal("service", "password", service_id, password.encode())
        before["password"] = after["password"] = "***"
    if not written:
        return False
    if not facts.SCOPE_COLUMNS.isdisjoint(written):
        change.lock_scopes()
    change.conn.execute(service.update().where(service.c.id == service_id).values(written))
    event_id = change.event("update", f"service:{service_id}", before, after)
    change.touch([service_id], cause="update", event=event_id)
    return True
