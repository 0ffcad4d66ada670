"""`ledgate explain`: why a subscriber has the access he has, had or will have (R8.3)."""

from dataclasses import replace
from typing import Any

import click
from sqlalchemy import Connection

from aaa import clock
from aaa.commands.held import held_among
from aaa.commands.jobs import pending
from aaa.commands.recompile import case_of
from aaa.debit.ahead import explain_ahead
from aaa.debit.considered import considered
from aaa.debit.explain import Explanation, NothingKnown, explain, sentence
from aaa.debit.rules.money import spared
from aaa.debit.wording import Names
from aaa.domain.instant import iso
from aaa.store.holds import read_hold
from aaa.store.queries import ServiceRef, find_service
from aaa.store.settings import read_settings
from aaa.store.timelines import read_history, read_replacement, read_timeline
from ledgate.cli.terminal import as_json, database, faults_in_one_line, refuse, settings, show
from ledgate.cli.used import used_so_far
from ledgate.load.fields import parse_instant

BEYOND = "this is further ahead than its timeline reaches: it is what today's facts lead to"
PAST = "no engine has renewed its timeline: logins get the last verdict of it"
CUTS_HELD = "cuts are held since {}, for a clock cannot be trusted (ledgate hold); by it, it is {}, and the verdict {}"
PENDING = "a mass change has not reached this subscriber yet: this is the verdict in force"

Told = tuple[Explanation, dict[str, Any], list[str]]
"""An explanation, and what goes with it for machines and for people."""


@click.command("explain")
@click.argument("user")
@click.option("--at", "at_text", metavar="TIME", help="Past or coming instant, as 2026-12-03T14:00:00Z (default: now).")
@as_json
@faults_in_one_line
def explain_command(user: str, at_text: str | None, as_json: bool) -> None:
    """Why USER has the access that he has, since when and until when; which rules were asked, and what each said."""
    with database(settings()) as db, db.read() as conn:
        ref = find_service(conn, user)
        try:
            at = clock.now() if at_text is None else parse_instant(at_text, ref.timezone)
        except ValueError:
            refuse(f"--at: {at_text!r} is not an instant such as 2026-12-03T14:00:00Z, of 1970 to 2999")
        names = read_settings(conn).profile_names
        told, more, lines = _explain(conn, ref, at, names, at_present=at_text is None)
    show(told.to_json() | more, "\n".join([sentence(told, names), *lines]), as_json=as_json)


def _explain(
    conn: Connection, ref: ServiceRef, at: int, names: Names, *, at_present: bool
) -> tuple[Explanation, dict[str, Any], list[str]]:
    """The explanation, and what goes with it for machines and for people."""
    stored = read_timeline(conn, ref.service_id)
    if stored is None:
        raise NothingKnown(f"{ref.username} has no timeline")
    timeline, _version = stored
    more: dict[str, Any] = {}
    lines: list[str] = []
    if at < timeline.start:
        told = explain(ref.username, timeline, at, read_history(conn, ref.service_id))
        replaced = read_replacement(conn, ref.service_id, at)
        more["replaced"] = {
            "at": iso(replaced.at),
            "kind": replaced.kind,
            "subject": replaced.subject,
            "actor": replaced.actor,
        }
        lines.append(f"replaced at {iso(replaced.at)} by {replaced.kind} of {replaced.subject} ({replaced.actor})")
        return told, more, lines
    case = case_of(conn, ref.service_id, at)
    held = bool(held_among(conn, [ref.service_id]))
    history = read_history(conn, ref.service_id)
    if at < timeline.horizon or at_present:
        told = explain(ref.username, timeline, at, history)
    else:
        counted = replace(case, standing=spared(case.standing)) if held else case
        told = explain_ahead(counted, timeline, at, history)
        more["beyond_horizon"] = True
        lines.append(BEYOND)
    if at >= timeline.horizon and at_present:
        more["past_horizon"] = True
        lines.append(f"{PAST}, it ended at {iso(timeline.horizon)}")
    if (hold := read_hold(conn) if at_present else None) is not None:
        more["cuts_held_since"] = iso(hold.since)
        lines.append(CUTS_HELD.format(iso(hold.since), iso(at), told.verdict.word))
        at = min(max(hold.since, timeline.start), timeline.horizon - 1)
        if timeline.at(at).verdict < told.verdict:
            told = explain(ref.username, timeline, at, read_history(conn, ref.service_id))
            case = case_of(conn, ref.service_id, at)
    if pending(conn, ref.service_id):
        more["pending"] = True
        lines.append(PENDING)
    if held:
        more["held"] = True
        lines.append(f"a cut waits for a confirmation (ledgate confirm {ref.username}): this is the verdict in force")
    if at_present and (use := used_so_far(case)) is not None:
        more["used"] = use.to_json()
        lines.append(use.line())
    rules = considered(case, names, held=held)
    more["considered"] = [rule.to_json() for rule in rules]
    lines.extend(f"  {rule.line()}" for rule in rules)
    return told, more, lines
