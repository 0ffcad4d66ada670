"""`ledgate radtest`: log in as a router would."""

import click

from aaa.radius.routers import clients_of
from aaa.store.queries import nas_rows
from ledgate.cli.terminal import as_json, database, faults_in_one_line, keys, refuse, settings, show
from ledgate.lab import login
from ledgate.lab.client import METHODS, Method


@click.command("radtest")
@click.argument("user")
@click.argument("password")
@click.option("--method", type=click.Choice(METHODS), default="pap", show_default=True)
@click.option("--server", default="127.0.0.1", show_default=True, help="Where to send it.")
@click.option("--port", type=int, help="UDP port (default: the setting auth_port).")
@click.option("--identifier", help="NAS-Identifier to send, where only named routers have this machine's address.")
@as_json
@faults_in_one_line
def radtest_command(
    user: str, password: str, method: Method, server: str, port: int | None, identifier: str | None, as_json: bool
) -> None:
    """Log USER in with PASSWORD as a PPPoE router would, and print the reply.

    The secret is taken from the database: this machine must be a NAS for the server. Exits 1 unless accepted.
    """
    found = settings()
    with database(found) as db:
        sealer = keys(found, db)
        with db.read() as conn:
            clients = clients_of(nas_rows(conn), sealer)
    identifier = identifier or login.IDENTIFIER
    secret = login.own_secret(clients, server, identifier)
    if secret is None:
        refuse(
            f"no NAS of the database has the address of this machine towards {server}, "
            f"and the identifier {identifier} or none: load one, or say --identifier"
        )
    result = login.attempt(server, port or found.auth_port, secret, user, password, method, identifier)
    lines = [f"{result.code} after {result.latency / 1000:.1f} ms"]
    lines += [f"  {name} = {value}" for name, value in result.attributes]
    data = {"code": result.code, "attributes": list(result.attributes), "microseconds": result.latency}
    show(data, "\n".join(lines), as_json=as_json)
    raise SystemExit(0 if result.accepted else 1)
