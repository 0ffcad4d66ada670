"""`ledgate params`, `sessions`: what is set for a subscriber, and who is online."""

import click

from aaa.commands.jobs import pending
from aaa.debit.params import group, resolve
from aaa.domain.instant import iso
from aaa.store.facts import read_params
from aaa.store.queries import find_service, open_sessions
from ledgate.cli.terminal import as_json, database, faults_in_one_line, settings, show, table


@click.command("params")
@click.argument("user", metavar="SERVICE")
@as_json
@faults_in_one_line
def params_command(user: str, as_json: bool) -> None:
    """The params that count for SERVICE, the scope each comes from, and what it hides there."""
    with database(settings()) as db, db.read() as conn:
        ref = find_service(conn, user)
        found = resolve(read_params(conn, ref.service_id)).values()
        late = pending(conn, ref.service_id)
    listed = sorted(found, key=lambda one: (group(one.name), one.name))
    told = {"username": ref.username, "params": [one.to_json() for one in listed]}
    lines = [one.line() for one in listed] or [f"no param counts for {ref.username}"]
    if late:
        lines.append("a mass change has not reached this subscriber yet: explain tells the verdict in force")
    show(told | ({"pending": True} if late else {}), "\n".join(lines), as_json=as_json)


@click.command("sessions")
@as_json
@faults_in_one_line
def sessions_command(as_json: bool) -> None:
    """The live sessions."""
    with database(settings()) as db, db.read() as conn:
        rows = list(open_sessions(conn))
    listed = [
        {
            "username": row.username,
            "nas": row.nas,
            "address": row.framed_ip,
            "calling_station_id": row.calling_station_id,
            "acct_session_id": row.acct_session_id,
            "started": iso(row.started_at),
            "seconds": row.seconds,
            "up": row.up,
            "down": row.down,
        }
        for row in rows
    ]
    columns = ("username", "nas", "address", "calling_station_id", "started", "seconds", "up", "down")
    show(listed, table(columns, listed) if listed else "no session is live", as_json=as_json)
