"""Applying a load file: everything in one transaction, through the doors of access and billing (shell)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, select

from aaa.commands import catalogue
from aaa.commands.breaker import Guard
from aaa.commands.door import Change, change
from aaa.debit import params
from aaa.debit.controls.definitions import DEBIT_CONTROL, FINISH_RULE, KINDS, Definitions, definitions
from aaa.debit.reply import AttributeCheck, BadValue, as_stored, attributes, attributes_json
from aaa.domain.service import Level, Status
from aaa.radius.attributes import InvalidAttribute
from aaa.radius.dictionary import load as load_dictionary
from aaa.store.database import Database
from aaa.store.seal import Sealer
from aaa.store.tables import account, control, nas, param, plan, visp
from billing import prices
from ledgate.load import fields, keys, routers, scopes
from ledgate.load import pools as address_pools
from ledgate.load import settings as installation
from ledgate.load.fields import BadLoad, Reader
from ledgate.load.subscribers import CHUNK, Subscribers

SECTIONS: Final = (
    "visps",
    *scopes.SECTIONS,
    "plans",
    "pools",
    *(kind.section for kind in KINDS.values()),
    "params",
    "nas",
    "subscribers",
)

_FOUND_LATER: Final = ("params", "subscribers")
"""The sections in which one object may be named in several ways: they look themselves that each is there once."""


@dataclass(slots=True)
class Counts:
    """What a load did: objects read per section, subscribers made, and the jobs that finish a mass change. `ambiguous`
    are those of the new usernames that are in several VISPs now, with the names of these.
    """

    sections: dict[str, int] = field(default_factory=dict)
    created: int = 0
    jobs: list[int] = field(default_factory=list)
    ambiguous: dict[str, list[str]] = field(default_factory=dict)


Progress = Callable[[int], None]


def apply(
    db: Database, document: object, sealer: Sealer, *, actor: str, now: int, guard: Guard, progress: Progress
) -> Counts:
    """Insert or update every object of `document` by name, in one transaction that `guard` watches. Raises BadLoad,
    CutsHeld or Rehearsed, and then nothing was changed.

    Absent objects and absent keys stay as they are; null clears. `progress` is told how many more subscribers are done.
    """
    reader = Reader(document, "", (*SECTIONS, "settings"))
    sections = {name: _section(reader, name) for name in SECTIONS}
    given = reader.raw("settings")
    chosen = Reader({} if given is None else given, "settings", installation.KEYS)
    try:
        with change(db, actor=actor, now=now, guard=guard) as door:
            settings = installation.put(door, chosen)
            loading = _Loading(door, sealer)
            created, known = _apply(loading, sections, progress)
            installation.check_reminders(settings, known, sections["overdue_policies"], chosen)
    except BadValue as error:  # the controls and params of several objects do not go together
        raise BadLoad(error.path, error.message) from None
    counts = {name: len(found) for name, found in sections.items()}
    counts["settings"] = sum(map(chosen.has, installation.KEYS))
    return Counts(counts, created, door.jobs, loading.subscribers.ambiguous)


def _apply(loading: "_Loading", sections: Mapping[str, Sequence[Any]], progress: Progress) -> tuple[int, Definitions]:
    """Put every object; returns how many subscribers are new, and every control there is now."""
    loading.subscribers.lock(sections["subscribers"])
    for index, one in enumerate(sections["visps"]):
        loading.visp(Reader(one, f"visps[{index}]", keys.VISP))
    for section, level in scopes.SECTIONS.items():
        for index, one in enumerate(sections[section]):
            loading.scope(level, Reader(one, f"{section}[{index}]", keys.SCOPE))
    for index, one in enumerate(sections["plans"]):
        loading.plan(Reader(one, f"plans[{index}]", keys.PLAN))
    loading.pools([Reader(one, f"pools[{index}]", address_pools.KEYS) for index, one in enumerate(sections["pools"])])
    for kind, found in KINDS.items():
        for index, one in enumerate(sections[found.section]):
            loading.control(kind, Reader(one, f"{found.section}[{index}]", keys.CONTROLS[kind]))
    for index, one in enumerate(sections["nas"]):
        loading.nas(Reader(one, f"nas[{index}]", keys.NAS))
    loading.check_nas()
    created = 0
    names = loading.subscribers.names()
    for at in range(0, len(sections["subscribers"]), CHUNK):
        chunk = sections["subscribers"][at : at + CHUNK]
        created += loading.subscribers.put(
            [Reader(one, f"subscribers[{at + index}]", keys.SUBSCRIBER) for index, one in enumerate(chunk)], names
        )
        progress(len(chunk))
    # params come last: they may name subscribers of this very file
    known = loading.definitions()
    for index, one in enumerate(sections["params"]):
        loading.param(Reader(one, f"params[{index}]", keys.PARAM), known)
    loading.check_currencies(known)
    return created, known


def _section(reader: Reader, name: str) -> Sequence[Any]:
    found = reader.raw(name)
    if found is None:
        return ()
    if not isinstance(found, list):
        raise BadLoad(name, "must be a list")
    if name not in _FOUND_LATER:
        _require_each_once(name, found)
    return found


def _require_each_once(section: str, objects: Sequence[Any]) -> None:
    """Of two objects of one name the first would be lost (plans are named within their VISP)."""
    places: dict[tuple[object, ...], str] = {}
    for index, one in enumerate(objects):
        if isinstance(one, Mapping) and isinstance(name := one.get("name"), str):
            path = f"{section}[{index}]"
            other = places.setdefault((name, str(one.get("visp")) if section == "plans" else None), path)
            if other != path:
                raise BadLoad(f"{path}.name", f"{name!r} is in {other} already")


class _Loading:
    """One load under way."""

    def __init__(self, door: Change, sealer: Sealer) -> None:
        self._door = door
        self._conn: Connection = door.conn
        self._sealer = sealer
        self._dictionary = load_dictionary()
        self._paths: dict[tuple[str, object], str] = {}
        """Where in the file something was put, for the checks that need all of it."""
        self._params: dict[tuple[Level, int, str], str] = {}
        """Where in the file each param is."""
        self.subscribers = Subscribers(door, sealer, self._paths)

    def definitions(self) -> Definitions:
        """Every control there is."""
        rows = self._conn.execute(select(control))
        return definitions({(row.kind, row.name): row.value for row in rows}, as_stored)

    def _unless_stored(self, stored: Iterable[tuple[str, object]]) -> AttributeCheck:
        """The check of reply attributes that are set. Those that are `stored` so already may stay: an older version
        may have taken what this one refuses.
        """
        kept = list(stored)

        def check(name: str, value: object) -> None:
            if (name, value) not in kept:
                self._dictionary.check(name, value)

        return check

    def visp(self, reader: Reader) -> None:
        name = reader.need("name", fields.name)
        values: dict[str, Any] = {}
        known = self._conn.execute(select(visp).where(visp.c.name == name)).first()
        for key, read in (("currency", fields.currency), ("timezone", fields.timezone)):
            if reader.has(key) or known is None:
                values[key] = reader.need(key, read)
        if reader.has("realm"):
            values["realm"] = realm = reader.take("realm", fields.line(253))
            others = select(visp.c.name, visp.c.realm).where(visp.c.realm.is_not(None), visp.c.name != name)
            for other in self._conn.execute(others):
                if realm is not None and other.realm.lower() == realm.lower():  # as logins take it
                    raise BadLoad(reader.at("realm"), f"{realm!r} is the realm of {other.name} already")
        if known is not None and values.get("currency", known.currency) != known.currency:
            if self._conn.execute(select(account.c.id).where(account.c.visp_id == known.id).limit(1)).first():
                raise BadLoad(reader.at("currency"), f"{name} has accounts in {known.currency}: it cannot change")
        visp_id = catalogue.put_visp(self._door, name, values)
        self._paths["visp", visp_id] = reader.at("currency")

    def scope(self, level: Level, reader: Reader) -> None:
        catalogue.put_scope(self._door, level, reader.need("name", fields.name))

    def plan(self, reader: Reader) -> None:
        name = reader.need("name", fields.name)
        visp_id, _, _ = self._visp(reader)
        known = self._conn.execute(select(plan.c.reply).where(plan.c.visp_id == visp_id, plan.c.name == name)).first()
        values: dict[str, Any] = {}
        if reader.has("reply") or known is None:
            given = reader.raw("reply") or {}
            check = self._unless_stored(known.reply.items() if known is not None else ())
            try:
                values["reply"] = attributes_json(attributes(given, reader.at("reply"), check))
            except BadValue as error:
                raise BadLoad(error.path, error.message) from None
        plan_id = catalogue.put_plan(self._door, visp_id, name, values)
        if reader.has("price"):
            prices.put_price(self._door, plan_id, 1, reader.take("price", fields.whole(0, fields.MOST)))

    def pools(self, readers: Sequence[Reader]) -> None:
        address_pools.put(self._door, readers)

    def control(self, kind: str, reader: Reader) -> None:
        name = reader.need("name", fields.name)
        known = self._conn.execute(
            select(control.c.value).where(control.c.kind == kind, control.c.name == name)
        ).scalar()
        found = KINDS[kind]
        stored: list[tuple[str, object]] = []
        if known is not None:
            found.read(name, known, lambda attribute, value: stored.append((attribute, value)), reader.path)
        given = {key: reader.raw(key) for key in found.keys if reader.has(key)}
        merged = found.merged(known or {}, given)
        try:
            made = found.read(name, merged, self._unless_stored(stored), reader.path)
        except BadValue as error:
            raise BadLoad(error.path, error.message) from None
        if kind == FINISH_RULE:
            address_pools.check_rule(merged, reader.path, self._door)
        catalogue.put_control(self._door, kind, name, made.to_json())
        self._paths["control", f"{kind} {name}"] = reader.at("currency")

    def param(self, reader: Reader, known_controls: Definitions) -> None:
        scope = reader.need("scope", fields.text(300))
        level, scope_id = scopes.find(self._conn, scope, reader.at("scope"))
        name = reader.need("name", fields.name)
        other = self._params.setdefault((level, scope_id, name), reader.path)
        if other != reader.path:
            raise BadLoad(reader.at("name"), f"{name!r} of this scope is in {other} already")
        known = self._conn.execute(
            select(param).where(param.c.level == level.name.lower(), param.c.scope_id == scope_id, param.c.name == name)
        ).first()
        status = reader.take("status", fields.one_of(*(one.value for one in Status)), null=False)
        if status is None:
            status = known.status if known is not None else Status.PASSTHROUGH_YES.value
        if not reader.has("value") and known is None:
            raise BadLoad(reader.at("value"), "is missing")
        value = reader.raw("value") if reader.has("value") or known is None else known.value
        if value is not None:
            if known is None and params.is_reply(name):
                try:
                    self._dictionary.check_name(name)
                except InvalidAttribute as error:
                    raise BadLoad(reader.at("name"), str(error)) from None
            check = self._unless_stored(() if known is None else ((name, known.value),))
            try:
                value = params.check(
                    name, value, known_controls, check, path=reader.at("value"), routers=self._routers(name)
                )
            except BadValue as error:
                raise BadLoad(error.path, error.message) from None
        stored = list(value) if isinstance(value, tuple) else value
        param_id = catalogue.put_param(self._door, level, scope_id, scope, name, stored, Status(status))
        self._paths["param", param_id] = reader.at("value")

    def _routers(self, param_name: str) -> Sequence[str]:
        """The routers that a param of this name may list."""
        if param_name != params.ALLOWED_NAS:
            return ()
        return self._conn.execute(select(nas.c.name).where(nas.c.removed.is_(False))).scalars().all()

    def check_currencies(self, known: Definitions) -> None:
        """A DebitControl that has a currency must not reach a VISP of another one (R2.8)."""
        for one in self._conn.execute(select(param).where(param.c.name == DEBIT_CONTROL)):
            used = known.controls[one.value]
            if used.currency is None:
                continue
            level = Level[one.level.upper()]
            for reached in scopes.visps_under(self._conn, level, one.scope_id):
                places = (
                    ("param", one.id),
                    ("control", f"{DEBIT_CONTROL} {used.name}"),
                    ("visp", reached.id),
                    ("member", (level, one.scope_id, reached.id)),
                )
                path = next((self._paths[place] for place in places if place in self._paths), "params")
                params.require_currency(used, reached.currency, path, f"the VISP {reached.name}")

    def nas(self, reader: Reader) -> None:
        name = reader.need("name", fields.name)
        known = self._conn.execute(select(nas).where(nas.c.name == name)).first()
        values = routers.values(reader, known)
        nas_id = catalogue.put_nas(self._door, name, values, self._sealer)
        self._paths["nas", nas_id] = reader.at("identifier" if reader.has("identifier") else "address")

    def check_nas(self) -> None:
        """No two routers may have the same address and identifier: no packet could tell them apart. Nor the same API:
        each would undo there what the other wants.
        """
        seen: dict[tuple[str, str | None], Any] = {}
        apis: dict[tuple[str, int], Any] = {}
        for row in self._conn.execute(select(nas).where(nas.c.removed.is_(False)).order_by(nas.c.id)):
            twin = row if row.api_host is None else apis.setdefault((row.api_host, row.api_port), row)
            if twin is not row:
                path = self._paths.get(("nas", row.id)) or self._paths.get(("nas", twin.id), "nas")
                raise BadLoad(
                    path.rpartition(".")[0] + ".api",
                    f"{twin.name} and {row.name} both have {row.api_host} port {row.api_port}",
                )
            other = seen.setdefault((row.address, row.identifier), row)
            if other is not row:
                path = self._paths.get(("nas", row.id)) or self._paths.get(("nas", other.id), "nas")
                told = "no identifier" if row.identifier is None else f"identifier {row.identifier!r}"
                raise BadLoad(path, f"{other.name} and {row.name} both have {row.address} and {told}")

    def _visp(self, reader: Reader) -> tuple[int, str, str]:
        name = reader.need("visp", fields.name)
        row = self._conn.execute(select(visp).where(visp.c.name == name)).first()
        if row is None:
            raise BadLoad(reader.at("visp"), f"there is no VISP called {name!r}")
        return row.id, row.currency, row.timezone
