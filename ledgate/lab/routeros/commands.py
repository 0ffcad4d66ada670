"""Commands of the API on a device: print, add, set, remove and the rest, all but listen and login. Pure.

What is refused raises Trap. Nothing has changed then; where several rows were named, those before the refused one have.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from ledgate.lab.routeros import firewall
from ledgate.lab.routeros.device import Device, refuse_change
from ledgate.lab.routeros.query import Query
from ledgate.lab.routeros.tables import Item, Row, Table
from ledgate.lab.routeros.trap import (
    MISSING,
    Trap,
    failure,
    invalid_value,
    no_such_command,
    no_such_item,
    unknown_parameter,
)
from ledgate.lab.routeros.values import parse_time

READS: Final = frozenset(("print", "getall", "listen", "cancel", "ping", "quit"))
"""What a user who may only read may do."""
_PRINT_WORDS: Final = frozenset(("detail", "stats", "terse", "without-paging", "as-value", "from", "numbers", ".id"))


@dataclass(frozen=True, slots=True)
class Sentence:
    """A command as it came: its menu, its verb, the arguments by name, the query words in order, the tag if any."""

    path: str
    verb: str
    arguments: Mapping[str, str]
    queries: tuple[str, ...] = ()
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command gives: items for `!re`, properties of `!done`."""

    items: Iterable[Item] = ()
    done: Mapping[str, str] = field(default_factory=dict)


def read_sentence(words: list[str]) -> Sentence:
    """A sentence taken apart: `=name=value` is an argument, `?…` a query word, `.tag=` the tag."""
    path, _, verb = words[0].rpartition("/")
    arguments: dict[str, str] = {}
    queries: list[str] = []
    tag = ""
    for word in words[1:]:
        if word.startswith("="):
            name, _, value = word[1:].partition("=")
            arguments[name] = value
        elif word.startswith("?"):
            queries.append(word)
        elif word.startswith(".tag="):
            tag = word[5:]
    return Sentence(path, verb, arguments, tuple(queries), tag)


def shown(items: Iterable[Item], proplist: str | None) -> Iterable[Item]:
    """Items with the properties of `.proplist` only, where there is one."""
    if proplist is None:
        return items
    names = [name for name in proplist.split(",") if name]
    return [{name: item[name] for name in names if name in item} for item in items]


def run(device: Device, sentence: Sentence, now: int) -> Answer:
    """Carry a command out. Raises Trap."""
    special = _SPECIAL.get(f"{sentence.path}/{sentence.verb}")
    if special is not None:
        return special(device, sentence, now)
    table = device.table(sentence.path)
    if table is None:
        raise Trap("no such command prefix", MISSING)
    device.expire(now)
    command = _COMMANDS.get(sentence.verb)
    if command is None or not _allowed(table, sentence.verb):
        raise no_such_command()
    return command(device, table, sentence.arguments, sentence.queries, now)


def _allowed(table: Table, verb: str) -> bool:
    kind = table.menu.kind
    if verb in ("print", "getall"):
        return True
    if verb == "move":
        return kind == "ordered"
    if verb in ("enable", "disable"):
        return kind != "seen" and kind != "singleton" and "disabled" in table.menu.fields
    if verb in ("set", "unset"):
        return kind != "seen"
    if verb == "remove":
        return kind != "singleton" and table.menu.removable
    return kind in ("list", "ordered") and table.menu.removable  # add


def _print(device: Device, table: Table, arguments: Mapping[str, str], queries: tuple[str, ...], now: int) -> Answer:
    for name in arguments:
        if name not in _PRINT_WORDS and name not in (".proplist", "count-only"):
            raise unknown_parameter(name)
    query = Query(queries)
    if table.menu.kind == "singleton":
        items = [table.item(row, now) for row in table]
        for item in items:
            del item[".id"]
        return Answer(shown([item for item in items if query.matches(item)], arguments.get(".proplist")))
    named = next((arguments[name] for name in (".id", "numbers", "from") if name in arguments), None)
    if named is not None:
        found = [(row, table.item(row, now)) for row in _rows(table, named)]
        items = [item for _, item in found if query.matches(item)]
    else:
        items = [item for _, item in table.selected(query, now)]
    if "count-only" in arguments:
        return Answer(done={"ret": str(len(items))})
    return Answer(shown(items, arguments.get(".proplist")))


def _add(device: Device, table: Table, arguments: Mapping[str, str], _queries: tuple[str, ...], now: int) -> Answer:
    given = dict(arguments)
    before: Row | None = None
    if "place-before" in given and table.menu.kind == "ordered":
        before = table.find(given.pop("place-before"))
    values, without, until = _read(device, table, given, now)
    table.menu.require({name: value for name, value in values.items() if name not in without})
    if "creation-time" in table.menu.fields:
        values["creation-time"] = device.stamp(now)
    firewall.complete(table.menu.path, values)
    row = table.append(values, before=before, until=until or 0)
    return Answer(done={"ret": row.id})


def _set(device: Device, table: Table, arguments: Mapping[str, str], _queries: tuple[str, ...], now: int) -> Answer:
    given = dict(arguments)
    rows = _take_rows(table, given, "change")
    values, without, until = _read(device, table, given, now)
    for row in rows:
        _change(table, row, values, without, until)
    return Answer()


def _unset(device: Device, table: Table, arguments: Mapping[str, str], _queries: tuple[str, ...], now: int) -> Answer:
    given = dict(arguments)
    rows = _take_rows(table, given, "change")
    names = [name for name in given.pop("value-name", "").split(",") if name]
    for name in given:
        raise unknown_parameter(name)
    values, without, until = _read(device, table, {f"!{name}": "" for name in names}, now)
    for row in rows:
        _change(table, row, values, without, until)
    return Answer()


def _remove(device: Device, table: Table, arguments: Mapping[str, str], _queries: tuple[str, ...], now: int) -> Answer:
    given = dict(arguments)
    rows = _take_rows(table, given, "remove")
    for name in given:
        raise unknown_parameter(name)
    hook = device.hooks.removed.get(table.menu.path)
    for row in rows:
        if hook is not None:
            hook(row)
        else:
            table.remove(row)
    return Answer()


def _enable(device: Device, table: Table, arguments: Mapping[str, str], queries: tuple[str, ...], now: int) -> Answer:
    return _set(device, table, {**arguments, "disabled": "no"}, queries, now)


def _disable(device: Device, table: Table, arguments: Mapping[str, str], queries: tuple[str, ...], now: int) -> Answer:
    return _set(device, table, {**arguments, "disabled": "yes"}, queries, now)


def _move(device: Device, table: Table, arguments: Mapping[str, str], _queries: tuple[str, ...], now: int) -> Answer:
    given = dict(arguments)
    rows = _take_rows(table, given, "move")
    destination = given.pop("destination", "")
    for name in given:
        raise unknown_parameter(name)
    table.move(rows, table.find(destination) if destination else None)
    return Answer()


_COMMANDS: Final = {
    "print": _print,
    "getall": _print,
    "add": _add,
    "set": _set,
    "unset": _unset,
    "remove": _remove,
    "enable": _enable,
    "disable": _disable,
    "move": _move,
}


def _rows(table: Table, references: str) -> list[Row]:
    found = {row.number: row for row in (table.find(reference) for reference in references.split(","))}
    return list(found.values())


def _take_rows(table: Table, given: dict[str, str], verb: str) -> list[Row]:
    """The rows that `.id` or `numbers` name, taken out of the arguments. Raises Trap for those that may not change."""
    if table.menu.kind == "singleton":
        return list(table)
    references = [given.pop(name) for name in (".id", "numbers") if name in given]
    if not references:
        raise no_such_item()
    rows = _rows(table, ",".join(references))
    if table.menu.kind != "seen":
        for row in rows:
            refuse_change(row, verb)
    return rows


def _read(
    device: Device, table: Table, given: Mapping[str, str], now: int
) -> tuple[dict[str, str], list[str], int | None]:
    """What to set, what to take away (`!name`, or an empty value where there is no default), and the new instant at
    which the rows vanish (0: never; None: as before).
    """
    menu = table.menu
    values: dict[str, str] = {}
    without: list[str] = []
    until: int | None = None
    for name, value in given.items():
        bare = name.removeprefix("!")
        field = menu.fields.get(bare)
        empty = name.startswith("!") or (value == "" and bare not in table.defaults and bare not in menu.required)
        if empty and field is not None and field.known(device.version) and device.version >= field.settable:
            without.append(bare)
            if menu.timed and bare == "timeout":
                until = 0
        elif menu.timed and name == "timeout":
            lasts = parse_time(menu.read(name, value, device.version))
            until = now + lasts if lasts else 0
        else:
            values[name] = menu.read(name, value, device.version)
    if until is not None:
        values["dynamic"] = "true" if until else "false"
    device.check_references(menu, values)
    return values, without, until


def _change(table: Table, row: Row, values: Mapping[str, str], without: list[str], until: int | None) -> None:
    changed = {**row.values, **values}
    for name in without:
        changed.pop(name, None)
    table.menu.require(changed)
    completed = dict(changed)
    firewall.complete(table.menu.path, completed)
    more = {name: value for name, value in completed.items() if row.values.get(name) != value}
    table.change(row, more, without, until)


def _ping(device: Device, sentence: Sentence, _now: int) -> Answer:
    count = sentence.arguments.get("count", "1")
    if not (count.isascii() and count.isdigit()):
        raise invalid_value("count")
    host = sentence.arguments.get("address", "")
    received = 0
    items: list[Item] = []
    for number in range(min(int(count), 100)):
        item = {"seq": str(number), "host": host}
        if device.behaviour.reachable:
            received += 1
            item |= {"size": "56", "ttl": "64", "time": "1ms"}
        else:
            item["status"] = "timeout"
        loss = round(100 * (number + 1 - received) / (number + 1))
        items.append({**item, "sent": str(number + 1), "received": str(received), "packet-loss": str(loss)})
    return Answer(items)


def _fetch(device: Device, sentence: Sentence, _now: int) -> Answer:
    if "url" not in sentence.arguments:
        raise Trap("missing value(s) of argument(s) url", None)
    if not device.behaviour.reachable:
        raise failure("connection timeout")
    return Answer([{"status": "finished", "downloaded": "0", "total": "0", "duration": "1s"}])


def _reboot(device: Device, _sentence: Sentence, _now: int) -> Answer:
    if device.hooks.reboot is not None:
        device.hooks.reboot()
    return Answer()


_SPECIAL: Final = {"/ping": _ping, "/tool/fetch": _fetch, "/system/reboot": _reboot}
