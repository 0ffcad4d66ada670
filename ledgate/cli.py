"""The command line. Bad input ends with one clear line and exit status 2; `--json` prints data for machines."""

import json
import logging
import secrets
from datetime import date, datetime
from zoneinfo import ZoneInfo

import click
from sqlalchemy.exc import OperationalError

from aaa import clock
from aaa.commands.jobs import pending
from aaa.debit.params import group, resolve
from aaa.domain.instant import iso
from aaa.radius.routers import clients_of
from aaa.store.database import open_database
from aaa.store.facts import read_params
from aaa.store.queries import find_service, nas_rows, open_sessions
from aaa.store.replica import Replica
from billing import commands as billing
from ledgate import config, demo, migrate, radtest, supervisor
from ledgate.changing import confirm_command, jobs_command, load_command, preview_command
from ledgate.config import Settings
from ledgate.explain import explain_command
from ledgate.lab.client import METHODS, Method
from ledgate.load.fields import parse_instant
from ledgate.pools import pools_command
from ledgate.role import ROLES, log_to_stderr
from ledgate.spare import acknowledge_command, exempt_command
from ledgate.suspend import suspend_command, suspensions_command, unsuspend_command
from ledgate.terminal import OneLine, actor, as_json, database, faults_in_one_line, keys, refuse, settings, show, table
from ledgate.wording import balance, money, owes, waits


@click.group(cls=OneLine, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--config", "config_file", metavar="FILE", help="TOML file of settings (default: LEDGATE_CONFIG).")
@click.version_option(package_name="ledgate")
@click.pass_context
def main(context: click.Context, config_file: str | None) -> None:
    """Ledgate: a RADIUS AAA server whose verdict is a function of the ledger."""
    context.obj = config_file


@main.command("run")
@click.option(
    "--role", type=click.Choice(("all", *ROLES)), default="all", show_default=True, help="Run one role alone."
)
@faults_in_one_line
def run_command(role: str) -> None:
    """Serve, until SIGTERM or Ctrl-C. Migrates an empty database by itself, refuses a stale one."""
    found = settings()
    log_to_stderr("ledgate")
    try:
        prepare(found)
    except OperationalError:
        if not Replica.exists(found.state_dir):
            raise  # nothing to serve from
        logging.getLogger("ledgate").warning("the database is away: logins are served from the replica, the rest waits")
    raise SystemExit(supervisor.run(found, ROLES if role == "all" else (role,)))


@main.command("demo")
@faults_in_one_line
def demo_command() -> None:
    """Show the main job with demo data and a fake router, then serve until Ctrl-C."""
    found = demo.on_free_ports(settings())
    prepare(found)
    try:
        with demo.alone(found), database(found) as db:
            demo.show(found, db, keys(found, db))
    except KeyboardInterrupt:
        click.echo("stopped")


def prepare(found: Settings) -> None:
    """Have a state directory, a database of this version's schema, and keys that fit it."""
    _make_state_dir(found)
    db = open_database(found.database_url)
    try:
        if migrate.is_empty(db):
            migrate.upgrade(found.database_url)
    finally:
        db.close()
    with database(found) as db:
        keys(found, db)


@main.command("migrate")
@faults_in_one_line
def migrate_command() -> None:
    """Bring the database to the schema of this version."""
    found = settings()
    _make_state_dir(found)
    migrate.upgrade(found.database_url)
    click.echo(f"the database has schema {migrate.wanted_revision()}")


def _make_state_dir(found: Settings) -> None:
    try:
        found.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise config.BadSetting(f"state_dir {found.state_dir}: {error.strerror}") from None


@main.command("config")
@as_json
@faults_in_one_line
def config_command(as_json: bool) -> None:
    """Print the effective settings, secrets masked."""
    shown = config.masked(settings())
    show(shown, "\n".join(f"{name} = {json.dumps(value)}" for name, value in shown.items()), as_json=as_json)


@main.command("pay")
@click.argument("user")
@click.argument("amount", type=int)
@click.option("--id", "external_id", metavar="ID", help="The payment's own id: a known one posts nothing again.")
@as_json
@faults_in_one_line
def pay_command(user: str, amount: int, external_id: str | None, as_json: bool) -> None:
    """Post a payment of AMOUNT minor units for USER."""
    with database(settings()) as db:
        with db.read() as conn:
            ref = find_service(conn, user)
        name = external_id if external_id is not None else secrets.token_hex(16)
        posted = billing.pay(db, ref, amount, external_id=name, actor=actor(), now=clock.now())
    what = "was known already, nothing was posted" if posted.repeated else f"of {money(amount, posted)} is posted"
    show(
        {"username": ref.username, "id": name, "amount": amount, "repeated": posted.repeated, **balance(posted)},
        f"payment {name} for {ref.username} {what}: {owes(posted.after)}{waits(posted, ref.username)}",
        as_json=as_json,
    )


@main.command("charge")
@click.argument("user")
@click.argument("amount", type=int)
@click.option("--due", metavar="DATE", help="When it is due, as 2026-12-31 in the VISP's days (default: today).")
@click.option("--note", default="", help="What it is for.")
@click.option("--override", is_flag=True, help="Post it even above the debt limit; this is audited.")
@as_json
@faults_in_one_line
def charge_command(user: str, amount: int, due: str | None, note: str, override: bool, as_json: bool) -> None:
    """Post a charge of AMOUNT minor units to USER."""
    now = clock.now()
    with database(settings()) as db:
        with db.read() as conn:
            ref = find_service(conn, user)
        posted = billing.charge(
            db, ref, amount, due_at=_due(due, ref.timezone, now), note=note, override=override, actor=actor(), now=now
        )
    show(
        {"username": ref.username, "amount": amount, **balance(posted)},
        f"charge of {money(amount, posted)} to {ref.username} is posted: {owes(posted.after)}"
        f"{waits(posted, ref.username)}",
        as_json=as_json,
    )


def _due(text: str | None, zone: str, now: int) -> int:
    """The local midnight at which the due day begins, in UTC microseconds."""
    try:
        day = date.fromisoformat(text) if text is not None else datetime.fromtimestamp(now / 1e6, ZoneInfo(zone)).date()
        return parse_instant(day.isoformat(), zone)
    except ValueError:
        refuse(f"--due: {text!r} is not a date such as 2026-12-31, of 1970 to 2999")


@main.command("params")
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


for _command in (
    load_command,
    preview_command,
    confirm_command,
    jobs_command,
    explain_command,
    suspend_command,
    unsuspend_command,
    suspensions_command,
    exempt_command,
    acknowledge_command,
    pools_command,
):
    main.add_command(_command)


@main.command("sessions")
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


@main.command("radtest")
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
    identifier = identifier or radtest.IDENTIFIER
    secret = radtest.own_secret(clients, server, identifier)
    if secret is None:
        refuse(
            f"no NAS of the database has the address of this machine towards {server}, "
            f"and the identifier {identifier} or none: load one, or say --identifier"
        )
    result = radtest.attempt(server, port or found.auth_port, secret, user, password, method, identifier)
    lines = [f"{result.code} after {result.latency / 1000:.1f} ms"]
    lines += [f"  {name} = {value}" for name, value in result.attributes]
    data = {"code": result.code, "attributes": list(result.attributes), "microseconds": result.latency}
    show(data, "\n".join(lines), as_json=as_json)
    raise SystemExit(0 if result.accepted else 1)
