"""`ledgate explain`: why a subscriber has the access he has, had or will have (R8.3)."""

from dataclasses import dataclass, field, replace
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
from aaa.debit.limits import login_limits
from aaa.debit.params import resolve
from aaa.debit.rules.case import Case
from aaa.debit.rules.money import spared
from aaa.debit.wording import Names, deed
from aaa.domain.instant import iso
from aaa.domain.timeline import Timeline
from aaa.store.facts import read_params
from aaa.store.holds import read_hold
from aaa.store.queries import ServiceRef, find_service, open_sessions
from aaa.store.settings import read_settings
from aaa.store.timelines import read_history, read_replacement, read_timeline
from ledgate.cli import online
from ledgate.cli.terminal import as_json, database, faults_in_one_line, refuse, settings, show
from ledgate.cli.used import used_so_far
from ledgate.load.fields import parse_instant

BEYOND = "this is further ahead than its timeline reaches: it is what today's facts lead to"
PAST = "no engine has renewed its timeline: logins get the last verdict of it"
CUTS_HELD = "cuts are held since {}, for a clock cannot be trusted (ledgate hold); by it, it is {}, and the verdict {}"
HELD = "a cut waits for a confirmation (ledgate confirm {}): this is the verdict in force"
PENDING = "a mass change has not reached this subscriber yet: this is the verdict in force"


@dataclass(slots=True)
class _Told:
    """An explanation, and what goes with it for machines and for people."""

    explanation: Explanation
    more: dict[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def add(self, key: str, value: Any, *lines: str) -> None:
        self.more[key] = value
        self.lines.extend(lines)


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
        stored = read_timeline(conn, ref.service_id)
        if stored is None:
            raise NothingKnown(f"{ref.username} has no timeline")
        timeline, _version = stored
        if at < timeline.start:
            told = _past(conn, ref, timeline, at)
        elif at_text is None:
            told = _present(conn, ref, timeline, at, names)
        else:
            told = _foreseen(conn, ref, timeline, at, names)
    text = "\n".join([sentence(told.explanation, names), *told.lines])
    show(told.explanation.to_json() | told.more, text, as_json=as_json)


def _past(conn: Connection, ref: ServiceRef, timeline: Timeline, at: int) -> _Told:
    """What happened, and the event that ended the timeline of then."""
    told = _Told(explain(ref.username, timeline, at, read_history(conn, ref.service_id)))
    found = read_replacement(conn, ref.service_id, at)
    details = found.after or found.before
    param = details.get("param") if isinstance(details, dict) else None
    replaced = {"at": iso(found.at), "kind": found.kind, "subject": found.subject, "actor": found.actor}
    if param is not None:
        replaced["param"] = param
    subject = f"user:{ref.username}" if found.subject == f"service:{ref.service_id}" else found.subject
    what = deed(found.kind, subject, param)
    told.add("replaced", replaced, f"replaced at {iso(found.at)} by {what} ({found.actor})")
    return told


def _present(conn: Connection, ref: ServiceRef, timeline: Timeline, now: int, names: Names) -> _Told:
    """The verdict that is served, who is online with it, and what the clock would lead to if cuts are held."""
    told = _Told(explain(ref.username, timeline, now, read_history(conn, ref.service_id)))
    if now >= timeline.horizon:
        told.add("past_horizon", True, f"{PAST}, it ended at {iso(timeline.horizon)}")
    asked = now
    hold = read_hold(conn)
    if hold is not None:
        word = told.explanation.verdict.word
        told.add("cuts_held_since", iso(hold.since), CUTS_HELD.format(iso(hold.since), iso(now), word))
        since = min(max(hold.since, timeline.start), timeline.horizon - 1)
        if timeline.at(since).verdict < told.explanation.verdict:
            asked = since
            told.explanation = explain(ref.username, timeline, since, read_history(conn, ref.service_id))
    case = case_of(conn, ref.service_id, asked)
    _add_waiting(conn, ref, told)
    if (use := used_so_far(case)) is not None:
        told.add("used", use.to_json(), use.line())
    if live := open_sessions(conn, ref.service_id):
        lines = [online.line(row, case.policy.gigabyte) for row in live]
        told.add("sessions", [online.to_json(row) for row in live], *lines)
    _add_rules(conn, ref, case, names, told)
    return told


def _foreseen(conn: Connection, ref: ServiceRef, timeline: Timeline, at: int, names: Names) -> _Told:
    """What the present timeline says of an instant, or beyond its horizon what today's facts lead to."""
    case = case_of(conn, ref.service_id, at)
    history = read_history(conn, ref.service_id)
    if at < timeline.horizon:
        told = _Told(explain(ref.username, timeline, at, history))
    else:
        waits = bool(held_among(conn, [ref.service_id]))
        counted = replace(case, standing=spared(case.standing)) if waits else case
        told = _Told(explain_ahead(counted, timeline, at, history))
        told.add("beyond_horizon", True, BEYOND)
    _add_waiting(conn, ref, told)
    _add_rules(conn, ref, case, names, told)
    return told


def _add_waiting(conn: Connection, ref: ServiceRef, told: _Told) -> None:
    """What is decided already and has not reached the timeline: a mass change under way, a cut to be confirmed."""
    if pending(conn, ref.service_id):
        told.add("pending", True, PENDING)
    if held_among(conn, [ref.service_id]):
        told.add("held", True, HELD.format(ref.username))


def _add_rules(conn: Connection, ref: ServiceRef, case: Case, names: Names, told: _Told) -> None:
    """Every rule that was asked, and what limits logins besides."""
    rules = considered(case, names, held="held" in told.more)
    told.add("considered", [rule.to_json() for rule in rules], *(f"  {rule.line()}" for rule in rules))
    effective = resolve(read_params(conn, ref.service_id))
    if limits := login_limits(effective, ref.username, case.service.mac):
        told.add("limits", [one.to_json() for one in limits], *(f"  {one.line()}" for one in limits))
