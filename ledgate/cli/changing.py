"""`ledgate load`, `preview`, `jobs`: changing many subscribers at once, and seeing beforehand what it does (R8.4)."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from aaa import clock
from aaa.commands import jobs
from aaa.commands.breaker import CutsHeld, Preview
from aaa.commands.breaker import Progress as Looked
from aaa.commands.confirm import confirm
from aaa.debit.impact import Effect
from aaa.domain.instant import iso
from aaa.store.database import Database
from aaa.store.queries import find_service
from ledgate import load
from ledgate.cli.terminal import (
    actor,
    as_json,
    database,
    faults_in_one_line,
    keys,
    refuse,
    settings,
    show,
    table,
)
from ledgate.load.apply import Progress
from ledgate.load.fields import parse_instant

_FURTHEST: Final = 5 * clock.DAY
_WATCH: Final = 0.5
_PATIENCE: Final = 10.0
"""Seconds without any progress after which no engine seems to be there."""
_MOST_TOLD: Final = 10
_GROUPS: Final = ("visp", "effect", "cause", "services")
_NAMES: Final = ("username", "visp", "effect", "cause", "at")

_yes_cut = click.option(
    "--yes-cut", "confirmed", type=int, metavar="N", help="Cut off N services, as the preview says."
)
_file = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))


@click.command("load")
@_file
@_yes_cut
@as_json
@faults_in_one_line
def load_command(file: Path, confirmed: int | None, as_json: bool) -> None:
    """Insert or update the objects of a JSON file by name, all or nothing.

    Stops with its preview where too many services would be cut off, until their number is confirmed.
    """
    document = _read(file)
    with database(settings()) as db:
        sealer = keys(settings(), db)
        subscribers, looked = _bars(document)
        try:
            counts = load.load(
                db,
                document,
                sealer,
                actor=actor(),
                now=clock.now(),
                confirmed=confirmed,
                progress=subscribers,
                looked=looked,
            )
        except CutsHeld as held:
            _stop(held, f"{file}: ", f"load {file}", as_json)
        summary = {**counts.sections, "created": counts.created, "jobs": counts.jobs}
        read = ", ".join(f"{count} {name}" for name, count in counts.sections.items() if count) or "nothing"
        text = f"{file}: {read}; {counts.created} subscribers are new"
        if counts.jobs:
            text += f"; the engine recompiles the rest in the background (jobs {', '.join(map(str, counts.jobs))})"
        if counts.ambiguous:
            summary["ambiguous"] = counts.ambiguous
            text += f"\n{_warning(counts.ambiguous)}"
        show(summary, text, as_json=as_json)
        if on_terminal():
            try:
                for job_id in counts.jobs:
                    watch(db, job_id)
            except KeyboardInterrupt:
                click.echo("\nit goes on in the background: ledgate jobs", err=True)


@click.command("preview")
@_file
@click.option("--names", is_flag=True, help="List everybody it has an effect on.")
@click.option("--at", "at_text", metavar="TIME", help="As if it were loaded at 2026-12-03T14:00:00Z (default: now).")
@as_json
@faults_in_one_line
def preview_command(file: Path, names: bool, at_text: str | None, as_json: bool) -> None:
    """Who would be cut off, slowed or restored if FILE were loaded now. Changes nothing."""
    at = _instant(at_text, clock.now())
    document = _read(file)
    with database(settings()) as db:
        sealer = keys(settings(), db)
        subscribers, looked = _bars(document)
        found = load.preview(db, document, sealer, now=at, progress=subscribers, looked=looked)
    text = _text(found, f"load {file}")
    listed = _listed(found)
    if names and listed:
        text += f"\n\n{table(_NAMES, listed)}"
    show(_json(found) | ({"names": listed} if names else {}), text, as_json=as_json)


@click.command("jobs")
@as_json
@faults_in_one_line
def jobs_command(as_json: bool) -> None:
    """The mass changes that are carried out in the background, and the last ones that were."""
    with database(settings()) as db, db.read() as conn:
        found = jobs.listed(conn)
    listed = [
        {
            "id": one.id,
            "kind": one.kind,
            "scope": one.scope,
            "created": iso(one.created_at),
            "finished": None if one.done_at is None else iso(one.done_at),
            "done": one.done,
            "total": one.total,
        }
        for one in found
    ]
    columns = ("id", "kind", "scope", "created", "finished", "done", "total")
    show(listed, table(columns, listed) if listed else "there was no mass change yet", as_json=as_json)


@click.command("confirm")
@click.argument("user")
@_yes_cut
@as_json
@faults_in_one_line
def confirm_command(user: str, confirmed: int | None, as_json: bool) -> None:
    """Cut off the services of USER's account whose cut waits, since a charge would have cut off too many at once."""
    with database(settings()) as db:
        with db.read() as conn:
            ref = find_service(conn, user)
        try:
            cut = confirm(db, ref.account_id, confirmed, actor=actor(), now=clock.now())
        except CutsHeld as held:
            _stop(held, "", f"confirm {user}", as_json)
    text = f"{cut} services of the account of {ref.username} are cut off" if cut else f"nothing of {ref.username} waits"
    show({"username": ref.username, "cut": cut}, text, as_json=as_json)


def _warning(ambiguous: Mapping[str, Sequence[str]]) -> str:
    """That these usernames are in several VISPs now, the first of them by name."""
    told = [f"{username} ({', '.join(visps)})" for username, visps in sorted(ambiguous.items())]
    more = f" and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
    listed = ", ".join(told[:_MOST_TOLD])
    return f"warning: in several VISPs now, so that a login without @realm is refused: {listed}{more}"


def _instant(text: str | None, now: int) -> int:
    """When a preview is to look: now, or at most five days ahead, as far as every timeline reaches."""
    if text is None:
        return now
    try:
        at = parse_instant(text, "UTC")
    except ValueError:
        refuse(f"--at: {text!r} is not an instant such as 2026-12-03T14:00:00Z, of 1970 to 2999")
    if not now <= at <= now + _FURTHEST:
        refuse(f"--at: {text} is not between now and five days ahead")
    return at


def _stop(held: CutsHeld, where: str, command: str, as_json: bool) -> NoReturn:
    """Print the preview of what is not done, and end."""
    show(_json(held.preview), _text(held.preview, command), as_json=as_json)
    refuse(f"{where}{held}")


def _read(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_bytes(), object_pairs_hook=_each_key_once)
    except OSError as error:
        refuse(f"{file}: {error.strerror}")
    except (ValueError, RecursionError) as error:
        refuse(f"{file}: {error}")
    if not isinstance(document, dict):
        refuse(f'{file}: must be an object of sections, such as {{"subscribers": […]}}')
    return document


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of a JSON file; of two values of one key JSON itself would drop the first."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for at, (key, _) in enumerate(pairs) if key in dict(pairs[:at]))
        raise ValueError(f"the key {twice!r} is twice in one object")
    return found


def on_terminal() -> bool:
    """Whether somebody watches: progress goes to standard error."""
    return sys.stderr.isatty()


class _Bar:
    """A progress bar on a terminal, for what is told as `done` of `total`; it may begin again."""

    def __init__(self, label: str) -> None:
        self._label = label

    def __call__(self, done: int, total: int) -> None:
        if on_terminal():
            share = done / total if total else 1.0
            full = round(30 * share)
            end = "\n" if done >= total else ""
            click.echo(
                f"\r{self._label}  [{'#' * full}{'-' * (30 - full)}]  {done:,} of {total:,}{end}", err=True, nl=False
            )


def _bars(document: Mapping[str, Any]) -> tuple[Progress, Looked]:
    """What is told of the subscribers of a file, and of the services looked at."""
    given = document.get("subscribers")
    total = len(given) if isinstance(given, list) else 0
    bar, done = _Bar("subscribers"), 0

    def more(count: int) -> None:
        nonlocal done
        done = count if done >= total else done + count  # a second pass counts from nothing
        if total >= load.CHUNK:
            bar(done, total)

    return more, _Bar("preview")


def watch(db: Database, job_id: int) -> None:
    """Show how far a job is until it is done, or until nobody seems to work on it."""
    bar = _Bar(f"job {job_id}")
    reached, moved = -1, clock.monotonic()
    while True:
        with db.read() as conn:
            found = jobs.find(conn, job_id)
        bar(found.done if found.done_at is not None else min(found.done, found.total - 1), found.total)
        if found.done_at is not None:
            return
        if found.done != reached:
            reached, moved = found.done, clock.monotonic()
        elif clock.monotonic() - moved > _PATIENCE:
            click.echo(f"\nno engine seems to be running: job {job_id} waits for one", err=True)
            return
        time.sleep(_WATCH)


def _listed(found: Preview) -> list[dict[str, Any]]:
    return [
        {
            "username": one.username,
            "visp": one.visp,
            "effect": one.impact.effect.value,
            "cause": one.impact.cause,
            "at": iso(one.impact.at),
        }
        for one in sorted(found.affected, key=lambda one: (one.username, one.visp))
    ]


def _groups(found: Preview) -> list[dict[str, Any]]:
    return [
        dict(zip(_GROUPS, (visp, effect.value, cause, count), strict=True))
        for visp, effect, cause, count in found.groups
    ]


def _json(found: Preview) -> dict[str, Any]:
    return {
        **{effect.value: found.count(effect) for effect in Effect},
        "allowed": found.allowed,
        "limit": found.limit,
        "confirm": found.cut if found.trips else None,
        "reached": found.reached,
        "created": found.created,
        "groups": _groups(found),
    }


def _text(found: Preview, command: str) -> str:
    """The counts, by VISP and cause, and how `command` is confirmed if it must be."""
    cut, slowed, restored = (found.count(effect) for effect in Effect)
    text = (
        f"{cut} of {found.allowed} services that are allowed now would be cut off, {slowed} slowed, {restored} restored"
        f" (reached: {found.reached}, new: {found.created})"
    )
    groups = _groups(found)
    if groups:
        text += f"\n{table(_GROUPS, groups)}"
    if found.trips:
        text += f"\nmore than {found.limit} are cut off only if it is confirmed: ledgate {command} --yes-cut {cut}"
    return text
