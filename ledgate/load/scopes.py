"""The scopes that a load file names, as `server`, `class:students` or `user:ali@tehran` (shell)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, func, select

from aaa.commands import catalogue
from aaa.domain.service import Level
from aaa.store import facts
from aaa.store.tables import plan, service, visp
from ledgate.load.fields import BadLoad

SECTIONS: Final[Mapping[str, Level]] = {
    "centers": Level.CENTER,
    "resellers": Level.RESELLER,
    "classes": Level.CLASS,
}
"""The sections whose objects are nothing but a name to hang params on."""
MEMBERSHIPS: Final[Mapping[str, Level]] = {
    "center": Level.CENTER,
    "reseller": Level.RESELLER,
    "class": Level.CLASS,
}
"""The keys of a subscriber that put it into one of them; the column of `service` is the key with `_id`."""


def find(conn: Connection, text: str, path: str) -> tuple[Level, int]:
    """The scope of that name: its level and its id there. Raises BadLoad with `path`."""
    if text == "server":
        return Level.SERVER, 0
    word, _, name = text.partition(":")
    level = Level.__members__.get(word.upper())
    if level is None or level is Level.SERVER or not name or word != word.lower():
        words = ", ".join(f"{one.name.lower()}:NAME" for one in Level if one is not Level.SERVER)
        raise BadLoad(path, f"{text!r} is not a scope: server, or one of {words}")
    found = _ids(conn, level, name)
    if not found:
        raise BadLoad(path, f"there is no {word} called {name!r}")
    if len(found) > 1:
        raise BadLoad(path, f"{name!r} names several: say which, as {word}:{name}@VISP")
    return level, found[0]


def _ids(conn: Connection, level: Level, name: str) -> list[int]:
    table = catalogue.LEVEL_TABLES[level]
    if level not in (Level.PLAN, Level.USER):
        return list(conn.execute(select(table.c.id).where(table.c.name == name)).scalars())
    column = table.c.name if level is Level.PLAN else table.c.username
    joined = select(table.c.id).join(visp, table.c.visp_id == visp.c.id)
    bare, _, realm = name.rpartition("@")
    wanted = column == name
    if bare:
        there = (visp.c.name == realm) | (func.lower(visp.c.realm) == realm.lower())
        wanted |= (column == bare) & there
    return list(conn.execute(joined.where(wanted)).scalars())


def visps_under(conn: Connection, level: Level, scope_id: int) -> Sequence[Any]:
    """The (id, name, currency) of every VISP that a scope reaches services of, or will."""
    found = select(visp.c.id, visp.c.name, visp.c.currency)
    if level is Level.VISP:
        found = found.where(visp.c.id == scope_id)
    elif level is Level.PLAN:
        found = found.join(plan, plan.c.visp_id == visp.c.id).where(plan.c.id == scope_id)
    elif level is not Level.SERVER:
        reached = facts.services_in(level, scope_id).with_only_columns(service.c.visp_id).order_by(None)
        found = found.where(visp.c.id.in_(reached))
    return conn.execute(found).all()
