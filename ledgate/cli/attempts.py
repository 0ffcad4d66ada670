"""`ledgate attempts`: what routers were told of live sessions, why, and what came of it."""

import json
from typing import Any

import click

from aaa.domain.instant import iso
from aaa.store.queries import attempts, find_service
from ledgate.cli.terminal import as_json, database, faults_in_one_line, settings, show, table

_COLUMNS = ("at", "username", "nas", "cause", "sent", "what", "result", "error_cause", "sends", "ms")


@click.command("attempts")
@click.argument("user", metavar="[SERVICE]", required=False)
@click.option("--last", default=50, show_default=True, type=click.IntRange(1, 100_000), help="How many.")
@click.option("--packets", is_flag=True, help="Show what was sent, octet by octet, of routers with keep_packets.")
@as_json
@faults_in_one_line
def attempts_command(user: str | None, last: int, packets: bool, as_json: bool) -> None:
    """What routers were told of live sessions, of SERVICE or of all, the latest last."""
    with database(settings()) as db, db.read() as conn:
        service_id = find_service(conn, user).service_id if user is not None else None
        rows = attempts(conn, service_id, last)
    listed = [_told(row, packets) for row in reversed(rows)]
    lines = table(_COLUMNS, listed).splitlines() if listed else ["routers were told nothing"]
    if packets and listed:
        octets = [one["octets"] for one in listed]
        head, *told = lines
        lines = [head, *(f"{line}\n  {shown or 'not kept'}" for line, shown in zip(told, octets, strict=True))]
    show(listed, "\n".join(lines), as_json=as_json)


def _told(row: Any, packets: bool) -> dict[str, Any]:
    told = {
        "at": iso(row.at),
        "username": row.username,
        "nas": row.nas,
        "acct_session_id": row.acct_session_id,
        "cause": row.cause,
        "sent": row.kind,
        "what": _what(row.attributes),
        "result": row.result,
        "error_cause": row.error_cause,
        "sends": row.sends,
        "ms": None if row.latency is None else round(row.latency / 1000, 1),
    }
    if packets:
        told["octets"] = None if row.octets is None else bytes(row.octets).hex(" ")
    return told


def _what(attributes: str) -> str:
    """`Mikrotik-Rate-Limit=1M/1M`, and so on; a dash for a Disconnect."""
    pairs = [
        f"{name}={','.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in json.loads(attributes)
    ]
    return " ".join(pairs) or "-"
