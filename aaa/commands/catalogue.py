"""VISPs, centers, resellers, classes, plans, controls, params and routers: put by name, inside an open change (shell).

Each `put_*` inserts or updates the object of that name with the columns given (absent ones stay), appends an event if
anything changed, touches the services it reaches, and returns the object's id. Values were checked by the caller. A new
VISP, center, reseller, class, plan or control touches nobody: no service is in it and no param names it yet.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import ColumnElement, Table, select

from aaa.commands import routers
from aaa.commands.door import Change
from aaa.debit.controls.definitions import FINISH_RULE, OVERDUE_POLICY
from aaa.domain.service import Level, Status
from aaa.store import dialect
from aaa.store.seal import Sealer
from aaa.store.tables import center, control, nas, param, plan, reseller, service, service_class, visp

_ON_ROUTERS: Final = frozenset((FINISH_RULE, OVERDUE_POLICY))
"""The controls that routers have rules for."""
_SEALED: Final = frozenset(("secret", "previous_secret", "api_password"))
LEVEL_TABLES: Final[Mapping[Level, Table]] = {
    Level.CENTER: center,
    Level.VISP: visp,
    Level.RESELLER: reseller,
    Level.PLAN: plan,
    Level.CLASS: service_class,
    Level.USER: service,
}


def put_visp(change: Change, name: str, values: Mapping[str, Any]) -> int:
    """`values`: currency, timezone, realm."""
    visp_id, event, differs = _put(change, visp, {"name": name}, values, f"visp:{name}")
    if differs & {"timezone", "currency"}:
        change.touch_scope(Level.VISP, visp_id, cause="visp", event=event)
    return visp_id


def put_scope(change: Change, level: Level, name: str) -> int:
    """A center, reseller or class: nothing but a name to put services under and to hang params on."""
    scope_id, _, _ = _put(change, LEVEL_TABLES[level], {"name": name}, {}, f"{level.name.lower()}:{name}")
    return scope_id


def put_plan(change: Change, visp_id: int, name: str, values: Mapping[str, Any]) -> int:
    """`values`: reply, a mapping of attributes."""
    plan_id, event, differs = _put(change, plan, {"visp_id": visp_id, "name": name}, values, f"plan:{name}")
    if differs:
        change.touch_scope(Level.PLAN, plan_id, cause="plan", event=event)
    return plan_id


def put_control(change: Change, kind: str, name: str, value: Mapping[str, Any]) -> int:
    """A DebitControl, FinishRule, …: touches every scope whose params name it."""
    control_id, event, differs = _put(change, control, {"kind": kind, "name": name}, {"value": value}, f"{kind}:{name}")
    if event and kind in _ON_ROUTERS:
        routers.changed(change)
    if differs:
        touch_users(change, kind, name, cause="control", event=event)
    return control_id


def touch_users(change: Change, kind: str, name: str | None, *, cause: str, event: int) -> None:
    """Touch every scope with a param that names this control; None: any of its kind."""
    for one in change.conn.execute(select(param).where(param.c.name == kind)).mappings():
        if name is None or one["value"] == name:
            _touch_param(change, Level[one["level"].upper()], one["scope_id"], cause, event)


def put_param(change: Change, level: Level, scope_id: int, scope: str, name: str, value: Any, status: Status) -> int:
    """A param on a scope; `scope` is its name for the audit log. A `value` of None clears it."""
    key = {"level": level.name.lower(), "scope_id": scope_id, "name": name}
    subject = f"service:{scope_id}" if level is Level.USER else scope
    if value is None:
        found = change.conn.execute(select(param).filter_by(**key)).mappings().first()
        if found is None:
            return 0
        change.conn.execute(param.delete().where(param.c.id == found["id"]))
        before = {"param": name, "value": found["value"], "status": found["status"]}
        event = change.event("delete", subject, before, None)
        _touch_param(change, level, scope_id, "param", event)
        return 0
    values = {"value": value, "status": status.value}
    param_id, event, _ = _put(change, param, key, values, subject, about={"param": name})
    if event:
        _touch_param(change, level, scope_id, "param", event)
    return param_id


def _touch_param(change: Change, level: Level, scope_id: int, cause: str, event: int) -> None:
    if level is Level.USER:
        change.touch([scope_id], cause=cause, event=event)
    else:
        change.touch_scope(level, scope_id, cause=cause, event=event)


def put_nas(change: Change, name: str, values: Mapping[str, Any], sealer: Sealer) -> int:
    """`values` has the columns of `nas`; secrets and the API's password come as text (None: cleared) and are sealed
    here. When it is to be told what is left of quotas from now on, every service is compiled anew: only what such a
    router reports keeps the records' knowledge of their use fresh.
    """
    found = change.conn.execute(select(nas.c.id).where(nas.c.name == name)).scalar()
    nas_id = dialect.new_ids(change.conn, nas, 1)[0] if found is None else found
    stored: dict[str, Any] = {"removed": False, **values}
    for column in _SEALED:
        if stored.get(column) is not None:
            plain = stored[column].encode()
            if found is not None and _unsealed(change, column, nas_id, sealer) == plain:
                del stored[column]  # the same secret: sealing it anew would look like a change
            else:
                stored[column] = sealer.seal("nas", column, nas_id, plain)
    if found is None:
        stored["id"] = nas_id
    _, event, differs = _put(change, nas, {"name": name}, stored, f"nas:{name}", secret=_SEALED)
    if event and stored.get("total_limit") and (found is None or "total_limit" in differs):
        change.touch_scope(Level.SERVER, 0, cause="nas", event=event)
    if event:
        routers.changed(change, int(nas_id))
    if differs & {"address_list_by", "api_host"}:
        routers.lever_changed(change, int(nas_id))
    return int(nas_id)


def _unsealed(change: Change, column: str, nas_id: int, sealer: Sealer) -> bytes | None:
    sealed = change.conn.execute(select(nas.c[column]).where(nas.c.id == nas_id)).scalar()
    return None if sealed is None else sealer.unseal("nas", column, nas_id, sealed)


def _put(
    change: Change,
    table: Table,
    key: Mapping[str, Any],
    values: Mapping[str, Any],
    subject: str,
    *,
    secret: frozenset[str] = frozenset(),
    about: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[int, int, frozenset[str]]:
    """Insert or update by key; returns (id, event or 0 if all was so already, the columns of an old row that changed).

    `about` goes into the event beside the values.
    """
    where: list[ColumnElement[bool]] = [table.c[name] == wanted for name, wanted in key.items()]
    found = change.conn.execute(select(table).where(*where).with_for_update(key_share=True)).mappings().first()
    if found is None:
        row_id = change.conn.execute(table.insert().returning(table.c.id), {**key, **values}).scalar_one()
        event = change.event("create", subject, None, {**about, **_shown(values, secret)})
        return row_id, event, frozenset()
    differs = frozenset(name for name, wanted in values.items() if found[name] != wanted)
    if not differs:
        return found["id"], 0, differs
    change.conn.execute(
        table.update().where(table.c.id == found["id"]).values({name: values[name] for name in differs})
    )
    before, after = ({name: row[name] for name in sorted(differs)} for row in (found, values))
    event = change.event("update", subject, {**about, **_shown(before, secret)}, {**about, **_shown(after, secret)})
    return found["id"], event, differs


def _shown(values: Mapping[str, Any], secret: frozenset[str]) -> dict[str, Any]:
    return {
        name: "***" if name in secret else value
        for name, value in values.items()
        if not isinstance(value, bytes) or name in secret
    }
