"""Subscribers, accounts and services, made in bulk or changed one by one, inside an open change (shell)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aaa.commands.door import Change
from aaa.domain.standing import Standing
from aaa.store import dialect, facts
from aaa.store.seal import Sealer
from aaa.store.tables import account, event, service, subscriber


class NewService(NamedTuple):
    """A subscriber with one account and one service, to be made. `values` are columns of `service`."""

    username: str
    password: str
    visp_id: int
    currency: str
    values: Mapping[str, Any]


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
    services = dialect.new_ids(change.conn, service, len(new))
    events = dialect.new_ids(change.conn, event, len(new))
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
                **facts.standing_values(standing),
            }
            for row, owner, one, standing in zip(accounts, subscribers, new, standings, strict=True)
        ],
    )
    columns = ("plan_id", "center_id", "reseller_id", "class_id", "static_ip", "mac", "mac_auth", "active_to")
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
                **{name: one.values.get(name, False if name == "mac_auth" else None) for name in columns},
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
                "after": {"username": one.username, **one.values},
            }
            for row, service_id, one in zip(events, services, new, strict=True)
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
