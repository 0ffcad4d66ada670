"""`ledgate run`, `demo`, `migrate`, `config`: the server and what it stands on."""

import json
import logging

import click
from sqlalchemy.exc import OperationalError

from aaa.store.database import open_database
from aaa.store.replica import Replica
from ledgate import config, demo, migrate, supervisor
from ledgate.cli.terminal import as_json, database, faults_in_one_line, keys, settings, show
from ledgate.config import Settings
from ledgate.role import ROLES, log_to_stderr


@click.command("run")
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


@click.command("demo")
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


@click.command("migrate")
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


@click.command("config")
@as_json
@faults_in_one_line
def config_command(as_json: bool) -> None:
    """Print the effective settings, secrets masked."""
    shown = config.masked(settings())
    show(shown, "\n".join(f"{name} = {json.dumps(value)}" for name, value in shown.items()), as_json=as_json)
