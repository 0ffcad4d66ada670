"""The installation's settings, changed inside an open change (shell)."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from aaa.commands import routers
from aaa.commands.catalogue import touch_users
from aaa.commands.door import Change
from aaa.debit.controls.definitions import OVERDUE_POLICY
from aaa.domain.settings import DEFAULTS, Settings
from aaa.store.settings import read_settings
from aaa.store.tables import setting


def put_settings(change: Change, values: Mapping[str, Any]) -> Settings:
    """Set the fields of Settings given, checked by the caller; None restores a default. Returns all that count now.

    What decides whether a reminder can be shown touches every scope that has an OverduePolicy (R5.1).
    """
    change.lock_scopes()  # one at a time: what is read here decides who is touched
    before = read_settings(change.conn)
    defaults = asdict(DEFAULTS)
    wanted = {name: defaults[name] if value is None else value for name, value in values.items()}
    after = replace(before, **wanted)
    differs = {name for name in wanted if getattr(before, name) != wanted[name]}
    if not differs:
        return before
    change.conn.execute(setting.delete().where(setting.c.name.in_(differs)))
    rows = [{"name": name, "value": wanted[name]} for name in sorted(differs) if wanted[name] != defaults[name]]
    if rows:
        change.conn.execute(setting.insert(), rows)
    told = [{name: getattr(one, name) for name in sorted(differs)} for one in (before, after)]
    event = change.event("settings", "settings", *told)
    routers.changed(change)
    if before.reminders != after.reminders:
        touch_users(change, OVERDUE_POLICY, None, cause="settings", event=event)
    return after
