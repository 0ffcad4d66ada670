"""What every command shares: its settings and database, how it prints, and how it ends when something is wrong."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, NoReturn, TypeVar

import click
from sqlalchemy.exc import DatabaseError, OperationalError

from aaa.debit.explain import NothingKnown
from aaa.store import seal
from aaa.store.database import BadDatabaseUrl, Database, open_database, sqlite_file
from aaa.store.queries import NotFound
from billing import commands as billing
from ledgate import config, demo, load, migrate, supervisor
from ledgate.config import Settings
from ledgate.lab.client import NoAnswer

BAD_INPUT = 2


def refuse(message: str) -> NoReturn:
    """End with one line on standard error and exit status 2."""
    click.echo(f"ledgate: {message}", err=True)
    raise SystemExit(BAD_INPUT)


Command = TypeVar("Command", bound=Callable[..., Any])


def faults_in_one_line(command: Command) -> Command:
    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except (
            config.BadSetting,
            seal.KeyFileError,
            seal.SealBroken,
            migrate.StaleSchema,
            NotFound,
            billing.Refused,
            load.BadLoad,
            NothingKnown,
            BadDatabaseUrl,
        ) as error:
            refuse(str(error))
        except (NoAnswer, supervisor.PortTaken, demo.DemoFailed) as error:
            click.echo(f"ledgate: {error}", err=True)
            raise SystemExit(1) from None
        except DatabaseError as error:
            if type(error) not in (OperationalError, DatabaseError):
                raise  # not the database's state but ours: a fault that must be seen whole
            url = config.masked(settings())["database_url"]
            click.echo(f"ledgate: {url} cannot be used: {str(error.orig).splitlines()[0]}", err=True)
            raise SystemExit(1) from None

    return run  # type: ignore[return-value]


class OneLine(click.Group):
    """Ends with one line where click would print its usage as well."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        try:
            status = super().main(*args, **{**extra, "standalone_mode": False})
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            raise SystemExit(BAD_INPUT) from None
        except click.ClickException as error:
            refuse(" ".join(error.format_message().split()))  # click lists choices one a line
        except click.Abort:
            click.echo("ledgate: interrupted", err=True)
            raise SystemExit(1) from None
        raise SystemExit(status if isinstance(status, int) else 0)


def settings() -> Settings:
    """The effective settings of this call."""
    return config.load(click.get_current_context().find_root().obj)


@contextmanager
def database(found: Settings) -> Iterator[Database]:
    """The database, of this version's schema. An SQLite file that is missing is not made."""
    file = sqlite_file(found.database_url)
    try:
        missing = file is not None and not file.exists()
    except PermissionError:
        refuse(f"{file} is closed to this user: run this as the user that the server runs as")
    if missing:
        refuse(f"there is no database {file}: run `ledgate migrate` first, which makes it")
    db = open_database(found.database_url)
    try:
        migrate.require_current(db)
        yield db
    finally:
        db.close()


def keys(found: Settings, db: Database) -> seal.Sealer:
    """The keys that fit the database. Raises KeyFileError."""
    with db.read() as conn:
        sealer = seal.open_keys(found.key_file, seal.holds_sealed(conn))
        seal.verify(sealer, conn)
    return sealer


def actor() -> str:
    """Who is at the keyboard, for the audit log."""
    return f"cli:{os.environ.get('SUDO_USER') or os.environ.get('USER') or os.geteuid()}"[:64]


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def show(value: dict[str, Any] | list[Any], text: str, *, as_json: bool) -> None:
    """Print data: JSON for machines, else the text."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False) if as_json else text)


def table(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> str:
    """Rows as aligned columns, with a head line."""
    cells = [columns, *(tuple("" if row[name] is None else str(row[name]) for name in columns) for row in rows)]
    widths = [max(len(line[at]) for line in cells) for at in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )
