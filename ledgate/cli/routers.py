"""`ledgate routers`: how routers stand, what would change on them, changing it, and what is wrong with one."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, NoReturn, TypeVar

import click
from sqlalchemy import select

from aaa.coa import sweep
from aaa.domain.instant import iso
from aaa.routeros.client import RouterAway, Trap
from aaa.routeros.examine import examine
from aaa.routeros.known import Ports, peers
from aaa.routeros.operations import Operation, lines
from aaa.routeros.reconcile import Comparison
from aaa.routeros.rows import MENUS
from aaa.routeros.schedule import AT_ONCE
from aaa.routeros.visit import Outcome, Visitor, Work, summary
from aaa.store.database import Database
from aaa.store.queries import NotFound
from aaa.store.seal import SealBroken
from aaa.store.tables import nas
from ledgate.cli.terminal import as_json, database, faults_in_one_line, keys, refuse, settings, show, table

_COLUMNS: Final = ("name", "state", "checked", "in_step", "version", "detail")
_PATIENCE: Final = 60.0
"""Seconds to wait for an engine that is at the router just now."""
_AGAIN: Final = 0.1
_GOOD: Final = ("in_step", "removed")

T = TypeVar("T")


@click.group("routers", invoke_without_command=True)
@as_json
@click.pass_context
@faults_in_one_line
def routers_command(context: click.Context, as_json: bool) -> None:
    """The routers that have an API: how they stand, what would change on them, and what is wrong with one."""
    if context.invoked_subcommand is not None:
        return
    with database(settings()) as db, db.read() as conn:
        found = peers(conn)
    listed = [
        {
            "name": row.name,
            "state": row.state,
            "checked": None if row.checked_at is None else iso(row.checked_at),
            "in_step": None if row.in_step_at is None else iso(row.in_step_at),
            "version": row.version,
            "detail": row.detail,
        }
        for row in found
    ]
    show(listed, table(_COLUMNS, listed) if listed else "no router has an api", as_json=as_json)


@routers_command.command("plan")
@click.argument("name", required=False)
@as_json
@faults_in_one_line
def plan_command(name: str | None, as_json: bool) -> None:
    """What would change on NAME, or on every router, like a patch. Changes nothing.

    Ends with status 0 if all are in step, 1 if one differs, 2 if one could not be looked at.
    """
    with _visitor() as visitor:
        targets = _targets(visitor.db, name)
        found = dict(_at_once(targets, lambda nas_id: _plan(visitor, nas_id)))
    told: list[dict[str, Any]] = []
    texts: list[str] = []
    for target in targets:
        result = found[target]
        if isinstance(result, str):
            told.append({"name": target, "error": result})
            texts.append(f"{target}: {result}")
        else:
            told.append({"name": target, "version": result.version, "changes": _changes(result.operations)})
            texts.append(_patch(target, result))
    show(told, "\n".join(texts) or "no router has an api", as_json=as_json)
    _end(2 if any("error" in one for one in told) else 1 if any(one["changes"] for one in told) else 0)


@routers_command.command("apply")
@click.argument("name", required=False)
@click.option("--canary", metavar="NAME", help="Do this router first; go on only if it is in step afterwards.")
@click.option("--remove", is_flag=True, help="Take all that is ours off NAME instead, and leave it alone from then on.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@faults_in_one_line
def apply_command(name: str | None, canary: str | None, remove: bool, yes: bool, as_json: bool) -> None:
    """Change what differs on NAME, or on every router; several at once.

    A router that refuses something is put back as it was. One that cannot be reached gets its changes from the engine,
    when it is back. Ends with status 1 unless all are in step.
    """
    if remove and name is None:
        refuse("--remove needs the name of a router")
    with _visitor() as visitor:
        targets = _targets(visitor.db, name)
        if canary is not None:
            targets = {**_targets(visitor.db, canary), **targets}
        if not targets:
            show([], "no router has an api", as_json=as_json)
            return
        if not yes:
            _ask(visitor, targets, name if remove else None)
        work: Work = "remove" if remove else "repair"
        done = _apply(visitor, targets, canary, work)
    told = [
        {"name": one, "state": outcome.state, "detail": outcome.detail, "changes": len(outcome.operations)}
        for one, outcome in sorted(done.items())
    ]
    left = sorted(targets.keys() - done.keys())
    text = table(("name", "state", "detail"), told)
    if left:
        text += f"\n{canary} is not in step: {_count(left)} left as they were"
    show(told, text, as_json=as_json)
    _end(0 if not left and all(one["state"] in _GOOD for one in told) else 1)


@routers_command.command("doctor")
@click.argument("name")
@as_json
@faults_in_one_line
def doctor_command(name: str, as_json: bool) -> None:
    """What is right and wrong with NAME, and what to type to mend it. Ends with status 1 if there is a fault."""
    found = settings()
    with database(found) as db:
        sealer = keys(found, db)
        with db.read() as conn:
            nas_id = conn.execute(select(nas.c.id).where(nas.c.name == name, nas.c.removed.is_(False))).scalar()
        if nas_id is None:
            raise NotFound(f"no router is called {name!r}")
        findings = examine(db, sealer, nas_id, Ports(found.auth_port, found.acct_port), found.reject_delay)
    texts = []
    for one in findings:
        texts.append(f"{one.level:5}  {one.what}")
        if one.mend:
            texts.append(f"       mend: {one.mend}")
    told = [{"level": one.level, "what": one.what, "mend": one.mend} for one in findings]
    show(told, "\n".join(texts), as_json=as_json)
    _end(1 if any(one.level == "fault" for one in findings) else 0)


def _ask(visitor: Visitor, targets: dict[str, int], removed: str | None) -> None:
    """Say what would be done, and ask. Raises click.Abort; ends with status 1 unless the answer is yes."""
    if removed is not None:
        _confirm(f"Take everything off {removed}?")
        return
    plans = dict(_at_once(targets, lambda nas_id: _plan(visitor, nas_id)))
    for name in targets:
        found = plans[name]
        told = found if isinstance(found, str) else summary(found.operations) or "in step"
        click.echo(f"{name}: {told}", err=True)
    _confirm(f"Change {_count(targets)}?")


def _confirm(question: str) -> None:
    """Go on if the answer is yes. Ends with status 1 if it is no, or there is nobody to answer."""
    try:
        if click.confirm(question, err=True):
            return
        why = "nothing was changed"
    except click.Abort:
        if sys.stdin.isatty():
            raise
        why = "nobody is here to answer, so nothing was changed; --yes does not ask"
        click.echo(err=True)
    click.echo(f"ledgate: {why}", err=True)
    _end(1)


def _end(status: int) -> NoReturn:
    raise SystemExit(status)


@contextmanager
def _visitor() -> Iterator[Visitor]:
    found = settings()
    logging.getLogger("aaa.routeros").addHandler(logging.NullHandler())  # what is logged is told as the result
    with database(found) as db:
        holder = f"{found.machine} routers apply {os.getpid()}"
        sealer = keys(found, db)
        look_at_lists = partial(sweep.look, db, sealer, holder)
        yield Visitor(db, sealer, Ports(found.auth_port, found.acct_port), holder, look_at_lists)


def _targets(db: Database, name: str | None) -> dict[str, int]:
    """The ids of the routers meant, by name. Raises NotFound."""
    with db.read() as conn:
        found = peers(conn, None if name is None else [name])
        known = name is not None and conn.execute(select(nas.c.id).where(nas.c.name == name)).first() is not None
    if name is not None and not found:
        raise NotFound(f"{name} has no api" if known else f"no router is called {name!r}")
    return {row.name: row.nas_id for row in found}


def _count(routers: Sequence[str] | dict[str, int]) -> str:
    return next(iter(routers)) if len(routers) == 1 else f"{len(routers)} routers"


def _at_once(targets: dict[str, int], work: Callable[[int], T]) -> Iterator[tuple[str, T]]:
    """Work on several routers at a time; results come as they are there."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = {pool.submit(work, nas_id): name for name, nas_id in targets.items()}
        try:
            for one in as_completed(running):
                yield running[one], one.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # after Ctrl-C no further router is begun


def _plan(visitor: Visitor, nas_id: int) -> Comparison | str:
    try:
        return visitor.plan(nas_id)
    except (RouterAway, Trap, SealBroken) as error:
        return str(error)


def _apply(visitor: Visitor, targets: dict[str, int], canary: str | None, work: Work) -> dict[str, Outcome]:
    """What came of each router that was visited: only the canary, if it did not get into step."""
    done: dict[str, Outcome] = {}
    if canary is not None:
        done[canary] = _visit(visitor, targets[canary], work)
        if done[canary].state not in _GOOD:
            return done
    rest = {name: nas_id for name, nas_id in targets.items() if name not in done}
    results = _at_once(rest, lambda nas_id: _visit(visitor, nas_id, work))
    if sys.stderr.isatty():
        with click.progressbar(results, len(rest), "routers", file=sys.stderr) as watched:
            done.update(watched)
    else:
        done.update(results)
    return done


def _visit(visitor: Visitor, nas_id: int, work: Work) -> Outcome:
    deadline = time.monotonic() + _PATIENCE
    while True:
        outcome = visitor.visit(nas_id, work)
        if outcome is not None:
            return outcome
        if time.monotonic() > deadline:
            return Outcome("failed", "another process works on it", None)
        time.sleep(_AGAIN)


def _patch(name: str, found: Comparison) -> str:
    """The difference of one router, menu by menu."""
    if not found.operations:
        return f"{name} ({found.version}): in step"
    texts = [f"{name} ({found.version}): {summary(found.operations)}"]
    for menu in MENUS:
        its = [operation for operation in found.operations if operation.menu == menu]
        if its:
            texts.append(f"  {menu}")
            texts += [f"  {line}" for operation in its for line in lines(operation)]
    return "\n".join(texts)


def _changes(operations: Sequence[Operation]) -> list[dict[str, Any]]:
    return [
        {"menu": operation.menu, "what": type(operation).__name__.lower(), "lines": lines(operation)}
        for operation in operations
    ]
