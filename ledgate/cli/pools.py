"""`ledgate pools`: how full the pools of finish addresses are (R3.1)."""

import click

from aaa.store.leases import pool_use
from ledgate.cli.terminal import as_json, database, faults_in_one_line, settings, show, table


@click.command("pools")
@as_json
@faults_in_one_line
def pools_command(as_json: bool) -> None:
    """The pools of finish addresses: their size, how many are used and free, and who waits for one."""
    with database(settings()) as db, db.read() as conn:
        found = pool_use(conn)
    listed = [
        {
            "name": one.name,
            "ranges": list(one.ranges),
            "size": one.size,
            "used": one.used,
            "free": one.size - one.used,
            "waiting": one.waiting,
        }
        for one in found
    ]
    rows = [{**one, "ranges": ", ".join(pool.ranges)} for one, pool in zip(listed, found, strict=True)]
    text = table(("name", "size", "used", "free", "waiting", "ranges"), rows) if rows else "there is no pool"
    for one in found:
        if one.waiting:
            text += f"\n{one.name} is used up: {one.waiting} services are restricted without an address of it"
    show(listed, text, as_json=as_json)
