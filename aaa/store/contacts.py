"""When routers were heard, so that the silence of one is not taken for the end of its sessions (shell)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Select, Table, case, select

from aaa.domain.session import SECOND, Record
from aaa.store import prepared
from aaa.store.tables import nas_contact

DEFAULT_INTERIM: Final = 300
"""Seconds between a session's interim records where its profile does not say."""

CONTACT_EVERY: Final = SECOND
"""How exactly it is known when a router was last heard."""

Router = tuple[str, str]
"""Source address and NAS-Identifier."""

_MOST: Final = 65_536


class Contacts:
    """When this process last noted each router: most batches find that it did so a moment ago, and routers' rows would
    else be what all processes wait for."""

    def __init__(self) -> None:
        self._noted: dict[Router, int] = {}

    def news(self, records: Sequence[Record]) -> dict[Router, int]:
        """The records' routers that are to be noted again, and when they were heard."""
        heard: dict[Router, int] = {}
        for one in records:
            router = one.source, one.identifier
            if one.heard_at > heard.get(router, -1):
                heard[router] = one.heard_at
        return {one: at for one, at in heard.items() if at - self._noted.get(one, -CONTACT_EVERY) >= CONTACT_EVERY}

    def noted(self, news: Mapping[Router, int]) -> None:
        """They are committed."""
        if len(self._noted) > _MOST:
            self._noted.clear()
        self._noted.update(news)


def _known(postgresql: bool) -> Select[Any]:
    columns = nas_contact.c
    known = select(columns.source, columns.identifier, columns.heard_since, columns.heard_at)
    return known.where(prepared.listed(columns.source, "sources", postgresql))


_KNOWN: Final = prepared.Prepared(_known)


def note_contacts(
    tx: prepared.Transaction, news: Mapping[Router, int], records: Sequence[Record], interims: Mapping[bytes, int]
) -> None:
    """Note that the routers were heard; one that was silent for longer than two intervals, as anew.

    `interims` are seconds between the records of sessions, by key.
    """
    if not news:
        return
    known = tx.run(_KNOWN, {"sources": prepared.many(tx, {source for source, _ in news})})
    rows: dict[Router, _Contact] = {}
    for one in records:
        if (one.source, one.identifier) in news:
            row = rows.setdefault((one.source, one.identifier), _Contact(one.nas_id, one.heard_at))
            row.hear(one.heard_at, 2 * interims.get(one.key, DEFAULT_INTERIM) * SECOND)
    for source, identifier, since, last in known.fetchall():
        found = rows.get((source, identifier))
        if found is not None and found.since - last <= found.gap:
            found.since = since
    columns: dict[str, list[Any]] = {name: [] for name in ("source", "identifier", "nas_id", "heard_since", "heard_at")}
    for (source, identifier), row in sorted(rows.items(), key=_router):
        for values, value in zip(columns.values(), (source, identifier, row.nas_id, row.since, row.last), strict=True):
            values.append(value)
    prepared.upsert(tx, nas_contact, columns, _later)


class _Contact:
    """`gap`: the longest silence that is none."""

    __slots__ = ("gap", "last", "nas_id", "since")

    def __init__(self, nas_id: int, at: int) -> None:
        self.nas_id = nas_id
        self.since = self.last = at
        self.gap = 1 << 62

    def hear(self, at: int, gap: int) -> None:
        self.since = min(self.since, at)
        self.last = max(self.last, at)
        self.gap = min(self.gap, gap)


def _router(row: tuple[Router, object]) -> Router:
    return row[0]


def _later(table: Table, names: tuple[str, ...], new: Any) -> Mapping[str, Any]:
    """Another process may have heard the router meanwhile."""
    times = ("heard_since", "heard_at")
    later = {name: case((new[name] > table.c[name], new[name]), else_=table.c[name]) for name in times}
    return {"nas_id": new.nas_id} | later
